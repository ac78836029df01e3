"""Agents of the first generation: no numbers, often no generation, one seat, and habits of their own.

Owns every rule of contracts §1.2 for them: which generation an unnumbered frame means, what resumes a task,
which ack a repeat gets, and who gets an error. What they hear is translated in `v1_speech.py`; what a fact
does to its task is in the same table as for everybody.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeVar, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hub.core.draft import Draft
from hub.core.facts import apply_fact, is_ending, is_in_hand, is_of_holder, status_of_repeat, stray
from hub.core.happenings import Accepted, HolderBack, HolderMovedOn, SignOfLife
from hub.core.office import Office
from hub.core.seats import Agent
from hub.core.talk import note_passing, pass_on
from hub.core.task import State, Task
from protocol.errors import ErrorCode
from protocol.frames import (
    AckStatus,
    AgentFrame,
    ErrorFrame,
    StateReport,
    StateReportAck,
    TaskAccepted,
    TaskAck,
    TaskCancelled,
    TaskComplete,
    TaskContinue,
    TaskFailed,
    TaskProgress,
    TaskReassign,
    TaskRecovering,
    TaskRejected,
    frame_type,
)
from protocol.ids import Generation, TaskId

REMEMBERED_MAX: Final = 256
"""Tasks of one connection whose generation and last ack are remembered: a v1 client has one at a time."""

NO_GENERATION: Final = Generation(0)
"""Never the current one: generations begin with 1."""

V1Fact = TaskAccepted | TaskRejected | TaskComplete | TaskFailed
V1Word = V1Fact | TaskProgress | TaskRecovering | StateReport

Key = TypeVar("Key")
Value = TypeVar("Value")


class ReportedResult(Struct, frozen=True):
    """The members of a result that v1 clients give a meaning."""

    status: str | None = None
    error: str | None = None
    reason: str | None = None
    output: str | None = None
    tokens_used: int | None = None


def notice_v1(office: Office, agent: Agent, frame: AgentFrame, draft: Draft) -> None:
    """A frame about something else than a task it was told to forget: that is all the proof there will be."""
    about = getattr(frame, "task_id", None)
    for task_id in tuple(agent.held):
        task = office.tasks[task_id]
        if task.state is State.CANCELLING and task_id != about:
            office.apply(task, HolderMovedOn(), draft)


# --- facts ------------------------------------------------------------------------------------------------


def hear_v1_fact(office: Office, agent: Agent, fact: V1Fact, draft: Draft) -> None:
    """One ack or one error for each, and the same ack for the same fact again."""
    fact = as_meant(fact)
    task = office.find(fact.task_id)
    generation = meant_generation(agent, fact, task)
    ended = agent.v1_ended.get((fact.task_id, generation))
    if ended is not None and ended[0] == frame_type(fact):
        acknowledge(office, agent, fact.task_id, ended[1], draft)
    elif task is None:
        stray(agent, fact, draft)
        acknowledge(office, agent, fact.task_id, usual_status(fact), draft)
    elif task.is_held and not is_in_hand(task, agent, task.generation):
        complain(office, agent, ErrorCode.NOT_HOLDER, fact, draft)
    elif generation != task.generation or not is_of_holder(task, agent, generation):
        complain(office, agent, ErrorCode.STALE_GENERATION, fact, draft)
    else:
        settle_v1_fact(office, agent, task, fact, draft)


def as_meant(fact: V1Fact) -> V1Fact:
    """A failure that was reported as completed is a failure; tokens may stand in the result."""
    if isinstance(fact, TaskFailed) and fact.fault is not None:
        return replace(fact, fault=None)  # a word that only a v2 agent has
    if not isinstance(fact, TaskComplete):
        return fact
    try:
        reported = msgspec.json.decode(fact.result, type=ReportedResult)
    except msgspec.DecodeError:
        return fact  # any JSON is a result: a string, a list, an object of its own kind
    if reported.status == "failed":
        error = reported.error or reported.reason or reported.output or "reported as failed"
        return TaskFailed(task_id=fact.task_id, generation=fact.generation, error=error)
    if fact.tokens_used is None and reported.tokens_used is not None and reported.tokens_used >= 0:
        return replace(fact, tokens_used=reported.tokens_used)
    return fact


def settle_v1_fact(office: Office, agent: Agent, task: Task, fact: V1Fact, draft: Draft) -> None:
    """A fact of the current generation from its holder."""
    decision = apply_fact(office, agent, task, fact, draft)
    status = status_of_repeat(task, fact) if decision is None else decision.status
    if status is None:
        complain(office, agent, ErrorCode.STALE_GENERATION, fact, draft)
        return
    run = (task.task_id, task.generation)
    if isinstance(fact, TaskAccepted):
        remember(agent.v1_spoken, *run)
    if is_ending(fact):
        remember(agent.v1_ended, run, (frame_type(fact), status))
        office.free_seat(agent, *run)
    acknowledge(office, agent, task.task_id, status, draft)


def acknowledge(office: Office, agent: Agent, task_id: TaskId, status: AckStatus, draft: Draft) -> None:
    """A v1 client waits for no word about a rejection, and knows none."""
    if status != "rejected":
        office.tell(agent, TaskAck(task_id=task_id, status=status), draft, task_id)


def usual_status(fact: V1Fact) -> AckStatus:
    match fact:
        case TaskAccepted():
            return "accepted"
        case TaskRejected():
            return "rejected"
        case TaskComplete():
            return "complete"
        case TaskFailed():
            return "failed"
        case _:
            assert_never(fact)


def meant_generation(agent: Agent, frame: V1Word, task: Task | None) -> Generation:
    """None or 0 means the last one accepted or resumed on this connection, else the current one.

    But a later generation that it has not accepted yet is not meant: what comes without a number then may be
    the end of an earlier run, from before the connection was lost.
    """
    if frame.generation:
        return frame.generation
    if task is None:
        return NO_GENERATION
    if isinstance(frame, TaskAccepted | TaskRejected):  # answers to the order that was sent last
        return task.generation
    is_known_to_run = task.is_accepted or task.generation == 1
    return agent.v1_spoken.get(frame.task_id, task.generation if is_known_to_run else NO_GENERATION)


def remember(where: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    where[key] = value
    if len(where) > REMEMBERED_MAX:
        where.popitem(last=False)


def complain(office: Office, agent: Agent, code: ErrorCode, frame: AgentFrame, draft: Draft) -> None:
    """An error that a client can act on: it names the task and the frame (L51)."""
    task_id = getattr(frame, "task_id", None)
    error = ErrorFrame(error=code.value, task_id=task_id, message_type=frame_type(frame))
    office.tell(agent, error, draft, task_id)


# --- signs of life ----------------------------------------------------------------------------------------


def hear_v1_progress(office: Office, agent: Agent, progress: TaskProgress, draft: Draft) -> None:
    """No reply. It resumes, counts as acceptance, and passes by; a stranger's is told to forget the task."""
    task = office.tasks.get(progress.task_id)
    generation = meant_generation(agent, progress, task)
    if task is None or not is_in_hand(task, agent, generation):
        if task is None or not is_in_hand(task, agent, task.generation):
            forget(office, agent, progress.task_id, draft)
        return
    pick_up(office, agent, task, draft)
    office.apply(office.tasks[task.task_id], SignOfLife(is_talk=True), draft)
    said = replace(progress, generation=generation)
    note_passing(office, office.tasks[task.task_id], said)
    pass_on(agent, said, draft)


def pick_up(office: Office, agent: Agent, task: Task, draft: Draft) -> bool:
    """Any frame of the current generation from the holder resumes it, and counts as acceptance. False: it is
    cancelled.
    """
    if task.state is State.CANCELLING:
        return False
    if task.state is State.ASSIGNED:
        office.apply(task, Accepted(), draft)
        agent.accept_timeouts = 0
    elif task.state is State.RECOVERING:
        office.apply(task, HolderBack(), draft)
    remember(agent.v1_spoken, task.task_id, task.generation)
    return True


def forget(office: Office, agent: Agent, task_id: TaskId, draft: Draft) -> None:
    office.rows["T27"] += 1
    office.tell(agent, TaskCancelled(task_id=task_id, timestamp=draft.now.wall_ms), draft, task_id)


def hear_recovering(office: Office, agent: Agent, frame: TaskRecovering, draft: Draft) -> None:
    """`task_continue` when this agent still holds it, else `task_reassign`."""
    task = office.tasks.get(frame.task_id)
    if task is not None and is_in_hand(task, agent, meant_generation(agent, frame, task)):
        if pick_up(office, agent, task, draft):
            office.tell(
                agent, TaskContinue(task_id=task.task_id, generation=task.generation), draft, task.task_id
            )
            return
        forget(office, agent, task.task_id, draft)
    office.tell(agent, TaskReassign(task_id=frame.task_id), draft, frame.task_id)


def hear_state_report(office: Office, agent: Agent, frame: StateReport, draft: Draft) -> None:
    """`continue` when this agent holds that generation, else `abort`."""
    task = office.tasks.get(frame.task_id)
    is_its_own = task is not None and is_in_hand(task, agent, meant_generation(agent, frame, task))
    if task is not None and is_its_own and pick_up(office, agent, task, draft):
        ack = StateReportAck(task_id=task.task_id, action="continue")
    else:
        ack = StateReportAck(task_id=frame.task_id, action="abort")
    office.tell(agent, ack, draft, frame.task_id)
