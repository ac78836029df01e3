"""What an inner agent has in hand, and what its work has to be able to do.

Owns the values `Job` and `Undelivered` and the shape `Work`. Never decides about a task.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from hub.core.task import Task
from protocol.ids import Generation, TaskId


class Job(Struct, frozen=True, kw_only=True):
    """One generation of one task. Credentials are not in it: nothing that leaves the hub here may have
    them.
    """

    task: Task

    @property
    def task_id(self) -> TaskId:
        return self.task.task_id

    @property
    def generation(self) -> Generation:
        return self.task.generation


class Undelivered(Struct, frozen=True, kw_only=True):
    """Why a job did not get out of the house."""

    error: str
    is_retryable: bool = True
    retry_after_ms: int = 0


class Work(Protocol):
    """Hands a job to somebody outside, who reports its end some other way."""

    async def deliver(self, job: Job) -> Undelivered | None:
        """Hand it out; None when it is out. The same job may come twice: the other side must not see two."""

    def forget(self, job: Job) -> None:
        """It is over, or not ours any more."""
