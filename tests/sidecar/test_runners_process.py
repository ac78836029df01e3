"""After every end of a run no process of it is left: real processes with bad manners, looked for in /proc."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sidecar.runners.contract import Failed, Finished, Logged, Stopped
from sidecar.workspace import Workspaces
from tests.sidecar.runs import PROGRAMS, Bench, alive, order, program, script
from tests.waiting import until, until_true

ROOT = Path(__file__).parents[2]


def cancel_when(count: int, grace_ms: int) -> Callable[[Bench], Awaitable[None]]:
    async def cancel(bench: Bench) -> None:
        await until(lambda: bench.texts("log").count("up") >= count, f"{count} processes are up")
        bench.stop.set("cancel", grace_ms)

    return cancel


async def test_a_family_that_ignores_term_and_leaves_its_session_is_killed(tmp_path: Path) -> None:
    """L75, L74: forked, forked twice, in new sessions, deaf to SIGTERM; the stop comes with its proof."""
    bench = program(tmp_path, "stubborn")
    outcome = await bench.run_while(cancel_when(6, grace_ms=50))
    assert isinstance(outcome, Stopped)
    assert outcome.how == "killed"
    assert outcome.proof.signals == ("TERM", "KILL")
    assert outcome.proof.survivors == 0
    assert outcome.proof.reaped >= 6
    assert not bench.left()
    assert not bench.workspaces_left()


async def test_a_process_that_never_stays_the_same_is_caught(tmp_path: Path) -> None:
    """L75: a chain of forks, each in a session of its own, each living less than a millisecond."""
    bench = program(tmp_path, "hopper")
    outcome = await bench.run_while(cancel_when(1, grace_ms=0))
    assert isinstance(outcome, Stopped)
    assert outcome.how == "killed"
    assert not bench.left()


async def test_a_program_that_obeys_term_is_terminated_and_not_killed(tmp_path: Path) -> None:
    bench = script(tmp_path, 'import os, time; os.write(3, b\'{"log": "up"}\\n\'); time.sleep(600)')
    outcome = await bench.run_while(cancel_when(1, grace_ms=60_000))
    assert isinstance(outcome, Stopped)
    assert outcome.how == "terminated"
    assert outcome.proof.signals == ("TERM",)


async def test_a_second_stop_shortens_the_grace(tmp_path: Path) -> None:
    """L76: a cancel that is sent again is the same cancel, only more urgent."""
    bench = program(tmp_path, "stubborn")

    async def twice(bench: Bench) -> None:
        await cancel_when(6, grace_ms=3_600_000)(bench)
        bench.stop.set("cancel", 10)

    outcome = await bench.run_while(twice)
    assert isinstance(outcome, Stopped)
    assert outcome.how == "killed"
    assert bench.stop.grace_ms == 10


async def test_a_stopped_program_still_obeys(tmp_path: Path) -> None:
    source = 'import os, signal; os.write(3, b\'{"log": "up"}\\n\'); os.kill(os.getpid(), signal.SIGSTOP)'
    outcome = await script(tmp_path, source).run_while(cancel_when(1, grace_ms=60_000))
    assert isinstance(outcome, Stopped)
    assert outcome.how == "terminated"


async def test_grandchildren_are_removed_after_success_too(tmp_path: Path) -> None:
    """The run ends although a grandchild in another session holds the pipes open."""
    bench = program(tmp_path, "leaver")
    outcome = await bench.run()
    assert isinstance(outcome, Finished)
    assert json.loads(outcome.result) == {"output": "done\n", "exit_code": 0}
    assert not bench.left()


async def test_a_timeout_leaves_no_process_and_says_that_it_was_one(tmp_path: Path) -> None:
    """L75, L73: the order's time wins over the longer one of the settings; one ending, and all are gone."""
    bench = script(tmp_path, "import os, time\nos.fork()\nos.fork()\ntime.sleep(600)")
    outcome = await bench.run(order(time_left_ms=300))
    assert isinstance(outcome, Failed)
    assert outcome.error == "Workflow exceeded 0.3s timeout"
    assert outcome.cause == "timeout"
    assert outcome.retryable
    assert outcome.proof is not None
    assert outcome.proof.survivors == 0
    assert not bench.left()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os; os.abort()", "ended by SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "ended by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
    ],
)
async def test_a_crash_is_a_failure_that_names_its_signal(tmp_path: Path, source: str, said: str) -> None:
    """L70, L92."""
    bench = script(tmp_path, source)
    outcome = await bench.run()
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith(said)
    assert outcome.cause == "crash"
    assert outcome.retryable


async def test_a_program_that_kills_its_guard_is_hunted_down(tmp_path: Path) -> None:
    """Poison: kill -9 of the parent process. Its family is found by mark and session, wherever it went."""
    source = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    time.sleep(600)\n"
        "os.kill(os.getppid(), 9)\n"
        "time.sleep(600)\n"
    )
    bench = script(tmp_path, source)
    outcome = await bench.run()
    assert isinstance(outcome, Failed)
    assert outcome.cause == "crash"
    assert "guard" in outcome.error
    assert not bench.left()


async def test_a_program_that_freezes_its_guard_is_stopped_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that has been silent for too long is killed, and the hunt does its work."""
    monkeypatch.setattr("sidecar.runners.process.SUPERVISOR_SILENCE_MS", 300)
    source = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.kill(os.getppid(), signal.SIGSTOP)\n"
        'os.write(3, b\'{"log": "up"}\\n\')\n'
        "time.sleep(600)\n"
    )
    bench = script(tmp_path, source)
    outcome = await bench.run_while(cancel_when(1, grace_ms=0))
    assert isinstance(outcome, Stopped)
    assert outcome.how == "killed"
    assert not bench.left()


async def test_cancelling_the_task_of_the_loop_leaves_nothing_either(tmp_path: Path) -> None:
    bench = program(tmp_path, "stubborn")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run())
        await until(lambda: bench.texts("log").count("up") >= 6, "the family is up")
        running.cancel()
    assert running.cancelled()
    assert not bench.left()
    assert not bench.workspaces_left()


async def test_forty_runs_that_cannot_begin_leave_no_descriptor_open(tmp_path: Path) -> None:
    """L110, in small: what a run opens it closes, also when it could not begin."""
    before = len(os.listdir("/proc/self/fd"))
    missing = Bench(tmp_path, ("/nonexistent/program",))
    for _ in range(10):
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(missing.run())
    assert len(os.listdir("/proc/self/fd")) <= before


def start_alone(state: Path, name: str) -> tuple[subprocess.Popen[str], str]:
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "alone.py"), str(state), str(PROGRAMS / f"{name}.py")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TEST_MARK": mark},
    )
    return process, mark


def test_no_runner_outlives_a_killed_sidecar(tmp_path: Path) -> None:
    """Sidecar kill -9: nothing of its runs is alive five seconds later, not even what ignores SIGTERM."""
    process, mark = start_alone(tmp_path, "stubborn")
    with process:
        assert process.stdout is not None
        for _ in range(6):
            assert process.stdout.readline() == "up\n"
        assert len(alive(mark)) > 6
        process.kill()
        process.wait()
        until_true(lambda: not alive(mark), "no orphan is left")
    swept = Workspaces(tmp_path).sweep()
    assert swept.directories == 1
    assert not list(Workspaces(tmp_path).folder.iterdir())


def test_a_hundred_megabytes_of_output_cost_no_memory(tmp_path: Path) -> None:
    """Capped, counted, and the program is never blocked: what is dropped costs nothing."""
    process, _ = start_alone(tmp_path, "flood")
    with process:
        assert process.stdout is not None
        told = json.loads(process.stdout.read().splitlines()[-1])
    assert told["outcome"] == "Finished"
    assert told["grown_kib"] < 16 * 1024


async def test_dropped_output_is_said_once_with_its_count(tmp_path: Path) -> None:
    """L62: a hole is said."""
    bench = script(tmp_path, "print(('x' * 99 + '\\n') * 100, end='')", output_bytes_max=1000)
    await bench.run()
    said = [report for report in bench.reports if isinstance(report, Logged)]
    assert sum(len(report.text) + 1 for report in said[:-1]) == 1000
    assert said[-1].level == "warning"
    assert said[-1].text == "9000 bytes of output in 90 lines were dropped"
