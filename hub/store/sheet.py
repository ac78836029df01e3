"""A batch sorted by kind, and how its rows travel to SQLite.

Owns the one walk through the changes. Never decides what is written or refused: `writing.py` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from hub.core.effects import (
    AgentRecord,
    AgentSaved,
    Change,
    EpochRenewed,
    EventLogged,
    InstanceSaved,
    LetterPosted,
    MailKept,
    MarkMoved,
    StrayKept,
    TaskSaved,
)
from hub.ports import Batch
from protocol.ids import TaskId

encode: Final = msgspec.json.Encoder().encode


class Places(Struct, frozen=True):
    """Where the next rows go. Only what is committed counts."""

    last_number: int
    last_offset: int


class Sheet:
    """A batch, sorted by kind in one walk."""

    def __init__(self, batch: Batch) -> None:
        self.now = batch.now
        self.saves: dict[TaskId, TaskSaved] = {}
        self.events: list[EventLogged] = []
        self.instances: list[InstanceSaved | MarkMoved] = []
        self.agents: dict[str, AgentRecord] = {}
        self.strays: list[StrayKept] = []
        self.mail: list[MailKept] = []
        self.letters: list[LetterPosted] = []
        self.epoch: EpochRenewed | None = None
        for change in batch.changes:
            self._take(change)

    def _take(self, change: Change) -> None:
        match change:
            case TaskSaved(task=task):
                assert task.task_id not in self.saves, f"{task.task_id} is saved twice in one batch"
                self.saves[task.task_id] = change
            case EventLogged():
                self.events.append(change)
            case MarkMoved() | InstanceSaved():
                self.instances.append(change)
            case AgentSaved(agent):
                self.agents[agent.agent_id] = agent
            case StrayKept() | MailKept() | LetterPosted():
                self._take_aside(change)
            case EpochRenewed():
                self.epoch = change

    def _take_aside(self, change: StrayKept | MailKept | LetterPosted) -> None:
        """What is only ever added."""
        match change:
            case StrayKept():
                self.strays.append(change)
            case MailKept():
                self.mail.append(change)
            case LetterPosted():
                self.letters.append(change)


def run_with(connection: apsw.Connection, sql: str, given: Iterable[object]) -> list[tuple[Any, ...]]:
    """One statement over a JSON array of rows."""
    found: list[tuple[Any, ...]] = connection.execute(sql, (str(encode(tuple(given)), "utf-8"),)).fetchall()
    return found
