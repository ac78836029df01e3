"""A skip is a hole in the proof: in CI only the reasons listed here may leave a test out.

A pytest plugin (loaded by pyproject.toml). It listens to every report, also those of xdist's workers, and
turns a green run red when a test was skipped, or expected to fail, for another reason. Elsewhere it is mute.
"""

import os

import pytest

# Each entry opens the reason that a test gives, and stands here with why CI may do without that test.
ALLOWED: dict[str, str] = {
    # Mounting needs root; a page limit and a VFS show SQLite the same full disk elsewhere.
    "a small file system can only be mounted by root": "tests/store/test_failures.py",
    # A machine without systemd cannot judge units; the lines that make them hard are checked by name too.
    "systemd-analyze is not installed": "tests/house/test_deploy_systemd.py",
    # Redis has no wheel, and Valkey's brings no client; what talks to Redis is tested on Valkey as well.
    "redis-server is not installed": "tests/system/test_deployed_commands.py",
}
# `./dev bare` proves what works without crewai; there, and only there, its absence is a reason.
if os.environ.get("CREWHUB_TESTS") == "bare":
    ALLOWED["crewai is not installed"] = "every module whose tests run a real crew"

offences: list[str] = []


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The reason as its author wrote it, without the file and line that pytest puts before it."""
    expected_failure = getattr(report, "wasxfail", None)
    if expected_failure is not None:
        return f"expected to fail: {expected_failure}"
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (is_ci() and report.skipped):
        return
    reason = reason_of(report)
    if not any(reason.startswith(opening) for opening in ALLOWED):
        offences.append(f"{report.nodeid}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    is_worker = hasattr(session.config, "workerinput")
    if (
        offences
        and not is_worker
        and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not offences:
        return
    terminalreporter.section("skips that CI does not allow", sep="=", red=True)
    terminalreporter.line("Bring in what is missing, or list the reason with its why in tests/skips.py.")
    for offence in offences:
        terminalreporter.line(f"  {offence}")
