"""Reads: filters, pages by key, and the bounds on both."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from hub.core.effects import AgentRecord, AgentSaved, Change, EventLogged
from hub.core.fingerprints import fingerprint
from hub.core.task import Ending, Priority, State
from hub.store import queries as shipped
from hub.store.ledger import SqliteLedger
from hub.store.mail import MAIL_KEPT_MS, MAILBOX_MAX, Mailboxes
from hub.store.queries import Queries
from hub.store.task_filters import TaskFilter
from protocol.ids import AgentId, TaskId
from protocol.limits import KIB
from tests.store.workload import (
    ADA,
    NOW,
    accepted,
    assigned,
    batch,
    completed,
    extras,
    mail_to,
    pushed,
    saved,
)

COUNT = 25


async def push_many(ledger: SqliteLedger, count: int = COUNT) -> None:
    """Task n of `count`: every fifth is for plugin `digest`, every third urgent."""
    changes: list[Change] = []
    for n in range(1, count + 1):
        plugin = "digest" if n % 5 == 0 else None
        task = pushed(n, plugin=plugin, priority=Priority.URGENT if n % 3 == 0 else Priority.NORMAL)
        changes += saved(None, task, "task_queued")
    await ledger.commit(batch(*changes))


def numbers(page: shipped.TaskPage) -> list[int]:
    return [int(task.task_id.removeprefix("task-"), 16) for task in page.tasks]


async def pages(queries: Queries, wanted: TaskFilter, limit: int) -> list[list[int]]:
    found, cursor = [], None
    while True:
        page = await queries.tasks(wanted, cursor=cursor, limit=limit)
        assert page is not None
        found.append(numbers(page))
        cursor = page.next
        if cursor is None:
            return found


async def test_pages_hold_every_task_once_newest_first(ledger: SqliteLedger, queries: Queries) -> None:
    """L59: a limit with a cursor is the next page, not the wrong end."""
    await push_many(ledger)
    found = await pages(queries, TaskFilter(), 10)
    assert [len(page) for page in found] == [10, 10, 5]
    assert [n for page in found for n in page] == list(range(COUNT, 0, -1))


async def test_a_page_does_not_shift_when_tasks_are_pushed_meanwhile(
    ledger: SqliteLedger, queries: Queries
) -> None:
    await push_many(ledger)
    first = await queries.tasks(TaskFilter(), limit=10)
    assert first is not None
    await ledger.commit(batch(*saved(None, pushed(99))))
    second = await queries.tasks(TaskFilter(), cursor=first.next, limit=10)
    assert second is not None
    assert numbers(second) == list(range(15, 5, -1))


async def test_every_filter_narrows(ledger: SqliteLedger, queries: Queries) -> None:
    await push_many(ledger)
    await ledger.commit(batch(*saved(pushed(1), assigned(pushed(1)), "task_assigned")))
    everything = set(range(1, COUNT + 1))
    wanted = {
        TaskFilter(state=State.ASSIGNED): {1},
        TaskFilter(state=State.QUEUED): everything - {1},
        TaskFilter(agent_id=ADA.agent_id): {1},
        TaskFilter(plugin="digest"): {5, 10, 15, 20, 25},
        TaskFilter(priority=Priority.URGENT): set(range(3, COUNT + 1, 3)),
        TaskFilter(plugin="digest", priority=Priority.URGENT): {15},
        TaskFilter(plugin="digest", state=State.ASSIGNED): set(),
        TaskFilter(text="WORK 2"): {2, *range(20, 26)},
        TaskFilter(text="%"): set(),
        TaskFilter(text="task-000000000000000a"): {10},
        TaskFilter(text="' OR 1=1 --"): set(),
        TaskFilter(state=State.DEAD_LETTER): set(),
    }
    for chosen, expected in wanted.items():
        assert {n for page in await pages(queries, chosen, 4) for n in page} == expected, chosen


async def test_what_a_submitter_said_is_a_filter_too(ledger: SqliteLedger, queries: Queries) -> None:
    """Labels by name and value as they were given, whatever is in them; a unique key while it is held."""
    over = completed(accepted(assigned(pushed(4, unique_key="held"))))
    lost = replace(over, state=State.FAILED, error="no page 7", ending=Ending(how="failed"))
    tasks = (
        pushed(1, labels={"site": "north", "a.b'\"$": "=1"}, concurrency_key="mail"),
        pushed(2, labels={"site": "south", "north": "site"}, unique_key="held"),
        replace(
            pushed(3), created_wall_ms=NOW.wall_ms + 10, spec=replace(pushed(3).spec, submitted_by="eve")
        ),
        replace(lost, version=1, task_id=pushed(4).task_id),
    )
    await ledger.commit(batch(*[change for task in tasks for change in saved(None, task)]))
    wanted = {
        TaskFilter(label=("site", "north")): {1},
        TaskFilter(label=("a.b'\"$", "=1")): {1},
        TaskFilter(label=("site", "")): set(),
        TaskFilter(concurrency_key="mail"): {1},
        TaskFilter(unique_key="held"): {2},
        TaskFilter(submitted_by="eve"): {3},
        TaskFilter(fingerprint=fingerprint("failed", None, "no page 8")): {4},
        TaskFilter(fingerprint=fingerprint("failed", None, "no page 8"), state=State.QUEUED): set(),
        TaskFilter(after_wall_ms=NOW.wall_ms + 10): {3},
        TaskFilter(after_wall_ms=NOW.wall_ms + 11): set(),
        TaskFilter(before_wall_ms=NOW.wall_ms + 10): {1, 2, 4},
        TaskFilter(before_wall_ms=NOW.wall_ms + 11, submitted_by="tests"): {1, 2, 4},
    }
    for chosen, expected in wanted.items():
        assert {n for page in await pages(queries, chosen, 2) for n in page} == expected, chosen


def test_only_a_filter_without_a_member_is_empty() -> None:
    assert TaskFilter().is_empty
    given: dict[str, Any] = {"state": State.QUEUED, "priority": Priority.LOW, "after_wall_ms": 0}
    for name in TaskFilter.__struct_fields__:
        assert not TaskFilter(**{name: given.get(name, "")}).is_empty, name


@pytest.mark.parametrize("cursor", ["abc", "-1", "1.5", "", "٣", "9" * 30, "1 OR 1"])
async def test_a_bad_cursor_is_no_crash(queries: Queries, cursor: str) -> None:
    """L58."""
    assert await queries.tasks(TaskFilter(), cursor=cursor) is None


async def test_a_page_ends_before_it_grows_too_big(
    ledger: SqliteLedger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: bounded in bytes too, but never empty for it."""
    big = [pushed(n, inputs=Raw(b'"' + b"x" * (900 * KIB) + b'"')) for n in range(1, 10)]
    await ledger.commit(batch(*[change for task in big for change in saved(None, task)]))
    found = await pages(queries, TaskFilter(), 500)
    assert [len(page) for page in found] == [4, 4, 1]
    assert [n for page in found for n in page] == list(range(9, 0, -1))


async def test_a_page_looks_at_so_many_tasks_and_says_where_to_go_on(
    ledger: SqliteLedger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L111: a filter that no index answers may find nothing on a page, but never reads the whole table for
    it.
    """
    monkeypatch.setattr(shipped, "SCAN_ROWS_MAX", 10)
    await push_many(ledger)
    found = await pages(queries, TaskFilter(text="work 3"), 500)
    assert [n for page in found for n in page] == [3]
    assert len(found) == 3


async def test_events_come_in_order_from_any_offset(ledger: SqliteLedger, queries: Queries) -> None:
    await push_many(ledger)
    assert [event.offset for event in await queries.events_after(0)] == list(range(1, COUNT + 1))
    assert [event.offset for event in await queries.events_after(20, 3)] == [21, 22, 23]
    assert await queries.events_after(COUNT) == ()
    assert await queries.first_offset() == 1


async def test_a_chunk_of_events_is_bounded_in_rows_and_bytes(ledger: SqliteLedger, queries: Queries) -> None:
    """P5: 1,000 events or 1 MiB."""
    small = [EventLogged(event="note", timestamp=0) for _ in range(1_500)]
    big = [
        EventLogged(event="note", timestamp=0, payload=Raw(b'"' + b"x" * 400 * KIB + b'"')) for _ in range(4)
    ]
    huge = EventLogged(event="note", timestamp=0, payload=Raw(b'"' + b"x" * 2_000 * KIB + b'"'))
    await ledger.commit(batch(*small, *big, huge))
    assert len(await queries.events_after(0, 10_000)) == 1_000
    assert [event.offset for event in await queries.events_after(1_500)] == [1_501, 1_502]
    assert [event.offset for event in await queries.events_after(1_504)] == [1_505], "one at least"


async def test_a_tasks_own_history_is_its_own(ledger: SqliteLedger, queries: Queries) -> None:
    await push_many(ledger, 3)
    await ledger.commit(batch(*saved(pushed(2), assigned(pushed(2)), "task_assigned")))
    events = await queries.task_events(pushed(2).task_id)
    assert [(event.offset, event.event) for event in events] == [(2, "task_queued"), (4, "task_assigned")]
    assert [event.offset for event in await queries.task_events(pushed(2).task_id, after=2)] == [4]


async def test_stats_name_every_state(ledger: SqliteLedger, queries: Queries) -> None:
    await push_many(ledger, 3)
    done = completed(accepted(assigned(pushed(1))))
    await ledger.commit(batch(*saved(pushed(1), done, "task_complete")))
    counts = await queries.stats()
    assert set(counts) == {state.value for state in State}
    assert (counts["queued"], counts["completed"], counts["failed"]) == (2, 1, 0)


async def test_a_task_is_read_as_it_was_written(ledger: SqliteLedger, queries: Queries) -> None:
    await push_many(ledger, 2)
    await ledger.commit(batch(*saved(pushed(2), assigned(pushed(2)))))
    assert await queries.task(pushed(2).task_id) == assigned(pushed(2))
    assert await queries.task(TaskId("task-nowhere")) is None


async def test_agents_and_strays_are_listed(ledger: SqliteLedger, queries: Queries) -> None:
    ada = AgentRecord(agent_id=ADA.agent_id, name="Ada")
    await ledger.commit(batch(AgentSaved(ada), *extras(1), *extras(2)))
    assert await queries.agents() == (ada,)
    assert [stray.frame_type for stray in await queries.strays()] == ["task_complete"] * 2
    assert len(await queries.strays(after=1)) == 1


# --- mail ---------------------------------------------------------------------------------------------------


async def test_mail_is_read_from_the_oldest_after_a_place(ledger: SqliteLedger, queries: Queries) -> None:
    """L59."""
    await ledger.commit(batch(*(mail_to("bob", n) for n in range(1, 6)), mail_to("eve", 9)))
    assert [mail.seq for mail in await queries.mail(AgentId("bob"))] == [1, 2, 3, 4, 5]
    assert [mail.seq for mail in await queries.mail(AgentId("bob"), since=2, limit=2)] == [3, 4]
    assert [mail.message_id for mail in await queries.mail(AgentId("eve"))] == [f"{9:016x}"]


async def test_a_box_keeps_its_newest_hundred(ledger: SqliteLedger, queries: Queries) -> None:
    """L110: an agent that never comes back does not fill the disk."""
    await ledger.commit(batch(*(mail_to("bob", n) for n in range(1, MAILBOX_MAX + 21))))
    kept = [mail.seq for mail in await queries.mail(AgentId("bob"))]
    assert kept == list(range(21, MAILBOX_MAX + 21))


async def test_mail_older_than_a_week_is_gone(ledger: SqliteLedger, queries: Queries) -> None:
    await ledger.commit(batch(mail_to("bob", 1, NOW.wall_ms - MAIL_KEPT_MS - 1), mail_to("eve", 2)))
    assert await queries.mail(AgentId("bob")) == ()


async def test_a_number_of_a_box_is_never_used_twice(ledger: SqliteLedger, queries: Queries) -> None:
    boxes = Mailboxes(ledger)
    await ledger.commit(batch(mail_to("bob", 1), mail_to("bob", 2)))
    assert await boxes.acknowledge(AgentId("bob"), 2) == 2
    assert await boxes.acknowledge(AgentId("bob"), 2) == 0
    await ledger.commit(batch(mail_to("bob", 3)))
    assert [mail.seq for mail in await queries.mail(AgentId("bob"))] == [3]
