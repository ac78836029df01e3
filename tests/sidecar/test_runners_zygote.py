"""Runs that are forks of a warm process: what they see, how they end, and that nothing of them is left.

Real processes with bad manners, without crewai: the child module is `programs/child.py`.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.runners.hunt import find, kill_at_once
from sidecar.runners.process import Ended
from tests.sidecar.forks import PATIENCE_S, Nursery, descriptors, nursery_in, words_of
from tests.sidecar.runs import PROGRAMS, alive
from tests.waiting import until, until_true

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def nursery(tmp_path: Path) -> AsyncIterator[Nursery]:
    async with nursery_in(tmp_path) as made:
        await made.zygote.start()
        yield made


def environment_of(pid: int | None) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


# ---- what a run sees


async def test_a_run_finds_itself_as_a_program_would(nursery: Nursery) -> None:
    """Own session, folder, descriptors, limits and signals, although nothing was executed."""
    one, ended = await nursery.done("echo")
    seen = one.result
    assert ended == Ended(why="exit", proof=ended.proof, exit_code=0)
    assert ended.proof.reaped == 1
    assert seen["order"] == {"act": "echo"}
    assert seen["imported_by"] == nursery.zygote.pid != seen["pid"]
    assert seen["session"] == seen["pid"] == one.run.session
    assert seen["cwd"] == seen["temporary"] == str(nursery.folder)
    assert seen["descriptors"][:5] == ["0", "1", "2", "3", "4"]
    assert len(seen["descriptors"]) == 6, "the sixth is the look at them"
    assert (seen["umask"], seen["core"], seen["files"]) == (0o077, 0, 1024)
    assert (seen["threads"], seen["signals"]) == (1, [])
    assert seen["frozen"] > 1000, "what was imported is not copied by a collection"


async def test_a_runs_environment_is_the_one_it_was_given(nursery: Nursery) -> None:
    """L40: nothing of the sidecar's or the zygote's own; what reads it late or early sees the run's."""
    one, _ = await nursery.done("echo")
    assert one.result["environ"] == one.run.program.environment
    assert one.result["zone"] == "JST"


async def test_the_zygote_sees_what_is_passed_on_and_no_more(nursery: Nursery) -> None:
    """L40."""
    seen = environment_of(nursery.zygote.pid)
    assert f"TEST_MARK={nursery.mark}" in seen
    assert "CREWAI_DISABLE_TELEMETRY=true" in seen
    assert "sk-never" not in seen


async def test_a_forked_run_is_found_by_its_marker(nursery: Nursery) -> None:
    """/proc shows the environment of the last exec, which a fork has in common with its zygote: so the marker
    is written over it.
    """
    one, other = await nursery.begun("stay"), await nursery.begun("stay")
    await one.is_up()
    await other.is_up()
    found = find(frozenset({one.marker}))
    assert one.run.session in found
    assert other.run.session not in found
    assert nursery.zygote.pid not in found
    for each in (one, other):
        each.run.end("stop", 0)
        await each.run.ended()
    assert not find(frozenset({one.marker, other.marker}))


async def test_no_two_runs_roll_the_same_dice(nursery: Nursery) -> None:
    assert len({(await nursery.done("echo"))[0].result["dice"] for _ in range(4)}) == 4


async def test_what_a_run_prints_is_not_kept_back(nursery: Nursery) -> None:
    one = await nursery.begun("talk")
    await until(lambda: one.heard[1] and one.heard[2], "both outputs were heard", PATIENCE_S)
    assert one.heard[1] == b"to whom it may concern\n"
    one.run.say(b'{"request_id": "q", "value": 7}')
    await one.run.ended()
    assert one.result == {"request_id": "q", "value": 7}


async def test_a_run_whose_folder_is_not_there_is_refused_with_the_reason(nursery: Nursery) -> None:
    """L92."""
    nursery.folder.rmdir()
    _, ended = await nursery.done("echo")
    assert ended.why == "refused"
    assert ended.trouble == f"cannot enter {nursery.folder}: No such file or directory"


async def test_twenty_runs_at_once_do_not_meet(nursery: Nursery) -> None:
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(nursery.done("echo")) for _ in range(20)]
    seen = [each.result()[0].result for each in running]
    assert {each.result()[1].exit_code for each in running} == {0}
    assert len({each["pid"] for each in seen}) == 20
    assert len({each["environ"]["CREWHUB_RUN"] for each in seen}) == 20
    assert {each["imported_by"] for each in seen} == {nursery.zygote.pid}
    assert not nursery.left()


async def test_a_guard_holds_nothing_of_its_zygote_and_nothing_of_its_run(nursery: Nursery) -> None:
    """Else the sidecar would see the end of neither: its three, the control socket, its own pipe."""
    one = await nursery.begun("stay")
    await one.is_up()
    assert descriptors(one.guard) == 6
    one.run.end("stop", 0)
    await one.run.ended()


# ---- how it ends


@pytest.mark.parametrize(
    ("act", "code", "number", "said"),
    [
        ("succeed", 0, None, b""),
        ("raise", 1, None, b"ValueError: this crew is not for sale"),
        ("leave", 7, None, b""),
        ("exit", 1, None, b"a sentence"),
        ("crash", None, "SIGSEGV", b""),
    ],
)
async def test_after_every_end_no_grandchild_is_left(
    nursery: Nursery, act: str, code: int | None, number: str | None, said: bytes
) -> None:
    """L75, L92: one that was forked twice and one that was executed, both in sessions of their own."""
    one = await nursery.begun(act)
    await one.family_is_up()
    assert len(nursery.left()) >= 4, "guard, run and two grandchildren"
    one.run.say(b"{}")
    ended = await one.run.ended()
    assert (ended.why, ended.exit_code, ended.signal) == ("exit", code, number)
    assert said in one.heard[2]
    assert ended.proof.reaped >= 3
    assert not nursery.left()


async def test_a_stopped_family_that_ignores_term_is_killed(nursery: Nursery) -> None:
    """L75, L74."""
    one = await nursery.begun("stubborn")
    await one.is_up(6)
    one.run.end("stop", 50)
    ended = await one.run.ended()
    assert ended.why == "stop"
    assert ended.proof.signals == ("TERM", "KILL")
    assert ended.proof.reaped >= 6
    assert not nursery.left()


async def test_a_run_that_hears_term_is_not_killed(nursery: Nursery) -> None:
    one = await nursery.begun("stay")
    await one.is_up()
    one.run.end("stop", 60_000)
    ended = await one.run.ended()
    assert (ended.proof.signals, ended.signal) == (("TERM",), "SIGTERM")


async def test_cancelling_the_task_of_the_loop_leaves_nothing(nursery: Nursery) -> None:
    one = await nursery.begun("stubborn")
    await one.is_up(6)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(one.run.ended())
        await asyncio.wait([waiting], timeout=0)
        waiting.cancel()
    assert waiting.cancelled()
    assert not nursery.left()


# ---- who may die


async def test_a_run_that_kills_its_guard_is_hunted_down(nursery: Nursery) -> None:
    """L75: without the guard nobody is told of the family; marker and session find it."""
    one = await nursery.begun("kill guard")
    await one.family_is_up()
    one.run.say(b"{}")
    ended = await one.run.ended()
    assert ended.why == "lost"
    assert not nursery.left()


async def test_a_guard_that_is_killed_takes_its_run_along(nursery: Nursery) -> None:
    """L75: poison from outside, and the family is as deaf as can be."""
    one = await nursery.begun("stubborn")
    await one.is_up(6)
    os.kill(one.guard, signal.SIGKILL)
    ended = await one.run.ended()
    assert (ended.why, ended.proof.survivors) == ("lost", 0)
    assert not nursery.left()


async def test_a_run_that_freezes_its_guard_is_stopped_all_the_same(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.runners.process.SUPERVISOR_SILENCE_MS", 300)
    one = await nursery.begun("freeze guard")
    await one.family_is_up()
    guard = one.guard
    one.run.say(b"{}")
    await until(lambda: words_of(guard)[0] == "T", "the guard is frozen", PATIENCE_S)
    one.run.end("stop", 0)
    assert (await one.run.ended()).why == "stop"
    assert not nursery.left()


async def test_runs_outlive_a_killed_zygote_and_end_as_they_would_have(nursery: Nursery) -> None:
    """A run depends on its own guard alone; the next one gets a new zygote."""
    first = nursery.zygote.pid
    good, deaf = await nursery.begun("wait"), await nursery.begun("stubborn")
    await good.is_up()
    await deaf.is_up(6)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    _, ended = await nursery.done("echo")
    assert ended.exit_code == 0
    assert nursery.zygote.pid not in {first, None}
    good.run.say(b'"well"')
    assert (await good.run.ended()).exit_code == 0
    assert good.result == "well"
    deaf.run.end("stop", 10)
    assert (await deaf.run.ended()).proof.signals == ("TERM", "KILL")
    assert not nursery.left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_meant_for_everybody_leaves_zygote_and_guards_alone(
    tmp_path: Path, number: signal.Signals
) -> None:
    """A service manager signals all processes of a sidecar, which drains: also when an import took them."""
    async with nursery_in(tmp_path) as nursery:
        nursery.prepares("signals")
        await nursery.zygote.start()
        one = await nursery.begun("wait")
        await one.is_up()
        assert nursery.zygote.pid is not None
        for pid in {nursery.zygote.pid, *nursery.left()} - {one.run.session}:
            os.kill(pid, number)
        one.run.say(b"1")
        assert (await one.run.ended()).exit_code == 0
        assert (await nursery.done("echo"))[0].result["imported_by"] == nursery.zygote.pid
        assert nursery.imports() == 1


@contextlib.contextmanager
def sidecar_alone(folder: Path, act: str) -> Iterator[tuple[subprocess.Popen[str], str, Any]]:
    """A process with one run whose family is up, its mark, and what it said of the run."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "nurse.py"), str(folder), act],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TEST_MARK": mark},
    )
    with process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            yield process, mark, told
        finally:
            process.kill()


@pytest.mark.parametrize("act", ["stubborn", "succeed"])
def test_nothing_outlives_a_killed_sidecar(tmp_path: Path, act: str) -> None:
    """L75: kill -9 of the sidecar: zygote, guard, run and grandchildren are gone, whatever their session."""
    with sidecar_alone(tmp_path, act) as (process, mark, _):
        assert len(alive(mark)) >= 6
        process.kill()
        process.wait()
        until_true(lambda: not alive(mark), "no orphan is left", PATIENCE_S)


def test_an_import_does_not_outlive_a_killed_sidecar(tmp_path: Path) -> None:
    """L75: it hears nothing while it imports, so the kernel tells it."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "prepare").write_text("hang")
    with sidecar_alone(tmp_path, "import") as (process, mark, _):
        process.kill()
        process.wait()
        until_true(lambda: not alive(mark), "no orphan is left", PATIENCE_S)


def test_what_outlives_sidecar_and_guard_is_found_at_the_next_start(tmp_path: Path) -> None:
    """L75: both are killed in one breath, and the family has left its session: only the marker tells."""
    with sidecar_alone(tmp_path, "stubborn") as (process, mark, told):
        guard = int(words_of(told["run"])[1])
        os.kill(guard, signal.SIGSTOP)
        process.kill()
        process.wait()
        os.kill(guard, signal.SIGKILL)
        until_true(lambda: told["run"] not in alive(mark), "the run died with its guard", PATIENCE_S)
        until_true(lambda: guard not in alive(mark), "the guard is dead", PATIENCE_S)
        orphans = alive(mark)
        assert kill_at_once(frozenset({told["marker"]})) == len(orphans) > 0
        until_true(lambda: not alive(mark), "no orphan is left", PATIENCE_S)
