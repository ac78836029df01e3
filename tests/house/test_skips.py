"""The rule about skips, tried on a run of pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPING = """
import pytest

def test_that_runs():
    pass

@pytest.mark.skip(reason="no moon tonight")
def test_that_needs_a_moon():
    pass
"""


def run_pytest(folder: Path, ci: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_night.py").write_text(SKIPPING)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p tests.skips -p no:randomly\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, str(folder)],
        env=os.environ | {"CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_skip_without_a_listed_reason_fails_in_ci(tmp_path: Path, workers: str) -> None:
    run = run_pytest(tmp_path, "true", "-n", workers)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_night.py::test_that_needs_a_moon: no moon tonight" in run.stdout


def test_a_skip_is_fine_at_a_desk(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "")
    assert run.returncode == pytest.ExitCode.OK
    assert "1 passed, 1 skipped" in run.stdout


def test_a_module_that_skips_itself_fails_in_ci(tmp_path: Path) -> None:
    (tmp_path / "test_morning.py").write_text(
        "import pytest\npytest.skip('too early', allow_module_level=True)\n"
    )
    for workers in ("0", "2"):
        run = run_pytest(tmp_path, "true", "-n", workers, "--deselect", "test_night.py")
        assert run.returncode == pytest.ExitCode.TESTS_FAILED
        assert "test_morning.py: too early" in run.stdout
