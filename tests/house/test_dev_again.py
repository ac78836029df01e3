"""`./dev test` in CI tries a failure once more, alone, and names what then passes. And the bare lock."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

ONCE = """
from pathlib import Path

def test_fails_the_first_time():
    mark = Path({mark!r})
    was_here = mark.exists()
    mark.touch()
    assert was_here
"""
ALWAYS = (
    "import pytest\n\n@pytest.mark.parametrize('n', range({count}))\ndef test_fails(n):\n    assert False\n"
)


def dev_test(folder: Path, text: str, ci: str) -> subprocess.CompletedProcess[str]:
    """`./dev test` over one file of tests, without this project's own settings."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:randomly\n")
    (folder / "test_these.py").write_text(text)
    script = "import runpy, sys; sys.exit(runpy.run_path('dev', run_name='dev')['test'](sys.argv[1:]))"
    words = ("-c", str(folder / "pytest.ini"), "--rootdir", str(folder), str(folder / "test_these.py"))
    return subprocess.run(
        [sys.executable, "-B", "-c", script, *words],
        cwd=ROOT,
        env=os.environ | {"CI": ci, "HUB_TEST_CHROMIUM": "not needed here"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_fails_beside_others_and_passes_alone_is_named_and_does_not_fail_ci(tmp_path: Path) -> None:
    run = dev_test(tmp_path, ONCE.format(mark=str(tmp_path / "mark")), "true")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "shaky: test_these.py::test_fails_the_first_time" in run.stderr
    assert "1 failed" in run.stdout, "the first result is shown too"


def test_elsewhere_a_failure_is_a_failure(tmp_path: Path) -> None:
    run = dev_test(tmp_path, ONCE.format(mark=str(tmp_path / "mark")), "")
    assert run.returncode == 1
    assert "shaky" not in run.stderr


@pytest.mark.parametrize("count", [1, 6])
def test_what_fails_twice_fails_and_many_failures_are_no_accident(tmp_path: Path, count: int) -> None:
    run = dev_test(tmp_path, ALWAYS.format(count=count), "true")
    assert run.returncode == 1
    assert "shaky" not in run.stderr
    assert ("once more" in run.stderr) == (count <= 5)


LOCK = """\
# made by a tool
crewai==1 \\
    --hash=sha256:aa
    # via crewhub (pyproject.toml)
crewai-core==1 \\
    --hash=sha256:bb
    # via
    #   crewai
    #   openai
openai==2 \\
    --hash=sha256:cc
    # via
    #   crewai-core
    #   openai
httpx==3 \\
    --hash=sha256:dd
    # via
    #   crewhub (pyproject.toml)
    #   openai
idna==4 \\
    --hash=sha256:ee
    # via
    #   httpx
    #   openai
"""


def test_the_bare_environment_has_what_is_wanted_without_crewai_and_nothing_more() -> None:
    """Also where packages of its tree want each other in a circle."""
    lock_without = runpy.run_path(str(ROOT / "dev"), run_name="dev")["lock_without"]
    left = lock_without(LOCK, "crewai")
    assert [line for line in left.splitlines() if "==" in line] == ["httpx==3 \\", "idna==4 \\"]
    assert left.count("--hash") == 2
    whole = (ROOT / "requirements.lock.txt").read_text(encoding="utf-8")
    assert lock_without(whole, "") == re.sub(r"^#.*\n", "", whole, flags=re.MULTILINE), (
        "nothing taken out, nothing lost"
    )
