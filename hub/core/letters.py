"""Which module hears which letter: one `match` over events, one over frames.

Owns the routing and nothing else; a new event or frame that is forgotten here is a type error.
"""

from __future__ import annotations

from typing import assert_never

from hub.core import facts, identify, mail, passage, requests, talk, v1
from hub.core.draft import Draft
from hub.core.events import (
    AgentDisconnectRequested,
    AgentDrainRequested,
    AgentIdentified,
    AgentPaused,
    AgentUnpaused,
    BadFactHeard,
    CancelRequested,
    Event,
    FrameHeard,
    HubDrained,
    HubStarted,
    InputAnswered,
    LinkLost,
    MessageSubmitted,
    RetryRequested,
    TasksForgotten,
    TaskSubmitted,
    TimePassed,
)
from hub.core.office import Office
from hub.core.seats import Agent
from protocol.errors import ErrorCode
from protocol.frames import (
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
    Pong,
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
from protocol.ids import MessageId


def read(office: Office, event: Event, draft: Draft) -> None:  # noqa: C901, PLR0912  a flat table
    """Every letter finds its reader."""
    match event:
        case FrameHeard():
            agent = office.live(event.sender)
            if agent is not None:  # a superseded link changes nothing (invariant 25)
                hear(office, agent, event.frame, event.message_id, draft)
        case BadFactHeard():
            agent = office.live(event.sender)
            if agent is not None and not agent.is_v1:
                facts.hear_bad_fact(office, agent, event, draft)
        case TaskSubmitted():
            requests.submit(office, event, draft)
        case AgentIdentified():
            identify.identify(office, event, draft)
        case LinkLost():
            passage.lose_link(office, event, draft)
        case CancelRequested():
            requests.cancel(office, event, draft)
        case RetryRequested():
            requests.retry(office, event, draft)
        case InputAnswered():
            requests.answer(office, event, draft)
        case AgentPaused() | AgentUnpaused() | AgentDrainRequested() | AgentDisconnectRequested():
            requests.steer(office, event, draft)
        case MessageSubmitted():
            mail.submit_message(office, event, draft)
        case TimePassed():
            passage.pass_time(office, draft)
        case HubStarted():
            passage.start_hub(office, draft)
        case HubDrained():
            passage.drain_hub(office, draft)
        case TasksForgotten():
            office.forget(event.task_ids)
        case _:
            assert_never(event)


def hear(office: Office, agent: Agent, frame: AgentFrame, message_id: MessageId | None, draft: Draft) -> None:
    """A frame over the live link, of either generation of client."""
    agent.seen_wall_ms = draft.now.wall_ms
    if agent.is_v1:
        v1.notice_v1(office, agent, frame, draft)
        _hear_v1(office, agent, frame, message_id, draft)
    else:
        _hear_v2(office, agent, frame, message_id, draft)


def _hear_v2(
    office: Office, agent: Agent, frame: AgentFrame, message_id: MessageId | None, draft: Draft
) -> None:
    match frame:
        case (
            TaskAccepted()
            | TaskComplete()
            | TaskFailed()
            | TaskRejected()
            | TaskStopped()
            | TaskDone()
            | InputRequired()
            | InputAck()
        ):
            facts.hear_fact(office, agent, frame, draft)
        case TaskProgress() | TaskLog() | TaskUsage():
            talk.hear_passing(office, agent, frame, draft)
        case Heartbeat():
            talk.hear_heartbeat(office, agent, frame, draft)
        case Draining():
            talk.hear_draining(office, agent, draft)
        case _:
            _hear_either(office, agent, frame, message_id, draft)


def _hear_v1(
    office: Office, agent: Agent, frame: AgentFrame, message_id: MessageId | None, draft: Draft
) -> None:
    match frame:
        case TaskAccepted() | TaskComplete() | TaskFailed() | TaskRejected():
            v1.hear_v1_fact(office, agent, frame, draft)
        case TaskProgress():
            v1.hear_v1_progress(office, agent, frame, draft)
        case (
            TaskStopped()
            | TaskDone()
            | InputRequired()
            | InputAck()
            | TaskLog()
            | TaskUsage()
            | Heartbeat()
            | Draining()
        ):
            v1.complain(office, agent, ErrorCode.UNKNOWN_MESSAGE_TYPE, frame, draft)
        case _:
            _hear_either(office, agent, frame, message_id, draft)


Either = (
    Identify
    | Ping
    | Status
    | ListAgents
    | Message
    | TaskRecovering
    | StateReport
    | WakeResult
    | ResourceReport
    | AgentRestarting
)
"""What both generations say in the same way."""


def _hear_either(  # noqa: C901  one line a frame
    office: Office, agent: Agent, frame: Either, message_id: MessageId | None, draft: Draft
) -> None:
    match frame:
        case Ping():
            office.tell(agent, Pong(timestamp=draft.now.wall_ms), draft)
        case Status():
            talk.hear_status(office, agent, frame, draft)
        case ListAgents():
            talk.list_agents(office, agent, draft)
        case Message():
            mail.hear_message(office, agent, frame, message_id or MessageId(""), draft)
        case TaskRecovering():
            v1.hear_recovering(office, agent, frame, draft)
        case StateReport():
            v1.hear_state_report(office, agent, frame, draft)
        case WakeResult() | ResourceReport() | AgentRestarting():
            talk.hear_report(agent, frame, draft)
        case Identify():  # the second one on a socket (L12): refused, the socket stays
            v1.complain(office, agent, ErrorCode.INVALID_STATE, frame, draft)
        case _:
            assert_never(frame)
