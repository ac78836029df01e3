"""What the process that imports crews may see, and where it may write."""

from pathlib import Path

from plugins.quiet import CLEAN
from sidecar.runners.clean import importing_environment


def test_only_what_is_named_is_passed_on(tmp_path: Path) -> None:
    """L40."""
    own = {"PATH": "/bin", "SIDECAR_TOKEN": "secret", "PROXY": "x", "CREWAI_TRACING_ENABLED": "true"}
    made = importing_environment(own, ("PATH", "PROXY", "MISSING", "CREWAI_TRACING_ENABLED"), tmp_path)
    assert made == CLEAN | {
        "PATH": "/bin",
        "PROXY": "x",
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "CREWAI_STORAGE_DIR": str(tmp_path / "home" / "crewai"),
    }


def test_a_redis_is_not_passed_on_even_when_it_is_named(tmp_path: Path) -> None:
    """With it a crew cannot be built while that Redis is down."""
    assert "REDIS_URL" not in importing_environment({"REDIS_URL": "redis://x"}, ("REDIS_URL",), tmp_path)


def test_its_folders_are_there_and_private(tmp_path: Path) -> None:
    importing_environment({}, (), tmp_path / "zygote")
    assert {path.name for path in (tmp_path / "zygote").iterdir()} == {"home", "tmp"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "zygote").iterdir())
