"""`hub watch` in a process of its own: it stays with the feed, detaches, and finds what it is asked for."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from console.output import CommandFailed, Exit
from hub.commands.client import HubEvent, events_of
from hub.commands.watch import cursor_at
from tests.hub.conftest import HubProcess, RunningHub
from tests.hub.peers import V2Peer
from tests.hub.typing_hands import line_of, run, said_by, typed


async def finished(hub: RunningHub, description: str, agent_id: str = "ada") -> str:
    """A task that an agent has completed."""
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(agent_id))
    await peer.identify(agent_id, instance_id=f"instance-{description}")
    pushed = await hub.push(agent_id, description)
    assert (await peer.work(await peer.hear("task_assign")))["status"] == "complete"
    await peer.hang_up()
    return str(pushed["task_id"])


async def test_a_task_that_has_ended_is_told_from_the_beginning(running_hub: RunningHub) -> None:
    task_id = await finished(running_hub, "first")
    for words in (("watch", task_id), ("watch", "--last"), ("watch", "--last", "--agent", "ada")):
        said = await run(running_hub, *words)
        assert said.code == 0, said.err
        assert said.records[0]["event"] == "task_queued"
        assert said.records[-1]["task_id"] == task_id


async def test_a_task_that_nobody_knows_ends_with_6(running_hub: RunningHub) -> None:
    said = await run(running_hub, "watch", "task-0000000000000000")
    assert said.code == 6
    assert "hub tasks list" in said.err
    assert (await run(running_hub, "watch", "--last")).code == 6
    assert (await run(running_hub, "watch", "task-0000000000000000", "--last")).code == 2


async def test_an_interrupt_detaches_says_how_to_come_back_and_stops_nothing(
    running_hub: RunningHub,
) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    pushed = await running_hub.push("ada", "long")
    await peer.say(peer.fact("task_accepted", await peer.hear("task_assign")))
    async with typed(running_hub, "watch", pushed["task_id"]) as command:
        while json.loads(await line_of(command.stdout))["event"] != "task_accepted":
            pass
        said = await said_by(command, signal.SIGINT)
    assert said.code == 130
    assert f"hub watch {pushed['task_id']}" in said.err
    assert (await running_hub.task(pushed["task_id"]))["state"] == "running"


async def test_the_whole_feed_is_resumed_where_it_was_left(running_hub: RunningHub) -> None:
    await finished(running_hub, "before")
    async with typed(running_hub, "watch", "--all", "--since", "1h") as command:
        first = json.loads(await line_of(command.stdout))
        assert first["event"] == "agent_joined"
        while json.loads(await line_of(command.stdout))["event"] != "agent_left":
            pass
        said = await said_by(command, signal.SIGINT)
    assert said.code == 130
    cursor = said.err.split("--since ")[1].split()[0]
    assert cursor.endswith(":6")
    await finished(running_hub, "after")
    async with typed(running_hub, "watch", "--agent", "ada", "--since", cursor) as command:
        assert json.loads(await line_of(command.stdout))["event"] == "agent_joined"
        await said_by(command, signal.SIGINT)
    assert (await run(running_hub, "watch", "--since", "nonsense")).code == 2


async def test_a_watcher_lives_through_a_restart_of_the_hub(hub_process: HubProcess) -> None:
    hub_process.start()
    token = await hub_process.token("ada")
    pushed = await hub_process.push("ada", "patience", queue=True)
    async with typed(hub_process, "watch", pushed["task_id"]) as command:
        assert json.loads(await line_of(command.stdout))["event"] == "task_queued"
        hub_process.kill()
        hub_process.start()
        peer = await V2Peer.dial(hub_process.ws_address, token=token)
        await peer.identify("ada")
        await peer.work(await peer.hear("task_assign"))
        said = await said_by(command)
    assert said.code == 0, said.err
    assert [one.get("event") for one in said.records] == [
        "task_assigned",
        "task_accepted",
        "task_complete",
        None,
    ]


async def test_a_task_whose_time_is_over_ends_with_124(running_hub: RunningHub) -> None:
    async with running_hub.http() as client:
        body = {"description": "too late", "assign_to": "ada", "start_by": 1}
        pushed = (await client.post("/api/tasks", json=body)).json()
    assert (await run(running_hub, "watch", pushed["task_id"])).code == 124


async def test_a_watcher_whose_token_is_no_good_ends_with_4(running_hub: RunningHub) -> None:
    assert (await run(running_hub, "watch", "--all", HUB_TOKEN="hubv_nonsense")).code == 4


class Log:
    """A feed of events with a time each, which answers like a hub whose older half was pruned or not."""

    url = "http://nowhere"

    def __init__(self, times: list[int], pruned: int = 0) -> None:
        self._times = times
        self._pruned = pruned
        self.asked = 0

    def feed(self, *, since: str | None = None) -> Iterator[HubEvent]:
        self.asked += 1
        if since is None:
            yield HubEvent("snapshot", {"timestamp": self._times[-1]}, f"epoch:{len(self._times)}")
            return
        offset = int(since.partition(":")[2])
        if offset < self._pruned:
            yield HubEvent("reset", {"timestamp": 0}, None)
        for number, at in enumerate(self._times[offset:], offset + 1):
            yield HubEvent("task_queued", {"timestamp": at}, f"epoch:{number}")


def begin(log: Log, at_ms: int) -> int:
    cursor = cursor_at(log, at_ms)  # type: ignore[arg-type]  # of a client it asks the feed and nothing else
    assert cursor is not None
    return int(cursor.partition(":")[2])


def test_how_far_back_is_found_by_a_few_questions() -> None:
    log = Log([10 * number for number in range(100_000)])
    place = begin(log, 500_000)
    assert place * 10 <= 500_000
    assert place > 25_000
    assert log.asked < 12
    assert begin(Log([10, 20, 30]), 0) == 0
    assert begin(Log(list(range(5_000)), pruned=3_500), 0) >= 3_500


def test_server_sent_events_are_read_by_their_fields() -> None:
    lines = iter(
        [
            *(": ping", "", "id: e:1", "event: task_queued", 'data: {"a": 1}', ""),
            *("event: task_log", 'data: {"b":', "data: 2}", "", "event: empty", ""),
        ]
    )
    assert list(events_of(lines)) == [
        HubEvent("task_queued", {"a": 1}, "e:1"),
        HubEvent("task_log", {"b": 2}, None),
    ]


def test_asking_again_ends_when_the_answer_is_a_refusal() -> None:
    from console.output import Output
    from hub.commands.redialling import patiently

    def refused() -> Any:
        raise CommandFailed("not for you", Exit.NOT_AUTHORISED)

    with pytest.raises(CommandFailed, match="not for you"):
        patiently(Output(), refused)
