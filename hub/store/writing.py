"""One batch becomes rows: the order of the sets, and what is refused.

Owns compare-and-set, the places of new rows (task numbers and event offsets, both without gap), and the marks
that a refused task holds back. Runs inside a transaction that `ledger.py` begins and ends, on the writer's
thread alone; never commits, and never remembers a place before that transaction is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import apsw
import msgspec

from hub.core.dependencies import Outcome
from hub.core.effects import (
    AgentRecord,
    Instance,
    InstanceSaved,
    LetterPosted,
    MarkMoved,
    StrayKept,
)
from hub.core.task import FINAL, Fault, State, Task
from hub.ports import Batch, Committed, CommittedEvent
from hub.store import mail, rows, statements
from hub.store.sheet import Places, Sheet, run_with
from protocol.ids import InstanceId, Seq, TaskId

STRAYS_MAX: Final = 10_000
"""Facts about unknown tasks that are kept; the oldest go first. A restored hub hears a few."""

encode: Final = msgspec.json.Encoder().encode
agent_of: Final = msgspec.json.Decoder(AgentRecord).decode


def read_places(connection: apsw.Connection) -> Places:
    found = connection.execute(
        "SELECT (SELECT coalesce(max(number), 0) FROM submissions),"
        ' (SELECT coalesce(max("offset"), 0) FROM events)'
    ).fetchone()
    assert found is not None, "an aggregate has one row"
    return Places(int(found[0]), int(found[1]))


def write_batch(connection: apsw.Connection, batch: Batch, places: Places) -> tuple[Committed, Places]:
    """Write all of a batch but what belongs to tasks that are refused."""
    sheet = Sheet(batch)
    refused, places = write_tasks(connection, sheet, places)
    events, places = write_events(connection, sheet, refused, places)
    if sheet.instances:
        write_instances(connection, sheet, refused)
    if sheet.agents:
        write_agents(connection, sheet.agents.values())
    if sheet.strays:
        write_strays(connection, sheet.strays)
    if sheet.mail:
        mail.deliver(connection, sheet.mail)
    write_runs(connection, sheet, refused)
    letters = write_letters(connection, sheet, refused)
    if sheet.epoch is not None:
        connection.execute(
            "UPDATE meta SET epoch = ?, generation_floor = ?",
            (sheet.epoch.epoch, sheet.epoch.generation_floor),
        )
    found = find_refused(connection, sheet, refused) if refused else ()
    return Committed(events=events, letters=letters, refused=refused, found=found), places


# --- tasks --------------------------------------------------------------------------------------------------


def write_tasks(
    connection: apsw.Connection, sheet: Sheet, places: Places
) -> tuple[frozenset[TaskId], Places]:
    """What moves first: a task that ends lets go of its unique key, which a new one may have at once."""
    if not sheet.saves:
        return frozenset(), places
    known = {row[0]: row[1:] for row in run_with(connection, statements.PLACES, sheet.saves)}
    moved: list[tuple[Any, ...]] = []
    new_tasks: list[Task] = []
    refused: set[TaskId] = set()
    let_go: set[str | None] = set()
    for task_id, save in sheet.saves.items():
        task, place = save.task, known.get(task_id)
        if place is None and save.expected_version == 0:
            new_tasks.append(task)
        elif place is not None and place[1] == save.expected_version and place[2] not in FINAL:
            moved.append(rows.moved_row(task, place[0], save.expected_version, sheet.now))
            if task.is_final:
                let_go.add(task.spec.unique_key)
        else:
            refused.add(task_id)
    taken = TakenKeys(connection, new_tasks, let_go)
    admitted = [task for task in new_tasks if taken.admits(task)]
    refused.update(task.task_id for task in new_tasks)
    refused.difference_update(task.task_id for task in admitted)
    before = connection.total_changes()
    if moved:
        run_with(connection, statements.MOVED_TASKS, moved)
    if admitted:
        new = [rows.new_row(task, n, sheet.now) for n, task in enumerate(admitted, places.last_number + 1)]
        asked = [rows.submission_row(task, n) for n, task in enumerate(admitted, places.last_number + 1)]
        run_with(connection, statements.NEW_TASKS, new)
        run_with(connection, statements.NEW_SUBMISSIONS, asked)
    written = connection.total_changes() - before
    assert written == 2 * len(admitted) + len(moved), (
        f"{written} rows, {len(admitted)} new and {len(moved)} moved tasks"
    )
    return frozenset(refused), Places(places.last_number + len(admitted), places.last_offset)


class TakenKeys:
    """Which keys of a batch's new tasks are another's: idempotency keys for ever, unique keys while open."""

    def __init__(self, connection: apsw.Connection, tasks: Iterable[Task], let_go: set[str | None]) -> None:
        keys = [task.spec.idempotency_key for task in tasks if task.spec.idempotency_key is not None]
        unique = [key for task in tasks if (key := rows.unique_key_of(task)) is not None]
        self._keys = {row[0] for row in run_with(connection, statements.KEYS, keys)} if keys else set()
        held = {row[0] for row in run_with(connection, statements.UNIQUE_KEYS, unique)} if unique else set()
        self._unique = held - let_go

    def admits(self, task: Task) -> bool:
        """Whether neither is taken; from then on both are."""
        key, unique_key = task.spec.idempotency_key, rows.unique_key_of(task)
        if (key is not None and key in self._keys) or (unique_key is not None and unique_key in self._unique):
            return False
        self._keys.add(key)
        self._unique.add(unique_key)
        return True


def find_refused(connection: apsw.Connection, sheet: Sheet, refused: frozenset[TaskId]) -> tuple[Task, ...]:
    """The rows in the way: of the same id, or with one of the same keys."""
    specs = [sheet.saves[task_id].task.spec for task_id in refused]
    keys = [spec.idempotency_key for spec in specs if spec.idempotency_key is not None]
    unique_keys = [spec.unique_key for spec in specs if spec.unique_key is not None]
    return find_tasks(
        connection, sorted(refused), keys, rows.wall_less_mono(sheet.now), unique_keys=unique_keys
    )


def find_tasks(
    connection: apsw.Connection,
    tasks: Iterable[str],
    keys: Iterable[str],
    shift_ms: int,
    *,
    unique_keys: Iterable[str] = (),
) -> tuple[Task, ...]:
    """Rows by id and by key, each once."""
    found: dict[str, Task] = {}
    for sql, given in (
        (statements.FOUND_BY_ID, tasks),
        (statements.FOUND_BY_KEY, keys),
        (statements.FOUND_BY_UNIQUE_KEY, unique_keys),
    ):
        wanted = tuple(given)
        for row in run_with(connection, sql, wanted) if wanted else ():
            found[row[0]] = rows.task_of(row, shift_ms)
    return tuple(found.values())


def find_outcomes(connection: apsw.Connection, tasks: Iterable[TaskId]) -> tuple[Outcome, ...]:
    """How these stand, one for each, without reading what they have made."""
    wanted = tuple(tasks)
    found = {row[0]: row[1:] for row in run_with(connection, statements.OUTCOMES, wanted)}
    return tuple(outcome_row(task_id, *found.get(task_id, (None, None, None))) for task_id in wanted)


def outcome_row(task_id: TaskId, state: str | None, how: str | None, fault: str | None) -> Outcome:
    return Outcome(
        task_id=task_id,
        state=State(state) if state is not None else None,
        how=how or "",
        whose_fault=Fault(fault) if fault is not None else None,
    )


def read_open_tasks(connection: apsw.Connection, shift_ms: int) -> tuple[Task, ...]:
    """Everything that is not final, with the last progress that was kept of its run."""
    tasks = [rows.task_of(row, shift_ms) for row in connection.execute(statements.LOADED_TASKS)]
    last = {row[0]: (row[1], row[2]) for row in connection.execute(statements.LOADED_PROGRESS)}
    return tuple(
        rows.with_progress(task, *last[task.task_id]) if task.task_id in last else task for task in tasks
    )


# --- runs and letters ---------------------------------------------------------------------------------------

NEW_RUN: Final = (
    "INSERT INTO runs (number, plugin_run_id, task_id, user_id, plugin, digest, origin, route,"
    " created_wall_ms, ended_wall_ms, is_briefing)"
    " SELECT tasks.number, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,"
    " value ->> 6, value ->> 7, value ->> 8, value ->> 9"
    " FROM jsonb_each(?) JOIN tasks ON tasks.task_id = value ->> 1 WHERE true ON CONFLICT DO NOTHING"
)
END_RUN: Final = (
    "UPDATE runs SET ended_wall_ms = given.ended, is_briefing = given.is_briefing FROM"
    " (SELECT value ->> 0 AS id, value ->> 1 AS task_id, value ->> 8 AS ended, value ->> 9 AS is_briefing"
    " FROM jsonb_each(?)) AS given"
    " WHERE runs.plugin_run_id = given.id AND runs.task_id = given.task_id"
)


def write_runs(connection: apsw.Connection, sheet: Sheet, refused: frozenset[TaskId]) -> None:
    """A run has its row from the commit that creates its task, and its end from the one that ends it."""
    saves = [save for task_id, save in sheet.saves.items() if save.task.spec.run and task_id not in refused]
    new = [rows.run_row(save.task) for save in saves if save.expected_version == 0]
    ended = [rows.run_row(save.task) for save in saves if save.expected_version and save.task.is_final]
    if new:
        run_with(connection, NEW_RUN, new)
    if ended:
        run_with(connection, END_RUN, ended)


def write_letters(connection: apsw.Connection, sheet: Sheet, refused: frozenset[TaskId]) -> int:
    """Into the outbox, in their order; answers how many."""
    posted = [letter for letter in sheet.letters if letter.task_id not in refused]
    if posted:
        letters = [(*letter_row(letter), sheet.now.wall_ms) for letter in posted]
        run_with(connection, statements.NEW_LETTERS, letters)
    return len(posted)


def letter_row(letter: LetterPosted) -> tuple[str, ...]:
    return letter.kind, letter.key, letter.target, str(letter.payload, "utf-8"), letter.task_id


# --- the log ------------------------------------------------------------------------------------------------


def write_events(
    connection: apsw.Connection, sheet: Sheet, refused: frozenset[TaskId], places: Places
) -> tuple[tuple[CommittedEvent, ...], Places]:
    kept = [event for event in sheet.events if event.task_id is None or event.task_id not in refused]
    if not kept:
        return (), places
    events = tuple(
        CommittedEvent(
            offset=offset,
            event=event.event,
            task_id=event.task_id,
            agent_id=event.agent_id,
            generation=event.generation,
            timestamp=event.timestamp,
            payload=event.payload,
        )
        for offset, event in enumerate(kept, places.last_offset + 1)
    )
    run_with(connection, statements.NEW_EVENTS, [event_row(event) for event in events])
    return events, Places(places.last_number, events[-1].offset)


def event_row(event: CommittedEvent) -> tuple[Any, ...]:
    return (
        event.offset,
        event.event,
        event.task_id,
        event.agent_id,
        event.generation,
        event.timestamp,
        str(event.payload, "utf-8"),
    )


# --- marks --------------------------------------------------------------------------------------------------


class Marks:
    """What a batch says of its instances, in its own order."""

    def __init__(self, sheet: Sheet, refused: frozenset[TaskId]) -> None:
        self.saved: dict[InstanceId, Instance] = {}
        self.moved: dict[InstanceId, Seq] = {}
        self.held_back: set[InstanceId] = set()
        for change in sheet.instances:
            match change:
                case InstanceSaved(instance):
                    first = self.saved.get(instance.instance_id)
                    mark = first.mark if first is not None else instance.mark
                    self.saved[instance.instance_id] = msgspec.structs.replace(instance, mark=mark)
                    if sheet.epoch is not None and instance.instance_id not in self.held_back:
                        self.moved[instance.instance_id] = instance.mark
                case MarkMoved(instance_id, seq, task_id):
                    if task_id is not None and task_id in refused:
                        self.held_back.add(instance_id)
                    if instance_id not in self.held_back:
                        self.moved[instance_id] = seq


SAVE_INSTANCE: Final = (
    "INSERT INTO instances (instance_id, agent_id, mark, boot_id, connection, seen_wall_ms)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5"
    " FROM jsonb_each(?) WHERE true"
    " ON CONFLICT (instance_id) DO UPDATE SET agent_id = excluded.agent_id, boot_id = excluded.boot_id,"
    " connection = excluded.connection, seen_wall_ms = excluded.seen_wall_ms"
)
MOVE_MARK: Final = (
    "UPDATE instances SET mark = given.mark FROM"
    " (SELECT value ->> 0 AS instance_id, value ->> 1 AS mark FROM jsonb_each(?)) AS given"
    " WHERE instances.instance_id = given.instance_id"
)
SAVE_AGENT: Final = (
    "INSERT OR REPLACE INTO agents (agent_id, record) SELECT value ->> 0, value ->> 1 FROM jsonb_each(?)"
)


def write_instances(connection: apsw.Connection, sheet: Sheet, refused: frozenset[TaskId]) -> None:
    """A mark is raised by MarkMoved alone, except at the first save and in a batch that renews the epoch."""
    marks = Marks(sheet, refused)
    if marks.saved:
        run_with(connection, SAVE_INSTANCE, [instance_row(instance) for instance in marks.saved.values()])
    if marks.moved:
        run_with(connection, MOVE_MARK, marks.moved.items())


def instance_row(instance: Instance) -> tuple[Any, ...]:
    return (
        instance.instance_id,
        instance.agent_id,
        instance.mark,
        instance.boot_id,
        instance.connection,
        instance.seen_wall_ms,
    )


def read_instances(connection: apsw.Connection) -> tuple[Instance, ...]:
    found = connection.execute(
        "SELECT instance_id, agent_id, mark, boot_id, connection, seen_wall_ms FROM instances ORDER BY rowid"
    )
    names = ("instance_id", "agent_id", "mark", "boot_id", "connection", "seen_wall_ms")
    return tuple(msgspec.convert(dict(zip(names, row, strict=True)), Instance) for row in found)


# --- agents and strays --------------------------------------------------------------------------------------


def write_agents(connection: apsw.Connection, agents: Iterable[AgentRecord]) -> None:
    run_with(connection, SAVE_AGENT, [(agent.agent_id, str(encode(agent), "utf-8")) for agent in agents])


def read_agents(connection: apsw.Connection) -> tuple[AgentRecord, ...]:
    found = connection.execute("SELECT record FROM agents ORDER BY agent_id")
    return tuple(agent_of(row[0]) for row in found)


def write_strays(connection: apsw.Connection, strays: Iterable[StrayKept]) -> None:
    for stray in strays:
        values: Mapping[str, Any] = {
            **msgspec.structs.asdict(stray),
            "frame": str(stray.frame, "utf-8"),
        }
        connection.execute(
            "INSERT INTO strays (agent_id, instance_id, task_id, generation, frame_type, frame, wall_ms)"
            " VALUES (:agent_id, :instance_id, :task_id, :generation, :frame_type, :frame, :wall_ms)",
            values,
        )
    connection.execute(
        "DELETE FROM strays WHERE number <= (SELECT max(number) FROM strays) - ?", (STRAYS_MAX,)
    )
