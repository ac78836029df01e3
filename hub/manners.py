"""How each frame counts against the rates of its link.

Owns the one table; a frame forgotten in it stops the hub at import. Never counts: `ladder.py` does.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from protocol.frames import (
    AGENT_FRAMES,
    AgentFrame,
    AgentRestarting,
    Draining,
    Heartbeat,
    Identify,
    InputAck,
    InputRequired,
    ListAgents,
    Message,
    Ping,
    ResourceReport,
    StateReport,
    Status,
    TaskAccepted,
    TaskComplete,
    TaskDone,
    TaskFailed,
    TaskLog,
    TaskProgress,
    TaskRecovering,
    TaskRejected,
    TaskStopped,
    TaskUsage,
    WakeResult,
)


class Manner(Enum):
    """How a frame counts against the rates of its link."""

    FACT = "never: a receipt is owed for it"
    LIFE = "in a bucket of its own: losing it would look like death"
    TALK = "with all other talk; too much of it is answered `rate_limited`"
    PASSING = "with all other talk; too much of it is dropped and counted"


MANNERS: Final[dict[type[AgentFrame], Manner]] = {
    Identify: Manner.TALK,
    Ping: Manner.LIFE,
    Status: Manner.TALK,
    ListAgents: Manner.TALK,
    Message: Manner.TALK,
    TaskAccepted: Manner.FACT,
    TaskRejected: Manner.FACT,
    TaskComplete: Manner.FACT,
    TaskFailed: Manner.FACT,
    TaskStopped: Manner.FACT,
    TaskDone: Manner.FACT,
    InputRequired: Manner.FACT,
    InputAck: Manner.FACT,
    TaskProgress: Manner.PASSING,
    TaskLog: Manner.PASSING,
    TaskUsage: Manner.PASSING,
    Heartbeat: Manner.LIFE,
    Draining: Manner.LIFE,
    TaskRecovering: Manner.LIFE,
    StateReport: Manner.LIFE,
    WakeResult: Manner.PASSING,
    ResourceReport: Manner.PASSING,
    AgentRestarting: Manner.LIFE,
}

assert set(MANNERS) == set(AGENT_FRAMES), "every frame has its manner"
