"""What may be set about crews: the sources, the kept names, the bounds, and what no crew ever sees."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from console.options import OptionError, choose
from protocol import limits
from sidecar.errors import SettingsError
from sidecar.settings import RANGES, Settings, with_kept_names


def chosen(environ: dict[str, str], files: tuple[Path, ...] = (), **flags: Any) -> Settings:
    return choose(
        Settings,
        prefix="SIDECAR_",
        flags=MappingProxyType(flags),
        files=files,
        environ=with_kept_names(environ),
    ).settings


def test_a_flag_is_stronger_than_the_environment_and_that_than_a_file(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.toml"
    file.write_text('model = "of-the-file"\nplugins = ["/one", "shipped"]\ncrew_start = "cold"\n')
    found = chosen({}, (file,))
    assert (found.model, found.plugins, found.crew_start) == ("of-the-file", ("/one", "shipped"), "cold")
    environ = {"SIDECAR_MODEL": "of-the-environment", "SIDECAR_PLUGINS": "/two,shipped"}
    found = chosen(environ, (file,))
    assert (found.model, found.plugins, found.crew_start) == (
        "of-the-environment",
        ("/two", "shipped"),
        "cold",
    )
    found = chosen(environ, (file,), model="of-the-flag", plugins=("/three",), crew_start=None)
    assert (found.model, found.plugins) == ("of-the-flag", ("/three",))


def test_keys_come_from_files_and_are_never_shown(tmp_path: Path) -> None:
    """L40"""
    (tmp_path / "model").write_text("key-of-the-model\n")
    (tmp_path / "search").write_text("key-of-the-search\n")
    found = chosen(
        {
            "SIDECAR_MODEL_KEY_FILE": str(tmp_path / "model"),
            "SIDECAR_SEARCH_KEY_FILE": str(tmp_path / "search"),
        }
    )
    assert (found.model_key, found.search_key) == ("key-of-the-model", "key-of-the-search")
    assert "key-of-the" not in repr(found)


def test_the_names_of_existing_deployments_go_on_working() -> None:
    found = chosen({"PLUGIN_DIR": "/srv/plugins", "CREW_TIMEOUT_SECONDS": "90"})
    assert (found.plugins, found.crew_timeout_ms) == (("/srv/plugins",), 90_000)
    assert chosen({"CREW_TIMEOUT_SECONDS": "1.5"}).crew_timeout_ms == 1_500
    assert chosen({}).crew_timeout_ms == 300_000


def test_a_new_name_is_stronger_than_a_kept_one() -> None:
    found = chosen(
        {
            "PLUGIN_DIR": "/old",
            "SIDECAR_PLUGINS": "/new",
            "CREW_TIMEOUT_SECONDS": "rubbish",
            "SIDECAR_CREW_TIMEOUT_MS": "2000",
        }
    )
    assert (found.plugins, found.crew_timeout_ms) == (("/new",), 2_000)


@pytest.mark.parametrize("seconds", ["", "soon", "0", "-1", "nan", "inf", "0.9", "86401"])
def test_a_timeout_that_is_no_number_is_refused_by_its_own_name(seconds: str) -> None:
    with pytest.raises(SettingsError, match="CREW_TIMEOUT_SECONDS") as caught:
        with_kept_names({"CREW_TIMEOUT_SECONDS": seconds})
    assert "a number from 1 to 86400" in str(caught.value)


def test_the_bounds_hold_at_their_edges() -> None:
    for name in ("crew_timeout_ms", "crew_memory_bytes"):
        least, most = RANGES[name]
        for amount in (least, most):
            wanted: dict[str, Any] = {name: amount}
            assert getattr(Settings(**wanted), name) == amount
        for amount in (least - 1, most + 1):
            wanted = {name: amount}
            with pytest.raises(SettingsError, match=name):
                Settings(**wanted)
    assert Settings().crew_memory_bytes == 1_024 * limits.MIB


def test_another_way_to_start_a_crew_is_a_mistake() -> None:
    with pytest.raises(OptionError, match="warm, cold"):
        chosen({"SIDECAR_CREW_START": "hot"})
