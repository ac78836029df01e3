"""Runs in their rows: found by whom they are for, paged, and forgotten a day after their end."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from hub.core.effects import Change
from hub.core.runs import RunStatus, digest_of, run_key, status_of
from hub.core.task import Ending, RunSpec, State, Task
from hub.store import queries as shipped
from hub.store import retention
from hub.store.ledger import SqliteLedger
from hub.store.queries import Queries, TaskPage
from hub.store.retention import DAY_MS, RESULTS_KEPT_MS, RUNS_KEPT_MS, Kept, Retention
from hub.store.runs import RunFilter, RunQueries
from tests.store.workload import NOW, accepted, assigned, batch, completed, pushed, saved

HUGE_USER = 2**64 - 1
BRIEFING = b'{"summary":"Today.","sections":[]}'


@pytest.fixture
def runs(queries: Queries) -> RunQueries:
    return RunQueries(queries)


def run(number: int, *, user_id: int = 7, plugin: str = "digest", **members: Any) -> Task:
    """A run that was just pushed."""
    spec = RunSpec(
        plugin_run_id=f"run-{number}",
        user_id=user_id,
        digest=digest_of(user_id, plugin, members.pop("settings", {})),
        **members,
    )
    return pushed(number, plugin=plugin, idempotency_key=run_key(spec.plugin_run_id), run=spec)


def at_work(task: Task) -> Task:
    return replace(accepted(assigned(task)), started_wall_ms=NOW.wall_ms)


def ended(task: Task, state: State = State.COMPLETED, result: bytes = b'"x"', age_ms: int = 0) -> Task:
    task = replace(completed(at_work(task), result), state=state, updated_wall_ms=NOW.wall_ms - age_ms)
    return replace(task, ending=Ending(how="x"))


async def put(ledger: SqliteLedger, *tasks: Task) -> None:
    """As a hub would write them: pushed, and in a later batch as they are."""
    pushes: list[Change] = []
    moves: list[Change] = []
    for task in tasks:
        new = replace(task, version=1, state=State.QUEUED, holder=None, last_holder=None, timer=None)
        new = replace(new, result=None, ending=None, is_accepted=False, started_wall_ms=None)
        pushes += saved(None, new)
        if task.version > 1:
            moves += saved(new, task)
    assert not (await ledger.commit(batch(*pushes))).refused
    assert not (await ledger.commit(batch(*moves))).refused


def numbers(page: TaskPage | None) -> list[int]:
    assert page is not None
    return [int(task.task_id[5:], 16) for task in page.tasks]


async def columns(ledger: SqliteLedger) -> list[tuple[Any, ...]]:
    sql = (
        "SELECT plugin_run_id, task_id, user_id, plugin, origin, route, ended_wall_ms, is_briefing FROM runs"
    )
    return await ledger.look(lambda connection: connection.execute(f"{sql} ORDER BY number").fetchall())


async def test_a_run_has_its_row_from_the_commit_that_creates_its_task(
    ledger: SqliteLedger, runs: RunQueries
) -> None:
    """Contracts §3: pending, and the row exists before anything is published."""
    task = run(1, user_id=HUGE_USER, origin="stream", route="streams")
    await ledger.commit(batch(*saved(None, task), *saved(None, pushed(2))))
    assert await columns(ledger) == [
        ("run-1", task.task_id, str(HUGE_USER), "digest", "stream", "streams", None, 0)
    ]
    assert await runs.run("run-1") == task
    assert await runs.run("run-2") is None


async def test_a_row_says_when_its_run_ended_and_whether_it_briefs(
    ledger: SqliteLedger, runs: RunQueries
) -> None:
    """Moves in between touch no row of it: where a run stands is with its task."""
    await put(ledger, ended(run(1), result=BRIEFING), ended(run(2)), at_work(run(3)))
    assert [row[-2:] for row in await columns(ledger)] == [(NOW.wall_ms, 1), (NOW.wall_ms, 0), (None, 0)]


async def test_a_run_that_ends_in_the_turn_that_creates_it_has_ended(ledger: SqliteLedger) -> None:
    task = replace(ended(run(1), State.FAILED), version=2)
    await ledger.commit(batch(*saved(None, task)))
    assert [row[-2:] for row in await columns(ledger)] == [(NOW.wall_ms, 0)]


async def test_a_run_id_that_is_taken_harms_nobody(ledger: SqliteLedger, runs: RunQueries) -> None:
    """Its key keeps two tasks of one run apart; were it to fail, the ledger would not."""
    first, second = run(1), run(2)
    assert first.spec.run is not None
    second = replace(second, spec=replace(second.spec, run=first.spec.run))
    await ledger.commit(batch(*saved(None, first)))
    await ledger.commit(batch(*saved(None, second)))
    await ledger.commit(batch(*saved(second, ended(second))))
    assert len(await columns(ledger)) == 1
    assert (await columns(ledger))[0][-2:] == (None, 0)
    assert await runs.run("run-1") == first


async def test_the_newest_run_of_a_digest_is_found(ledger: SqliteLedger, runs: RunQueries) -> None:
    """L87: who asks the same again finds what there is, however it stands."""
    await put(ledger, ended(run(1)), run(2, user_id=8), run(3), run(4, settings={"a": 1}))
    found = await runs.latest(digest_of(7, "digest", {}))
    assert found is not None
    assert found.spec.run is not None
    assert found.spec.run.plugin_run_id == "run-3"
    assert await runs.latest("nobody's") is None


async def some_of_all(ledger: SqliteLedger) -> list[Task]:
    """One run in each state, by turns of two users and two plugins, and other tasks between them."""
    tasks = [
        run(1),
        assigned(run(2, user_id=8)),
        at_work(run(3, plugin="other")),
        replace(at_work(run(4, user_id=8)), state=State.INPUT_REQUIRED),
        replace(assigned(run(5)), state=State.RECOVERING),
        replace(at_work(run(6, plugin="other")), state=State.RECOVERING),
        replace(assigned(run(7)), state=State.CANCELLING),
        replace(at_work(run(8, user_id=8)), state=State.QUEUED, holder=None, timer=None),
        ended(run(9), result=BRIEFING),
        ended(run(10, user_id=8, plugin="other"), result=BRIEFING),
        ended(run(11)),
        ended(run(12), State.FAILED),
        ended(run(13, user_id=8), State.CANCELLED),
        ended(run(14), State.DEAD_LETTER),
    ]
    await put(ledger, *tasks, pushed(99))
    return tasks


@pytest.mark.parametrize("status", [None, *RunStatus])
@pytest.mark.parametrize("plugin", [None, "digest", "other", "none"])
@pytest.mark.parametrize("user_id", [None, 7, 8])
async def test_a_filter_finds_what_the_core_would(
    ledger: SqliteLedger,
    runs: RunQueries,
    status: RunStatus | None,
    plugin: str | None,
    user_id: int | None,
) -> None:
    """The words of the database for a status mean the same as the core's, in every state."""
    tasks = await some_of_all(ledger)
    wanted = [
        int(task.task_id[5:], 16)
        for task in reversed(tasks)
        if task.spec.run is not None
        and status in (None, status_of(task))
        and plugin in (None, task.spec.plugin)
        and user_id in (None, task.spec.run.user_id)
    ]
    page = await runs.runs(RunFilter(status=status, plugin=plugin, user_id=user_id))
    assert numbers(page) == wanted


async def test_pages_of_runs_hold_each_once_newest_first(ledger: SqliteLedger, runs: RunQueries) -> None:
    await some_of_all(ledger)
    for wanted in (RunFilter(), RunFilter(user_id=7), RunFilter(status=RunStatus.PROCESSING)):
        whole, found, cursor = numbers(await runs.runs(wanted)), [], None
        while True:
            page = await runs.runs(wanted, cursor=cursor, limit=2)
            assert page is not None
            found += numbers(page)
            cursor = page.next
            if cursor is None:
                break
        assert found == whole
        assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.0", "9" * 30])
async def test_a_cursor_that_is_none_of_ours_is_said(runs: RunQueries, cursor: str) -> None:
    """L58."""
    assert await runs.runs(RunFilter(), cursor=cursor) is None
    assert await runs.briefings(cursor=cursor) is None


async def test_a_page_that_was_looked_for_long_enough_says_where_to_go_on(
    ledger: SqliteLedger, runs: RunQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "SCAN_ROWS_MAX", 5)
    await put(ledger, run(1), *(pushed(n) for n in range(2, 12)), ended(run(12)))
    page = await runs.runs(RunFilter(status=RunStatus.PENDING))
    assert numbers(page) == []
    seen = 0
    while page is not None and page.next is not None:
        page = await runs.runs(RunFilter(status=RunStatus.PENDING), cursor=page.next)
        seen += len(numbers(page))
    assert seen == 1


async def test_briefings_are_the_completed_runs_that_are_some(ledger: SqliteLedger, runs: RunQueries) -> None:
    await some_of_all(ledger)
    await put(ledger, ended(run(20), State.FAILED, BRIEFING), ended(pushed(21), result=BRIEFING))
    assert numbers(await runs.briefings()) == [10, 9]
    assert numbers(await runs.briefings(user_id=8)) == [10]
    assert numbers(await runs.briefings(plugin="digest")) == [9]
    first = await runs.briefings(limit=1)
    assert first is not None
    assert numbers(await runs.briefings(cursor=first.next, limit=1)) == [9]


# --- forgetting ---------------------------------------------------------------------------------------------


async def left(ledger: SqliteLedger) -> tuple[list[str], int, int]:
    """The runs that are there, and how many tasks and submissions."""
    counts = "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM submissions)"
    ((tasks, submissions),) = await ledger.look(lambda c: c.execute(counts).fetchall())
    return [row[0] for row in await columns(ledger)], int(str(tasks)), int(str(submissions))


async def test_a_run_and_its_task_are_forgotten_a_day_after_its_end(
    ledger: SqliteLedger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contracts §3. What is open stays however old it is, and other tasks have an age of their own."""
    monkeypatch.setattr(retention, "STEP_ROWS", 2)
    old = [ended(run(n), age_ms=RUNS_KEPT_MS + 1) for n in range(1, 6)]
    young = ended(run(6), age_ms=RUNS_KEPT_MS)
    open_one = replace(at_work(run(7)), updated_wall_ms=0)
    other = ended(pushed(8), age_ms=RUNS_KEPT_MS + 1)
    newest = ended(run(9), age_ms=RUNS_KEPT_MS + 1)
    await put(ledger, *old, young, open_one, other, newest)
    keeper = Retention(ledger, queries, lambda: NOW.wall_ms)
    assert (await keeper.sweep()).tasks == 5
    assert await left(ledger) == (["run-6", "run-7", "run-9"], 4, 4), "the newest number is not given again"
    assert (await keeper.sweep()).tasks == 0


async def test_an_operator_may_keep_runs_longer_than_anything_else(
    ledger: SqliteLedger, queries: Queries
) -> None:
    kept_ms = RESULTS_KEPT_MS + DAY_MS
    await put(
        ledger,
        ended(run(1), age_ms=kept_ms + 1),
        ended(run(2), age_ms=kept_ms),
        ended(pushed(3), age_ms=kept_ms),
        pushed(4),
    )
    keeper = Retention(ledger, queries, lambda: NOW.wall_ms, kept=Kept(runs_ms=kept_ms))
    assert (await keeper.sweep()).tasks == 2
    assert await left(ledger) == (["run-2"], 2, 2)


async def test_letters_that_redis_never_took_are_given_up_with_the_results(
    ledger: SqliteLedger, queries: Queries
) -> None:
    def plant(connection: Any) -> None:
        for age_ms in (RESULTS_KEPT_MS, RESULTS_KEPT_MS + 1):
            connection.execute(
                "INSERT INTO outbox (kind, key, target, payload, task_id, wall_ms)"
                " VALUES ('final', '', '', '', '', ?)",
                (NOW.wall_ms - age_ms,),
            )

    await ledger.write(plant)
    await Retention(ledger, queries, lambda: NOW.wall_ms).sweep()
    found = await ledger.look(lambda c: c.execute("SELECT wall_ms FROM outbox").fetchall())
    assert found == [(NOW.wall_ms - RESULTS_KEPT_MS,)]
