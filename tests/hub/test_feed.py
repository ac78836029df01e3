"""The feed: order, cursors, gaps and resets, for watchers of any speed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from msgspec import Raw

from hub.clock import HubClock
from hub.core.effects import PassBy
from hub.errors import Overloaded
from hub.feed import Feed, Watcher
from hub.lines import BadCursor, Filter, Line, on_one_line, parse_cursor
from hub.metrics import Metrics
from hub.ports import CommittedEvent
from protocol.ids import AgentId, TaskId, TokenId

NO_WAIT_MS = 1


def committed(offset: int, event: str = "task_accepted", task_id: str = "task-1") -> CommittedEvent:
    return CommittedEvent(
        offset=offset,
        event=event,
        task_id=task_id,
        agent_id="ada",
        generation=1,
        timestamp=1_000 + offset,
        payload=Raw(b"{}"),
    )


def passing(n: int) -> PassBy:
    return PassBy(
        event="task_progress",
        task_id=TaskId("task-1"),
        agent_id=AgentId("ada"),
        generation=1,
        timestamp=n,
        payload=Raw(b'{"n":%d}' % n),
    )


class LogDouble:
    """The log in memory, with a retention that a test moves."""

    def __init__(self) -> None:
        self.events: list[CommittedEvent] = []

    async def events_after(self, offset: int, limit: int) -> Sequence[CommittedEvent]:
        return [event for event in self.events if event.offset > offset][:limit]


class World:
    def __init__(self, ring_events: int = 100, watchers_max: int = 10) -> None:
        self.log = LogDouble()
        self.feed = Feed(
            self.log,
            epoch="e1",
            last_offset=0,
            clock=HubClock(),
            metrics=Metrics(),
            snapshot=lambda: Raw(b'{"tasks":{}}'),
            ring_events=ring_events,
            watchers_max=watchers_max,
            watchers_per_token_max=watchers_max,
        )

    def commit(self, count: int, event: str = "task_accepted", task_id: str = "task-1") -> None:
        first = self.feed.last_offset + 1
        events = [committed(first + n, event, task_id) for n in range(count)]
        self.log.events += events
        self.feed.publish(events)
        self.feed.wake()

    def pass_by(self, *numbers: int) -> None:
        for n in numbers:
            self.feed.pass_by(passing(n))
        self.feed.wake()

    def watch(self, since: str | None = None, wanted: Filter | None = None) -> Watcher:
        return self.feed.watch(wanted or Filter(), since=since)


async def seen(watcher: Watcher) -> list[Line]:
    """All that the watcher sees until nothing is left."""
    lines: list[Line] = []
    while found := await watcher.look(NO_WAIT_MS):
        lines += found
    return lines


def words(lines: list[Line]) -> list[str]:
    return [line.source.event for line in lines]


def offsets(lines: list[Line]) -> list[int]:
    return [line.offset for line in lines if line.offset is not None]


async def test_a_new_watcher_gets_a_snapshot_and_then_what_happens() -> None:
    world = World()
    world.commit(3)
    watcher = world.watch()
    world.commit(2)
    lines = await seen(watcher)
    assert words(lines) == ["snapshot", "task_accepted", "task_accepted"]
    assert offsets(lines) == [3, 4, 5]


async def test_a_watcher_that_was_cut_every_time_sees_every_event_once_and_in_order() -> None:
    world = World()
    watcher = world.watch()
    cursor = (await seen(watcher))[-1].cursor
    got: list[int] = []
    for turn in range(20):
        world.commit(turn % 4)
        watcher.end()
        watcher = world.watch(since=cursor)
        world.commit(turn % 3)
        lines = await seen(watcher)
        got += offsets(lines)
        cursor = lines[-1].cursor if lines else cursor
    assert got == list(range(1, world.feed.last_offset + 1))


async def test_a_watcher_out_of_the_ring_reads_on_from_the_log() -> None:
    world = World(ring_events=100)
    watcher = world.watch(since="e1:0")
    world.commit(2_500)
    lines = await seen(watcher)
    assert offsets(lines) == list(range(1, 2_501))
    assert "reset" not in words(lines)


async def test_what_is_committed_and_not_told_yet_is_seen_once_also_by_who_reads_the_log() -> None:
    """D10: the ledger is a moment ahead of the feed, in another thread."""
    world = World(ring_events=2)
    world.commit(5)
    watcher = world.watch("e1:0")
    ahead = [committed(6), committed(7)]
    world.log.events += ahead
    early = await seen(watcher)
    world.feed.publish(ahead)
    world.feed.wake()
    assert offsets([*early, *await seen(watcher)]) == [1, 2, 3, 4, 5, 6, 7]


async def test_a_slow_watcher_falls_out_and_comes_back_without_missing_a_commit() -> None:
    world = World(ring_events=100)
    watcher = world.watch()
    await seen(watcher)
    got: list[int] = []
    for _ in range(10):
        world.commit(150)
        got += offsets(await watcher.look(NO_WAIT_MS))
    got += offsets(await seen(watcher))
    assert got == list(range(1, 1_501))


async def test_lost_passing_events_leave_a_gap_that_is_said() -> None:
    """L62."""
    world = World(ring_events=10)
    watcher = world.watch()
    await seen(watcher)
    world.commit(1)
    world.pass_by(*range(50))
    world.commit(1)
    lines = await seen(watcher)
    assert offsets(lines) == [1, 2]
    assert "gap" in words(lines)
    gap = next(line for line in lines if line.source.event == "gap")
    assert set(msgspec.json.decode(gap.source.payload)) == {"from", "to"}


async def test_passing_events_carry_no_id_and_are_seen_in_their_place() -> None:
    world = World()
    watcher = world.watch()
    world.commit(1)
    world.pass_by(1)
    world.commit(1)
    lines = await seen(watcher)
    assert words(lines) == ["snapshot", "task_accepted", "task_progress", "task_accepted"]
    assert b"id:" not in lines[2].sse
    assert lines[1].sse.startswith(b"id: e1:1\nevent: task_accepted\ndata: {")


async def test_a_resumed_watcher_is_not_told_progress_twice_but_that_there_was_some() -> None:
    world = World()
    first = world.watch()
    world.commit(1)
    world.pass_by(1)
    cursor = (await seen(first))[-1].cursor
    world.pass_by(2)
    resumed = world.watch(since=cursor)
    world.pass_by(3)
    lines = await seen(resumed)
    assert words(lines) == ["gap", "task_progress"]
    assert b'"n":3' in lines[1].json


async def test_a_cursor_of_another_epoch_is_answered_with_reset_and_a_snapshot() -> None:
    world = World()
    world.commit(5)
    assert words(await seen(world.watch(since="e0:3"))) == ["reset", "snapshot"]


async def test_a_cursor_from_the_future_is_answered_with_reset() -> None:
    world = World()
    world.commit(5)
    assert words(await seen(world.watch(since="e1:6"))) == ["reset", "snapshot"]


async def test_a_cursor_behind_retention_is_answered_with_reset() -> None:
    world = World(ring_events=100)
    world.commit(1_000)
    world.log.events = world.log.events[500:]
    lines = await seen(world.watch(since="e1:3"))
    assert words(lines) == ["reset", "snapshot"]
    assert offsets(lines) == [1_000, 1_000]


async def test_a_lost_history_resets_every_watcher() -> None:
    world = World()
    watcher = world.watch()
    await seen(watcher)
    world.commit(2)
    world.feed.renew_epoch("e2")
    world.commit(1)
    lines = await seen(watcher)
    assert words(lines) == ["reset", "snapshot", "task_accepted"]
    assert lines[-1].cursor == "e2:3"


async def test_a_watcher_sees_only_what_it_asked_for() -> None:
    world = World()
    watcher = world.watch(wanted=Filter(task_id="task-2", kinds=frozenset({"task_complete"})))
    await seen(watcher)
    world.commit(3)
    world.commit(1, "task_complete", "task-2")
    world.commit(1, "task_accepted", "task-2")
    lines = await seen(watcher)
    assert offsets(lines) == [4]


async def test_a_line_is_encoded_once_however_many_watch() -> None:
    world = World()
    watchers = [world.watch() for _ in range(5)]
    world.commit(1)
    lines = [(await seen(watcher))[-1] for watcher in watchers]
    assert len({id(line.sse) for line in lines}) == 1


async def test_an_ended_watcher_sees_nothing_more() -> None:
    world = World()
    watcher = world.feed.watch(Filter(), since=None, token_id=TokenId("tok-1"), session="s1")
    assert world.feed.close_session("s1") == 1
    world.commit(1)
    assert await seen(watcher) == []


async def test_too_many_watchers_are_refused() -> None:
    world = World(watchers_max=2)
    watchers = [world.watch(), world.watch()]
    with pytest.raises(Overloaded):
        world.watch()
    watchers[0].end()
    world.watch()


@pytest.mark.parametrize("text", ["", "abc", "e1:", ":3", "e1:-1", "e1:1.5", "e1:" + "9" * 40, "e1:\u0661"])
def test_what_is_no_cursor_is_named_so(text: str) -> None:
    """L58."""
    with pytest.raises(BadCursor):
        parse_cursor(text)


def test_a_payload_with_line_ends_stays_one_event() -> None:
    assert b"\n" not in on_one_line(b'{\r\n "a": "b\\n"\n}')
    assert msgspec.json.decode(on_one_line(b'{\r\n "a": "b\\n"\n}')) == {"a": "b\n"}
