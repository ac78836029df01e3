"""`./dev` as a stranger meets it: what it offers, what it refuses, and that README.md and it agree."""

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.house.tree import ROOT
from tests.waiting import until_true

PROMISED = {
    *("demo", "test", "bare", "check", "sim", "replay", "mutants", "powercut", "fuzz"),
    *("chaos", "bench", "cover", "lock", "fmt", "fleet", "shots"),
}


def dev(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "dev"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command() -> None:
    run = dev("--help")
    assert run.returncode == 0
    assert set(re.findall(r"[a-z]+", run.stdout.splitlines()[0])) >= PROMISED


def test_an_unknown_command_is_a_usage_error_that_lists_the_known() -> None:
    run = dev("dance")
    assert run.returncode == 2
    assert "no command 'dance'" in run.stderr
    assert "check" in run.stderr


def test_every_command_in_the_readme_exists() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    used = {
        word
        for page in documents
        for word in re.findall(r"\./dev ([a-z]+)", page.read_text(encoding="utf-8"))
    }
    assert used <= PROMISED, f"./dev has no {sorted(used - PROMISED)}"
    assert set(re.findall(r"\./dev ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8"))) == PROMISED


def test_a_built_environment_needs_no_network_and_any_folder_will_do(tmp_path: Path) -> None:
    """With every index out of reach, `./dev` alone still says that it is ready."""
    nowhere = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "https_proxy": "http://127.0.0.1:9"}
    run = subprocess.run(
        [sys.executable, str(ROOT / "dev")],
        cwd=tmp_path,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "ready" in run.stderr


def test_two_calls_at_once_do_not_build_over_each_other() -> None:
    """Whoever holds the lock file builds; a second call says that it waits, and goes on afterwards."""
    program = (
        "import importlib.machinery, importlib.util, sys\n"
        "loader = importlib.machinery.SourceFileLoader('dev', sys.argv[1])\n"
        "spec = importlib.util.spec_from_loader('dev', loader)\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "loader.exec_module(module)\n"
        "with module.alone():\n"
        "    print('inside', flush=True)\n"
    )
    with (ROOT / ".dev.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, "-B", "-c", program, str(ROOT / "dev")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert second.stderr is not None
        assert "waiting for another ./dev" in second.stderr.readline()
        assert second.poll() is None
    output, _ = second.communicate()
    until_true(lambda: second.returncode == 0, "the second call went on")
    assert output == "inside\n"


def test_the_page_s_tests_demand_a_browser_in_ci() -> None:
    """Elsewhere the other tests run, and those of the page fail with the same sentence."""
    empty = {"PATH": str(ROOT / "docs"), "CI": "true", "HOME": str(ROOT)}
    script = (
        "import os, runpy; os.geteuid = lambda: 1000; "
        "print(runpy.run_path('dev', run_name='dev')['test'](['tests/system']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=empty, capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "1", run.stderr
    assert "sudo apt-get install chromium-headless-shell" in run.stderr
