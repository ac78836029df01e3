"""A ledger in memory: the contract of `hub.ports.Ledger` without a disk, and without waiting.

Owns rows, log, marks and the order in which a batch is refused or written. Deadlines are kept against the
wall clock, as a disk keeps them. Never decides anything.
"""

from __future__ import annotations

from msgspec.structs import replace

from hub.core.dependencies import Outcome, outcome_of
from hub.core.effects import (
    AgentRecord,
    AgentSaved,
    Change,
    EpochRenewed,
    EventLogged,
    Instance,
    InstanceSaved,
    LetterPosted,
    MailKept,
    MarkMoved,
    StrayKept,
    TaskSaved,
)
from hub.core.task import Now, Task, Timer
from hub.ports import Batch, Committed, CommittedEvent, Found, Loaded
from protocol.ids import AgentId, InstanceId, TaskId


class Page:
    """One batch while it is being written."""

    __slots__ = ("events", "has_lost_history", "refused", "stopped")

    def __init__(self, refused: frozenset[TaskId]) -> None:
        self.refused: frozenset[TaskId | None] = refused
        self.stopped: set[InstanceId] = set()
        """Instances of which a fact was refused with its task: no later mark of theirs is written."""
        self.events: list[CommittedEvent] = []
        self.has_lost_history = False


class MemoryLedger:
    """What would be on the disk."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.generation_floor = 0
        self.rows: dict[TaskId, Task] = {}
        self.keys: dict[str, TaskId] = {}
        self.unique_keys: dict[str, TaskId] = {}
        """Of open tasks alone."""
        self.instances: dict[InstanceId, Instance] = {}
        self.agents: dict[AgentId, AgentRecord] = {}
        self.log: list[CommittedEvent] = []
        self.kept: list[StrayKept | MailKept] = []
        self.letters: list[LetterPosted] = []
        self._wall_less_mono: dict[TaskId, int] = {}

    def copy(self) -> MemoryLedger:
        """A backup."""
        other = MemoryLedger(self.epoch)
        other.generation_floor = self.generation_floor
        other.rows, other.keys = dict(self.rows), dict(self.keys)
        other.unique_keys = dict(self.unique_keys)
        other.instances, other.agents = dict(self.instances), dict(self.agents)
        other.log, other.kept = list(self.log), list(self.kept)
        other.letters = list(self.letters)
        other._wall_less_mono = dict(self._wall_less_mono)
        return other

    def touch(self, task_id: TaskId) -> None:
        """Another writer has been at this row: it says the same and has another version."""
        row = self.rows[task_id]
        self.rows[task_id] = replace(row, version=row.version + 1)

    # --- the port ------------------------------------------------------------------------------------------

    def load(self, now: Now) -> Loaded:
        """Everything that is open, with its deadlines on the monotonic clock of this life."""
        now_less = now.wall_ms - now.ms
        for task_id, row in self.rows.items():
            if not row.is_final:
                shift_ms = self._wall_less_mono[task_id] - now_less
                self.rows[task_id] = _shifted(row, shift_ms)
                self._wall_less_mono[task_id] = now_less
        return Loaded(
            tasks=tuple(row for row in self.rows.values() if not row.is_final),
            instances=tuple(self.instances.values()),
            agents=tuple(self.agents.values()),
            epoch=self.epoch,
            generation_floor=self.generation_floor,
            last_offset=len(self.log),
        )

    def commit(self, batch: Batch) -> Committed:
        """All of it, but for tasks whose row is not as expected."""
        refused = self._refused([change for change in batch.changes if isinstance(change, TaskSaved)])
        page = Page(refused)
        page.has_lost_history = any(isinstance(change, EpochRenewed) for change in batch.changes)
        for change in batch.changes:
            self._write(change, batch.now, page)
        letters = [change for change in batch.changes if isinstance(change, LetterPosted)]
        posted = [letter for letter in letters if letter.task_id not in refused]
        self.letters += posted
        return Committed(
            events=tuple(page.events),
            letters=len(posted),
            refused=refused,
            found=self._in_the_way(batch, refused),
        )

    def find(self, tasks: frozenset[TaskId], keys: frozenset[str]) -> Found:
        """Rows by id, and by key."""
        wanted = {*tasks, *(self.keys[key] for key in keys if key in self.keys)}
        return Found(tasks=tuple(self.rows[task_id] for task_id in sorted(wanted) if task_id in self.rows))

    def look_up(self, tasks: frozenset[TaskId]) -> tuple[Outcome, ...]:
        """How each of these stands."""
        return tuple(
            outcome_of(self.rows[task_id]) if task_id in self.rows else Outcome(task_id=task_id, state=None)
            for task_id in sorted(tasks)
        )

    # --- inside --------------------------------------------------------------------------------------------

    def _refused(self, saves: list[TaskSaved]) -> frozenset[TaskId]:
        """Rows that are not as expected, and new ones of which a key is another's. Whoever ends in the batch
        has let go of its unique key before any new one is looked at."""
        moves = [save for save in saves if save.expected_version > 0]
        refused = {save.task.task_id for save in moves if not self._is_as_expected(save)}
        ended = [save.task for save in moves if save.task.is_final and save.task.task_id not in refused]
        keys, unique_keys = set(self.keys), set(self.unique_keys) - {task.spec.unique_key for task in ended}
        for save in saves:
            if save.expected_version > 0:
                continue
            task = save.task
            key, unique_key = task.spec.idempotency_key, None if task.is_final else task.spec.unique_key
            if not self._is_as_expected(save) or key in keys or unique_key in unique_keys:
                refused.add(task.task_id)
                continue
            keys |= {key} if key is not None else set()
            unique_keys |= {unique_key} if unique_key is not None else set()
        return frozenset(refused)

    def _is_as_expected(self, change: TaskSaved) -> bool:
        row = self.rows.get(change.task.task_id)
        is_expected = (row.version if row is not None else 0) == change.expected_version
        return is_expected and not (row is not None and row.is_final)

    def _in_the_way(self, batch: Batch, refused: frozenset[TaskId]) -> tuple[Task, ...]:
        specs = {
            change.task.task_id: change.task.spec
            for change in batch.changes
            if isinstance(change, TaskSaved) and change.task.task_id in refused
        }
        found = [self.rows.get(task_id) for task_id in sorted(refused)]
        for names, key_of in ((self.keys, "idempotency_key"), (self.unique_keys, "unique_key")):
            found += [
                self.rows[names[key]] for spec in specs.values() if (key := getattr(spec, key_of)) in names
            ]
        return tuple({task.task_id: task for task in found if task is not None}.values())

    def _write(self, change: Change, now: Now, page: Page) -> None:
        match change:
            case TaskSaved(task=task) if task.task_id not in page.refused:
                self._save(task, now)
            case EventLogged() if change.task_id not in page.refused:
                page.events.append(self._logged(change))
            case MarkMoved(instance_id, seq, task_id):
                if task_id in page.refused:
                    page.stopped.add(instance_id)
                if instance_id not in page.stopped:
                    self.instances[instance_id] = replace(self.instances[instance_id], mark=seq)
            case AgentSaved(agent):
                self.agents[agent.agent_id] = agent
            case StrayKept() | MailKept():
                self.kept.append(change)
            case _:
                self._write_history(change, page)

    def _write_history(self, change: Change, page: Page) -> None:
        """An instance keeps the mark that is on disk, unless it is new or has just shown that the disk is
        behind."""
        if isinstance(change, InstanceSaved):
            instance = change.instance
            known = self.instances.get(instance.instance_id)
            if known is not None and not page.has_lost_history:
                instance = replace(instance, mark=known.mark)
            self.instances[instance.instance_id] = instance
        elif isinstance(change, EpochRenewed):
            self.epoch = change.epoch
            self.generation_floor = change.generation_floor

    def _save(self, task: Task, now: Now) -> None:
        self.rows[task.task_id] = task
        self._wall_less_mono[task.task_id] = now.wall_ms - now.ms
        if task.spec.idempotency_key is not None:
            self.keys[task.spec.idempotency_key] = task.task_id
        key = task.spec.unique_key
        if key is not None and not task.is_final:
            self.unique_keys[key] = task.task_id
        elif key is not None and self.unique_keys.get(key) == task.task_id:
            del self.unique_keys[key]

    def _logged(self, change: EventLogged) -> CommittedEvent:
        event = CommittedEvent(
            offset=len(self.log) + 1,
            event=change.event,
            task_id=change.task_id,
            agent_id=change.agent_id,
            generation=change.generation,
            timestamp=change.timestamp,
            payload=change.payload,
        )
        self.log.append(event)
        return event


def _shifted(row: Task, shift_ms: int) -> Task:
    """Deadlines that were kept against the wall, on another monotonic clock."""
    return replace(
        row,
        timer=None if row.timer is None else Timer(row.timer.kind, row.timer.due_ms + shift_ms),
        run_due_ms=None if row.run_due_ms is None else row.run_due_ms + shift_ms,
        start_by_ms=None if row.start_by_ms is None else row.start_by_ms + shift_ms,
        not_before_ms=row.not_before_ms + shift_ms if row.not_before_ms else 0,
    )
