"""The whole sidecar against a scripted hub on a real socket: cuts, cancels, full disks and new processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol import frames as f
from protocol.ids import Generation
from sidecar.connect import Sidecar
from sidecar.errors import NotAuthorised
from sidecar.journal import read_journal
from sidecar.settings import Settings
from tests.sidecar.dialogue import raw, task
from tests.sidecar.hubdouble import HubDouble, hub_double
from tests.sidecar.process import sidecar_of, sidecar_process
from tests.waiting import until

SLOW = raw('{"echo": {"sleep_ms": 600000, "steps": 1000}}')


@pytest.fixture
async def hub() -> AsyncIterator[HubDouble]:
    async with hub_double() as double:
        yield double


async def test_a_task_is_accepted_done_and_receipted(hub: HubDouble, tmp_path: Path) -> None:
    async with sidecar_of(hub, tmp_path) as sidecar:
        await hub.caller()
        await hub.assign(1, description="hello")
        fact = await hub.fact(f.TaskComplete, 1)
        assert isinstance(fact, f.TaskComplete)
        assert json.loads(bytes(fact.result)) == {"echo": "hello"}
        await until(lambda: not sidecar.book.memory.facts, "every receipt is in")
        kept = read_journal((tmp_path / "journal").read_bytes())
        assert kept.instance_id == sidecar.book.instance_id


async def test_a_history_for_the_checker_tells_each_start_finish_and_receipt(
    hub: HubDouble, tmp_path: Path
) -> None:
    file = tmp_path / "history.jsonl"
    async with sidecar_of(hub, tmp_path / "state", history_file=file) as sidecar:
        await hub.caller()
        await hub.assign(1)
        await hub.fact(f.TaskComplete, 1)
        await until(lambda: not sidecar.book.memory.facts, "every receipt is in")
    lines = [json.loads(line) for line in (await asyncio.to_thread(file.read_text)).splitlines()]
    deeds = [(line["f"], line.get("task"), line.get("gen")) for line in lines if line["f"] != "ack"]
    assert deeds == [("start", task(1), 1), ("finish", task(1), 1)]
    acks = {line["key"]: line["value"] for line in lines if line["f"] == "ack"}
    assert acks == {"1": "accepted", "2": "complete"}
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))


async def test_a_broken_link_does_not_run_the_work_twice(hub: HubDouble, tmp_path: Path) -> None:
    """L4"""
    async with sidecar_of(hub, tmp_path) as sidecar:
        caller = await hub.caller()
        await hub.assign(1, metadata=raw('{"echo": {"sleep_ms": 300}}'))
        await hub.fact(f.TaskAccepted, 1)
        caller.socket.transport.abort()
        again = await hub.caller(2)
        assert [(held.task_id, held.state) for held in again.identify.holding] == [(task(1), "running")]
        await hub.fact(f.TaskComplete, 1)
        await until(lambda: not sidecar.book.memory.facts, "every receipt is in")
        assert [type(fact) for fact in hub.facts] == [f.TaskAccepted, f.TaskComplete]


async def test_a_result_made_while_the_hub_is_down_arrives_once(hub: HubDouble, tmp_path: Path) -> None:
    """L6"""
    async with sidecar_of(hub, tmp_path) as sidecar:
        await hub.caller()
        await hub.assign(1, metadata=raw('{"echo": {"sleep_ms": 200}}'))
        await hub.fact(f.TaskAccepted, 1)
        await hub.close()
        await until(lambda: sidecar.desk.runs_in_hand == 0, "the run is over")
        assert len(sidecar.book.memory.facts) == 1
        await hub.open()
        await hub.fact(f.TaskComplete, 1)
        await hub.close()
        await hub.open()
        await hub.caller(3)
        await until(lambda: not sidecar.book.memory.facts, "every receipt is in")
        assert [type(fact) for fact in hub.facts] == [f.TaskAccepted, f.TaskComplete]


async def test_an_assignment_cut_at_any_byte_is_run_exactly_once(hub: HubDouble, tmp_path: Path) -> None:
    """L22, L8: the socket ends after every byte of the frame; what was not heard comes again."""
    async with sidecar_of(hub, tmp_path):
        await hub.caller()
        message = f.TaskAssign(task_id=task(0), generation=Generation(1))
        size = 2 + len(hub.callers[0].conversation.say(message)[0])
        for cut in range(size + 1):
            number = len(hub.callers)
            caller = hub.callers[-1]
            (text,) = caller.conversation.say(f.TaskAssign(task_id=task(cut), generation=Generation(1)))
            assert isinstance(text, str)
            frame = bytes([0x81, len(text)]) + text.encode()
            caller.socket.transport.write(frame[:cut])
            caller.socket.transport.close()
            again = await hub.caller(number + 1)
            if task(cut) not in {held.task_id for held in again.identify.holding}:
                await hub.assign(cut)
            await hub.fact(f.TaskComplete, cut)
        starts = [fact.task_id for fact in hub.facts if isinstance(fact, f.TaskAccepted)]
        assert starts == [task(cut) for cut in range(size + 1)]


async def test_a_cancel_ends_the_run_and_is_proven(hub: HubDouble, tmp_path: Path) -> None:
    async with sidecar_of(hub, tmp_path):
        caller = await hub.caller()
        await hub.assign(1, metadata=SLOW)
        await hub.fact(f.TaskAccepted, 1)
        await caller.say(
            f.TaskCancel(task_id=task(1), generation=Generation(1), reason="asked", grace_ms=100)
        )
        fact = await hub.fact(f.TaskStopped, 1)
        assert isinstance(fact, f.TaskStopped)
        assert fact.how == "cooperative"


async def test_a_command_is_run_and_stopped_with_all_its_processes(hub: HubDouble, tmp_path: Path) -> None:
    """L75"""
    command = ("/bin/sh", "-c", "trap '' TERM; sleep 600 & sleep 600")
    async with sidecar_of(hub, tmp_path, command=command):
        caller = await hub.caller()
        await hub.assign(1)
        await hub.fact(f.TaskAccepted, 1)
        await caller.say(f.TaskCancel(task_id=task(1), generation=Generation(1), reason="asked", grace_ms=50))
        fact = await hub.fact(f.TaskStopped, 1)
        assert isinstance(fact, f.TaskStopped)
        assert fact.proof.survivors == 0


async def test_a_plugin_that_nobody_configured_is_rejected(hub: HubDouble, tmp_path: Path) -> None:
    """L72: nothing to run is an answer, not a wait."""
    async with sidecar_of(hub, tmp_path, commands={"poet": {"argv": ["/bin/true"]}}):
        caller = await hub.caller()
        assert caller.identify.plugins == ("poet",)
        await hub.assign(1, plugin="miner")
        fact = await hub.fact(f.TaskRejected, 1)
        assert isinstance(fact, f.TaskRejected)
        assert fact.reason == "unknown_plugin"
        await hub.assign(2, plugin="poet")
        await hub.fact(f.TaskComplete, 2)


async def test_a_killed_sidecar_reports_its_run_as_a_crash_when_it_is_back(
    hub: HubDouble, tmp_path: Path
) -> None:
    arguments = ("connect", hub.url, "--agent-id", "a", "--state-dir", str(tmp_path / "state"))
    token = tmp_path / "token"
    token.write_text("t")
    async with sidecar_process(*arguments, "--token-file", str(token)) as first:
        await hub.caller()
        await hub.assign(1, metadata=SLOW)
        await hub.fact(f.TaskAccepted, 1)
        await first.kill()
    async with sidecar_process(*arguments, "--token-file", str(token)) as second:
        fact = await hub.fact(f.TaskFailed, 1)
        assert isinstance(fact, f.TaskFailed)
        assert (fact.error, fact.retryable) == ("sidecar_crash", True)
        second.process.terminate()
        code, _, _ = await second.end()
        assert code == 0
    identities = {caller.identify.instance_id for caller in hub.callers}
    boots = {caller.identify.boot_id for caller in hub.callers}
    assert (len(identities), len(boots)) == (1, 2)


async def test_sigterm_finishes_the_run_and_the_second_one_stops_it(hub: HubDouble, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    arguments = ("connect", hub.url, "--agent-id", "a", "--state-dir", str(tmp_path / "state"))
    async with sidecar_process(*arguments, "--token-file", str(token)) as process:
        caller = await hub.caller()
        await hub.assign(1, metadata=SLOW)
        await hub.fact(f.TaskAccepted, 1)
        process.process.terminate()
        await until(lambda: f.Draining() in caller.heard, "it says that it is draining")
        await hub.assign(2)
        rejected = await hub.fact(f.TaskRejected, 2)
        assert isinstance(rejected, f.TaskRejected)
        assert rejected.reason == "draining"
        assert process.process.returncode is None
        process.process.terminate()
        fact = await hub.fact(f.TaskFailed, 1)
        assert isinstance(fact, f.TaskFailed)
        assert fact.error == "sidecar_shutdown"
        code, _, err = await process.end()
        assert code == 0
        assert "finishing 1 runs" in err


async def test_a_drain_that_takes_too_long_stops_the_runs(hub: HubDouble, tmp_path: Path) -> None:
    async with sidecar_of(hub, tmp_path, drain_ms=30) as sidecar:
        await hub.caller()
        await hub.assign(1, metadata=SLOW)
        await hub.fact(f.TaskAccepted, 1)
        sidecar.agent.drain()
        fact = await hub.fact(f.TaskFailed, 1)
        assert isinstance(fact, f.TaskFailed)


async def test_a_sidecar_for_one_task_leaves_after_it(hub: HubDouble, tmp_path: Path) -> None:
    sidecar = Sidecar(
        Settings(hub_url=hub.url, agent_id="a", token="t", state_dir=tmp_path, once=True), lambda _: None
    )
    sidecar.folder.create()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sidecar.work())
        await hub.caller()
        await hub.assign(1)
        assert await running == 0
    assert [type(fact) for fact in hub.facts] == [f.TaskAccepted, f.TaskComplete]
    assert not read_journal((tmp_path / "journal").read_bytes()).memory.facts


async def test_a_hub_that_will_not_have_us_stops_the_runs_and_ends_with_its_sentence(
    hub: HubDouble, tmp_path: Path
) -> None:
    """L37"""
    sidecar = Sidecar(Settings(hub_url=hub.url, agent_id="a", token="t", state_dir=tmp_path), lambda _: None)
    sidecar.folder.create()
    async with asyncio.TaskGroup() as tasks:

        async def work() -> None:
            with pytest.raises(NotAuthorised, match="not valid"):
                await sidecar.work()

        running = tasks.create_task(work())
        caller = await hub.caller()
        await hub.assign(1, metadata=SLOW)
        await hub.fact(f.TaskAccepted, 1)
        await caller.socket.close(4401, "invalid_token")
        await running
    memory = read_journal((tmp_path / "journal").read_bytes()).memory
    assert [type(fact.frame) for fact in memory.facts.values()] == [f.TaskFailed]


async def test_a_damaged_journal_is_said_aloud_and_makes_a_new_instance(
    hub: HubDouble, tmp_path: Path
) -> None:
    said: list[str] = []
    journal = tmp_path / "journal"
    await asyncio.to_thread(journal.write_bytes, b"rubbish")
    sidecar = Sidecar(
        Settings(hub_url=hub.url, agent_id="a", token="t", state_dir=tmp_path, once=True), said.append
    )
    sidecar.folder.create()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sidecar.work())
        await hub.caller()
        await hub.assign(1)
        await running
    assert any("new instance" in sentence for sentence in said)
    assert await asyncio.to_thread(journal.with_name("journal.damaged-1").read_bytes) == b"rubbish"
