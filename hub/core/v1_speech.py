"""What a v1 client gets to hear: the same things in the words it knows.

Owns the translation of every hub frame for a peer that knows only the frames marked v1 (contracts §1.2).
Never decides what is said.
"""

from __future__ import annotations

from protocol.frames import (
    Goaway,
    HubFrame,
    Identified,
    TaskAck,
    TaskAssign,
    TaskCancel,
    TaskCancelled,
    TaskInput,
    TaskRevoke,
)


def for_v1(frame: HubFrame, wall_ms: int) -> HubFrame | None:
    """The frame as a v1 client may see it; None when there is no word for it."""
    match frame:
        case TaskAssign():
            return TaskAssign(
                task_id=frame.task_id,
                generation=frame.generation,
                assigned_at=frame.assigned_at,
                description=frame.description,
                metadata=frame.metadata,
            )
        case TaskRevoke() | TaskCancel():
            return TaskCancelled(task_id=frame.task_id, timestamp=wall_ms)
        case TaskInput() | Goaway():
            return None
        case TaskAck():
            return TaskAck(task_id=frame.task_id, status=frame.status)
        case Identified():
            return Identified(agent_id=frame.agent_id)
        case _:
            return frame
