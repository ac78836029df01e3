"""A zygote that is kept, lost, replaced and renewed; the imports that fail on the way are real ones."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.clock import SidecarClock
from sidecar.events import Now
from sidecar.runners import forking, importing
from sidecar.runners.forking import Forked
from sidecar.runners.importing import REPORT_BYTES_MAX, TAIL_BYTES_MAX, Importer, Recipe, Report
from sidecar.runners.prepared import CannotPrepare, PreparedPlugin, read_report
from sidecar.runners.warm import REST_FIRST_MS, REST_MOST_MS, is_possible
from tests.sidecar.forks import (
    PATIENCE_S,
    Nursery,
    descriptors,
    no_more_descriptors_than,
    nursery_in,
    words_of,
)
from tests.sidecar.runs import alive
from tests.waiting import until


class Rests(SidecarClock):
    """A clock that does not rest, but remembers for how long it should have."""

    def __init__(self) -> None:
        self.rests: list[int] = []

    def now(self) -> Now:
        return Now(0, 0)

    async def wait(self, event: asyncio.Event, until_ms: int | None) -> None:
        assert until_ms is not None
        self.rests.append(until_ms)


@pytest.fixture
def clock() -> Rests:
    return Rests()


@pytest.fixture
async def nursery(tmp_path: Path, clock: Rests) -> AsyncIterator[Nursery]:
    async with nursery_in(tmp_path, clock) as made:
        yield made


def kill(pid: int | None, number: signal.Signals = signal.SIGKILL) -> None:
    assert pid is not None
    os.kill(pid, number)


# ---- what the import says


async def test_the_plugins_that_were_imported_are_told(nursery: Nursery) -> None:
    (nursery.plugins / "brief").mkdir()
    prepared = await nursery.zygote.start()
    assert prepared.plugins == (PreparedPlugin("brief", "1"),)
    assert prepared.troubles == ()
    assert nursery.zygote.prepared == prepared
    assert is_possible()


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("raise", "ZeroDivisionError: "),
        ("leave", "SystemExit: a plugin wants to leave"),
        ("die", "ended while importing (exit code 3); last output:\nwords of the import"),
        ("crash", "ended while importing (signal 11)"),
        ("long", "RuntimeError: xxx"),
    ],
)
async def test_an_import_that_fails_is_reported_with_its_reason(
    nursery: Nursery, what: str, sentence: str
) -> None:
    """L83, L92: whatever the code of a plugin does, the sidecar lives and says it."""
    nursery.prepares(what)
    with pytest.raises(CannotPrepare) as told:
        await nursery.zygote.start()
    assert sentence in str(told.value)
    assert ("Traceback" in told.value.traceback) == (what in {"raise", "leave", "long"})
    assert nursery.zygote.pid is None
    await nursery.none_is_left()


async def test_an_import_that_hangs_is_given_up(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "START_MS", 1_000)
    nursery.prepares("hang")
    with pytest.raises(CannotPrepare, match="took more than 1 s"):
        await nursery.zygote.start()
    await nursery.none_is_left()


async def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    recipe = Recipe(child="no.such.child", folders=(), folder=tmp_path, environ={}, passed_on=())
    importer = Importer(recipe)
    await importer.begin()
    with pytest.raises(CannotPrepare, match=r"cannot prepare no\.such\.child: ModuleNotFoundError"):
        await importer.prepared()
    await importer.end()


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    recipe = Recipe(child="x", folders=(), folder=tmp_path / "taken", environ={}, passed_on=())
    importer = Importer(recipe)
    with pytest.raises(CannotPrepare, match="cannot be started: File exists"):
        await importer.begin()
    await importer.end()


async def test_a_thread_that_an_import_left_is_a_trouble(nursery: Nursery) -> None:
    """A fork takes one thread along, and the locks of all."""
    nursery.prepares("thread")
    (trouble,) = (await nursery.zygote.start()).troubles
    assert trouble.sentence.startswith("1 threads were started while the plugins were imported (left-behind)")
    assert (await nursery.done("echo"))[0].result["threads"] == 1


async def test_a_report_may_be_long_but_not_endless() -> None:
    """At the edge of its limit, and one beyond."""
    line: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    report = Report(line)
    report.data_received(b"x" * REPORT_BYTES_MAX)
    assert not line.done()
    report.data_received(b"x")
    with pytest.raises(CannotPrepare, match="cannot be read"):
        read_report(await line)


async def test_of_what_an_import_prints_the_end_is_kept(tmp_path: Path) -> None:
    importer = Importer(Recipe(child="x", folders=(), folder=tmp_path, environ={}, passed_on=()))
    importer.tail = b"old" + b"x" * (TAIL_BYTES_MAX - 3)
    importer.hear(1, b"new")
    assert importer.tail == b"x" * (TAIL_BYTES_MAX - 3) + b"new"
    assert importer.quoting("It failed").startswith("It failed; last output:\nxxx")


# ---- lost and replaced


async def test_a_run_that_finds_the_zygote_dead_waits_for_a_new_one(nursery: Nursery, clock: Rests) -> None:
    await nursery.zygote.start()
    first = nursery.zygote.pid
    kill(first)
    one, ended = await nursery.done("echo")
    assert ended.exit_code == 0
    assert one.result["imported_by"] == nursery.zygote.pid != first
    assert clock.rests == [], "the first one that is lost is replaced at once"


async def test_a_zygote_that_is_stopped_is_noticed_at_a_request_and_replaced(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not answer for ever; nothing was begun in it, so the run only waits."""
    await nursery.zygote.start()
    first = nursery.zygote.pid
    kill(first, signal.SIGSTOP)
    with monkeypatch.context() as patched:
        patched.setattr(forking, "ANSWER_MS", 500)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(nursery.done("echo"))
            await until(lambda: nursery.zygote.pid != first, "it is given up", PATIENCE_S)
            patched.undo()
    assert running.result()[0].result["imported_by"] == nursery.zygote.pid != first


async def test_a_zygote_that_stops_between_question_and_fork_fails_the_run_alone(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard may have been begun by then, and no run is begun twice: it fails, and may be retried."""
    await nursery.zygote.start()
    monkeypatch.setattr(forking.Forker, "make_sure", no_question)
    monkeypatch.setattr(forking, "ANSWER_MS", 500)
    kill(nursery.zygote.pid, signal.SIGSTOP)
    with pytest.raises(CannotPrepare, match="has not answered"):
        await nursery.begun("echo")
    monkeypatch.undo()
    assert (await nursery.done("echo"))[1].exit_code == 0


async def no_question(forker: forking.Forker) -> None:
    """As if it had been asked, and had answered."""


async def test_a_zygote_without_room_for_descriptors_says_so(nursery: Nursery) -> None:
    """L92: the run fails with the machine's reason, and no half of a guard is left."""
    await nursery.zygote.start()
    pid = nursery.zygote.pid
    assert pid is not None
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    most = next(most for most in range(3, 100) if len(set(range(most)) - used) == 3)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
    with pytest.raises(CannotPrepare, match="cannot fork: Too many open files"):
        await nursery.begun("echo")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert (await nursery.done("echo"))[0].result["imported_by"] == pid
    assert not nursery.left()


async def test_each_start_that_fails_makes_the_next_rest_longer(nursery: Nursery, clock: Rests) -> None:
    """Seconds of a core each time: doubled up to the longest, and forgotten with the first fork."""
    nursery.prepares("raise")
    for _ in range(9):
        with pytest.raises(CannotPrepare):
            await nursery.zygote.start()
    assert clock.rests[:3] == [REST_FIRST_MS, 2 * REST_FIRST_MS, 4 * REST_FIRST_MS]
    assert clock.rests[-1] == REST_MOST_MS
    nursery.prepares("")
    await nursery.done("echo")
    clock.rests.clear()
    kill(nursery.zygote.pid)
    await nursery.done("echo")
    assert clock.rests == []


async def test_who_waits_for_a_start_shares_its_failure(nursery: Nursery) -> None:
    """Twenty runs do not import a broken plugin twenty times, one after the other."""
    nursery.prepares("raise")
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(failing(nursery)) for _ in range(20)]
    assert {"ZeroDivisionError" in each.result() for each in waiting} == {True}
    assert nursery.imports() == 1


async def failing(nursery: Nursery) -> str:
    with pytest.raises(CannotPrepare) as told:
        await nursery.begun("echo")
    return str(told.value)


async def test_a_run_that_is_cancelled_while_it_waits_leaves_nothing(nursery: Nursery) -> None:
    nursery.prepares("hang")
    before = descriptors()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(nursery.begun("echo"))
        await until(nursery.imports, "the import hangs", PATIENCE_S)
        waiting.cancel()
    await nursery.none_is_left()
    await no_more_descriptors_than(before)


async def test_a_zygote_that_is_kept_is_replaced_before_anybody_asks(nursery: Nursery) -> None:
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(nursery.zygote.keep())
        await until(lambda: nursery.zygote.pid, "there is one", PATIENCE_S)
        first = nursery.zygote.pid
        kill(first)
        await until(lambda: nursery.zygote.pid not in {first, None}, "there is another", PATIENCE_S)
        await nursery.zygote.close()
    assert keeping.result() is None


# ---- renewed and closed


async def test_a_reload_imports_anew_and_touches_no_run(nursery: Nursery) -> None:
    await nursery.zygote.start()
    first = nursery.zygote.pid
    one = await nursery.begun("wait")
    await one.is_up()
    (nursery.plugins / "added").mkdir()
    assert (await nursery.zygote.reload()).plugins == (PreparedPlugin("added", "1"),)
    assert nursery.zygote.pid != first
    assert first not in alive(nursery.mark)
    one.run.say(b'"still here"')
    assert (await one.run.ended()).exit_code == 0
    assert one.result == "still here"
    assert (await nursery.done("echo"))[0].result["imported_by"] == nursery.zygote.pid


async def test_a_reload_that_fails_keeps_what_there_is(nursery: Nursery) -> None:
    """L83: one broken plugin file must not take the sidecar's crews away."""
    before = await nursery.zygote.start()
    first = nursery.zygote.pid
    nursery.prepares("raise")
    with pytest.raises(CannotPrepare, match="ZeroDivisionError"):
        await nursery.zygote.reload()
    assert nursery.zygote.prepared == before
    assert (await nursery.done("echo"))[0].result["imported_by"] == first


async def test_runs_that_ask_during_reloads_all_get_their_process(nursery: Nursery) -> None:
    await nursery.zygote.start()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(nursery.done("echo")) for _ in range(10)]
        for _ in range(2):
            await nursery.zygote.reload()
            running += [group.create_task(nursery.done("echo")) for _ in range(5)]
    assert {each.result()[1].exit_code for each in running} == {0}


async def test_a_closed_zygote_is_gone_and_stays_so(nursery: Nursery) -> None:
    await nursery.zygote.start()
    await nursery.zygote.close()
    assert not alive(nursery.mark)
    with pytest.raises(CannotPrepare, match="leaving"):
        await nursery.begun("echo")
    with pytest.raises(CannotPrepare, match="leaving"):
        await nursery.zygote.reload()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_closing_ends_a_zygote_that_is_stopped_or_dead(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(importing, "LEAVE_MS", 300)
    await nursery.zygote.start()
    kill(nursery.zygote.pid, number)
    await nursery.zygote.close()
    assert not alive(nursery.mark)


async def test_closing_does_not_wait_for_an_import_that_hangs(nursery: Nursery) -> None:
    nursery.prepares("hang")
    async with asyncio.TaskGroup() as group:
        starting = group.create_task(failing(nursery))
        await until(nursery.imports, "the import hangs", PATIENCE_S)
        await nursery.zygote.close()
    assert "ended while importing (signal 9)" in starting.result()
    assert not alive(nursery.mark)


async def test_runs_leave_no_descriptor_open_here_or_in_the_zygote(nursery: Nursery) -> None:
    """L110, in small."""
    await nursery.zygote.start()
    await nursery.done("echo")
    here, there = descriptors(), descriptors(nursery.zygote.pid)
    for act in ("echo", "leave", "raise") * 3:
        one = await nursery.begun(act)
        one.run.say(b"{}")
        await one.run.ended()
    await no_more_descriptors_than(here)
    await until(lambda: descriptors(nursery.zygote.pid) == there, "the zygote has closed its own", PATIENCE_S)


async def test_a_guard_is_collected_once_and_killed_never_again(nursery: Nursery) -> None:
    """Its descriptor is closed: a number that belongs to another process by now cannot be hit."""
    one = await nursery.begun("stay")
    await one.is_up()
    guard = one.run.guard
    assert isinstance(guard, Forked)
    number = one.guard
    guard.kill()
    await one.run.ended()
    await until(lambda: not os.path.exists(f"/proc/{number}"), "its zygote has collected it", PATIENCE_S)
    guard.kill()
    await guard.collected()


async def test_a_zygote_collects_its_dead_guards(nursery: Nursery) -> None:
    await nursery.zygote.start()
    for _ in range(5):
        await nursery.done("echo")
    await until(lambda: not zombies_of(nursery.zygote.pid), "no zombie is left", PATIENCE_S)


def zombies_of(pid: int | None) -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent = words_of(int(name))[:2]
        except OSError:
            continue
        if state == "Z" and int(parent) == pid:
            found.append(name)
    return found
