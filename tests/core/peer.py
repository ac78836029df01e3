"""One agent's end of a link, of either generation of client, as tests speak through it.

Owns its numbers and what it has heard. Never decides: a test says every frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from msgspec import Raw

from hub.core.events import (
    AgentIdentified,
    BadFactHeard,
    FrameHeard,
    LinkLost,
    Sender,
)
from protocol.frames import (
    AgentFrame,
    Heartbeat,
    Held,
    Holding,
    HubFrame,
    Identified,
    InputAck,
    InputRequired,
    StopProof,
    TaskAccepted,
    TaskAck,
    TaskAssign,
    TaskComplete,
    TaskFailed,
    TaskProgress,
    TaskRejected,
    TaskStopped,
)
from protocol.ids import AgentId, Generation, InstanceId, MessageId, RequestId, Seq, TaskId

if TYPE_CHECKING:
    from tests.core.stage import Stage

F = TypeVar("F")


class Peer:
    """One agent's end of a link, of either generation of client."""

    def __init__(self, stage: Stage, agent_id: AgentId, instance_id: InstanceId, version: int) -> None:
        self.stage = stage
        self.agent_id, self.instance_id, self.version = agent_id, instance_id, version
        self.link_id = 0
        self.connection = 0
        self.seq = 0
        self.is_up = False
        self.heard: list[HubFrame] = []
        self.closed: tuple[int, str] | None = None

    @property
    def sender(self) -> Sender:
        return Sender(self.link_id, self.agent_id, self.instance_id, self.version)

    # --- links ---------------------------------------------------------------------------------------------

    def identify(self, *holding: Holding, **card: object) -> Identified | None:
        """Dial and identify; the answer, if it was welcomed."""
        self.heard.clear()
        self.closed = None
        self.link_id = self.stage.new_link(self)
        self.connection += 1
        self.is_up = True
        said: dict[str, object] = {
            "sender": self.sender,
            "name": self.agent_id,
            "boot_id": "boot-1" if self.version > 1 else "",
            "connection": self.connection if self.version > 1 else 0,
            "holding": holding if self.version > 1 else None,
            "seq_next": Seq(self.seq + 1),
            "session_id": f"session-{self.link_id}",
            "epoch_if_renewed": "epoch-2",
        }
        self.stage.tell(AgentIdentified(**(said | card)))  # type: ignore[arg-type]  # passed through as given
        return next((frame for frame in self.heard if isinstance(frame, Identified)), None)

    def drop(self, reason: str = "gone") -> None:
        """The socket is gone."""
        self.is_up = False
        self.stage.tell(LinkLost(link_id=self.link_id, reason=reason))

    def comes_back(self, *holding: Holding, **card: object) -> Identified:
        identified = self.identify(*holding, **card)
        assert identified is not None, self.heard
        return identified

    # --- speaking ------------------------------------------------------------------------------------------

    def says(self, frame: AgentFrame, message_id: str = "") -> list[HubFrame]:
        """One frame; what this peer hears in answer."""
        self.heard.clear()
        self.stage.tell(
            FrameHeard(
                sender=self.sender, frame=frame, message_id=MessageId(message_id) if message_id else None
            )
        )
        return list(self.heard)

    def says_badly(self, seq: int) -> list[HubFrame]:
        self.heard.clear()
        self.stage.tell(BadFactHeard(sender=self.sender, seq=Seq(seq), task_id=None))
        return list(self.heard)

    def next_seq(self) -> Seq | None:
        if self.version < 2:
            return None
        self.seq += 1
        return Seq(self.seq)

    def fact(self, make: Callable[[Seq | None], AgentFrame]) -> str | None:
        """A numbered fact; the status of its receipt."""
        for frame in self.says(make(self.next_seq())):
            if isinstance(frame, TaskAck):
                return frame.status
        return None

    def generation(self, task_id: TaskId) -> Generation:
        return self.stage.task(task_id).generation

    def accept(self, task_id: TaskId, generation: int | None = None) -> str | None:
        g = self._meant(task_id, generation)
        return self.fact(lambda seq: TaskAccepted(task_id=task_id, generation=g, seq=seq))

    def reject(self, task_id: TaskId, reason: str = "busy", generation: int | None = None) -> str | None:
        g = self._meant(task_id, generation)
        return self.fact(lambda seq: TaskRejected(task_id=task_id, generation=g, seq=seq, reason=reason))

    def complete(self, task_id: TaskId, result: str = "1", generation: int | None = None) -> str | None:
        g = self._meant(task_id, generation)
        return self.fact(
            lambda seq: TaskComplete(task_id=task_id, generation=g, seq=seq, result=Raw(result.encode()))
        )

    def completion(self, task_id: TaskId) -> FrameHeard:
        """Its next fact, to be told by whoever turns the board."""
        done = TaskComplete(
            task_id=task_id, generation=self.generation(task_id), seq=Seq(self.seq + 1), result=Raw(b"1")
        )
        return FrameHeard(sender=self.sender, frame=done)

    def fail(
        self,
        task_id: TaskId,
        error: str = "broken",
        *,
        retryable: bool = True,
        generation: int | None = None,
        retry_after_ms: int | None = None,
        reason: str | None = None,
        fault: str | None = None,
    ) -> str | None:
        g = self._meant(task_id, generation)
        return self.fact(
            lambda seq: TaskFailed(
                task_id=task_id,
                generation=g,
                seq=seq,
                error=error,
                reason=reason,
                retryable=retryable,
                retry_after_ms=retry_after_ms,
                fault=fault,
            )
        )

    def stop(self, task_id: TaskId, how: str = "terminated", generation: int | None = None) -> str | None:
        g = self._meant(task_id, generation)
        return self.fact(
            lambda seq: TaskStopped(
                task_id=task_id,
                generation=g,
                seq=seq,
                how=how,  # type: ignore[arg-type]  # one of the four words
                proof=StopProof(signals=("TERM",), reaped=1),
            )
        )

    def ask(self, task_id: TaskId, ordinal: int = 1) -> str | None:
        request_id, g = RequestId(f"{task_id}-{ordinal}"), self.generation(task_id)
        return self.fact(
            lambda seq: InputRequired(
                task_id=task_id, generation=g, seq=seq, request_id=request_id, prompt="Which?"
            )
        )

    def take_answer(self, task_id: TaskId, ordinal: int = 1) -> str | None:
        request_id, g = RequestId(f"{task_id}-{ordinal}"), self.generation(task_id)
        return self.fact(lambda seq: InputAck(task_id=task_id, generation=g, seq=seq, request_id=request_id))

    def progress(
        self, task_id: TaskId, percent: float | None = 50, generation: int | None = None
    ) -> list[HubFrame]:
        g = self._meant(task_id, generation)
        return self.says(TaskProgress(task_id=task_id, generation=g, progress=percent))

    def beat(self, *held: Held, as_of: int | None = None) -> list[HubFrame]:
        return self.says(Heartbeat(as_of_seq=Seq(self.seq if as_of is None else as_of), tasks=held))

    def _meant(self, task_id: TaskId, generation: int | None) -> Generation | None:
        if generation is not None:
            return Generation(generation)
        return self.generation(task_id) if self.version > 1 else None

    # --- hearing -------------------------------------------------------------------------------------------

    def last(self, kind: type[F]) -> F:
        """The last frame of a kind that it heard since it last spoke."""
        found = [frame for frame in self.heard if isinstance(frame, kind)]
        assert found, f"no {kind.__name__} in {self.heard}"
        return found[-1]

    def hears(self, kind: type[object]) -> bool:
        return any(isinstance(frame, kind) for frame in self.heard)

    def orders(self) -> list[TaskAssign]:
        return [frame for frame in self.heard if isinstance(frame, TaskAssign)]

    def runs(self, task_id: TaskId) -> Held:
        return Held(task_id=task_id, generation=self.generation(task_id))

    def has(self, task_id: TaskId, state: str = "running", generation: int | None = None) -> Holding:
        g = self.generation(task_id) if generation is None else Generation(generation)
        return Holding(task_id=task_id, generation=g, state=state)  # type: ignore[arg-type]  # it is one of the words
