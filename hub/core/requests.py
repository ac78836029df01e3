"""What people and programs ask for over HTTP: submit, cancel, retry, answer, and steering agents.

Owns the replies, granted or refused. Which refusal is which status code is the API's business.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from hub.core.aftermath import left_to_wait_for, missing_dependency
from hub.core.demands import REACH_RULES, Scene, demand_of, first_rule
from hub.core.draft import Draft
from hub.core.effects import Granted, HangUp, Refusal, RefusalKind
from hub.core.events import (
    AgentDisconnectRequested,
    AgentDrainRequested,
    AgentPaused,
    AgentUnpaused,
    CancelRequested,
    InputAnswered,
    RetryRequested,
    TaskSubmitted,
)
from hub.core.happenings import AnswerGiven, CancelAsked, PublisherMissing
from hub.core.office import Office
from hub.core.orders import has_room_for
from hub.core.seats import Agent
from hub.core.task import Now, Question, Spec, State, Task
from hub.core.timers import ms_of
from protocol.close import CloseCode
from protocol.ids import AgentId, TaskId


def submit(office: Office, event: TaskSubmitted, draft: Draft) -> None:
    """T1. The same key and body is the same task; the same key with another body is refused."""
    key = event.spec.idempotency_key
    same = office.find_key(key) if key is not None else office.find(event.task_id)
    if same is not None:
        draft.reply = repeat_of(same, event)
        if isinstance(draft.reply, Granted):
            office.dependencies.answers_for(same.task_id, event.task_id)
        return
    spec = office.dependencies.resolved(event.spec)
    task = new_task(office, event.task_id, spec, draft.now)
    refusal = why_not(office, task, event, draft.now)
    if refusal is not None:
        draft.reply = refusal
        return
    created = office.create(task, draft)
    if is_without_way(office, created):
        office.apply(created, PublisherMissing(), draft)
    note = "pushed" if event.must_be_connected else "queued"
    draft.reply = Granted(note=note, task=office.find(task.task_id), agent_id=spec.assign_to)


def why_not(office: Office, task: Task, event: TaskSubmitted, now: Now) -> Refusal | None:
    """What keeps a new task from the board: nobody in reach, no room, a held key, or nothing to wait for."""
    spec = task.spec
    reason = why_out_of_reach(office, task, now) if event.must_be_connected else None
    if reason is not None:
        known = None if reason == "not_connected" else reason
        return Refusal(kind=RefusalKind.AGENT_NOT_CONNECTED, agent_id=spec.assign_to, reason=known)
    if (refusal := why_no_room(office)) is not None:
        return refusal
    missing = missing_dependency(office, spec)
    if missing is not None:
        return Refusal(kind=RefusalKind.DEPENDENCY_NOT_FOUND, task_id=missing)
    return why_not_unique(office, spec)


def why_no_room(office: Office) -> Refusal | None:
    if len(office.tasks) < office.policy.tasks_open_max:
        return None
    return Refusal(kind=RefusalKind.OVERLOADED, reason="too many open tasks")


def why_not_unique(office: Office, spec: Spec) -> Refusal | None:
    """An open task that has the same unique key stands in the way."""
    if spec.unique_key is None or spec.unique_key not in office.by_unique:
        return None
    return Refusal(kind=RefusalKind.UNIQUE_KEY_HELD, task_id=office.by_unique[spec.unique_key])


def is_without_way(office: Office, task: Task) -> bool:
    """Whether it is a run for workers behind a Redis that this hub does not have."""
    run = task.spec.run
    return run is not None and run.route == "streams" and not office.policy.has_streams


def repeat_of(task: Task, event: TaskSubmitted) -> Granted | Refusal:
    if task.spec.fingerprint != event.spec.fingerprint:
        return Refusal(kind=RefusalKind.KEY_REUSED, task_id=task.task_id)
    note = "pushed" if event.must_be_connected else "queued"
    return Granted(note=note, task=task, agent_id=task.spec.assign_to, is_repeat=True)


def new_task(office: Office, task_id: TaskId, spec: Spec, now: Now) -> Task:
    """In the queue, its wall times turned into monotonic ones, and behind what it depends on."""
    return Task(
        task_id=task_id,
        spec=spec,
        created_wall_ms=now.wall_ms,
        updated_wall_ms=now.wall_ms,
        not_before_ms=ms_of(spec.run_at_wall_ms, now) or 0,
        start_by_ms=ms_of(spec.start_by_wall_ms, now),
        waits_for=left_to_wait_for(office, spec),
    )


def why_out_of_reach(office: Office, task: Task, now: Now) -> str | None:
    """The rule by which the agent that is meant could not be given anything now; a full one may wait."""
    agent = office.fleet.get(task.spec.assign_to or AgentId(""))
    if agent is None:
        return "not_connected"
    rule = first_rule(demand_of(task.spec), agent, Scene(task.task_id, now.ms, office.is_draining))
    if rule == "not_connected" and agent.held:
        return "out_of_reach"
    return rule if rule in REACH_RULES else None


def cancel(office: Office, event: CancelRequested, draft: Draft) -> None:
    """T18 at once, T19 as a claim; asked twice, it is one cancel."""
    task = office.find(event.task_id)
    if task is None:
        draft.reply = Refusal(kind=RefusalKind.TASK_NOT_FOUND, task_id=event.task_id)
    elif task.is_final:
        draft.reply = wrong_state(task)
    else:
        if task.state is not State.CANCELLING:
            # A v1 holder that is back may be spoken to although its task is still `recovering`.
            is_reachable = office.agent_of(task.holder) is not None
            happening = CancelAsked(event.by, event.reason, is_reachable)
            decision = office.apply(task, happening, draft)
            assert decision is not None, "whatever is open can be cancelled"
            task = office.find(event.task_id) or decision.task
        note = "cancelled" if task.is_final else "cancelling"
        draft.reply = Granted(note=note, task=task)


def wrong_state(task: Task) -> Refusal:
    return Refusal(kind=RefusalKind.INVALID_STATE, task_id=task.task_id, state=task.state.value)


def retry(office: Office, event: RetryRequested, draft: Draft) -> None:
    """By hand: a new task with `retry_of`. Terminal is for ever, and times of the first one are its own
    (L18). Whoever waited on its channel, or for its run, has been told the end and hears no other (L101).
    What it depends on and its unique key are those of the first.
    """
    task = office.find(event.task_id)
    if task is None:
        draft.reply = Refusal(kind=RefusalKind.TASK_NOT_FOUND, task_id=event.task_id)
    elif not task.is_final:
        draft.reply = wrong_state(task)
    elif (refusal := why_no_room(office) or why_not_unique(office, task.spec)) is not None:
        draft.reply = refusal
    else:
        spec = replace(
            task.spec,
            retry_of=task.task_id,
            idempotency_key=None,
            stream_id=None,
            run=None,
            start_by_wall_ms=None,
            run_at_wall_ms=None,
            submitted_by=event.by,
            submitted_wall_ms=draft.now.wall_ms,
        )
        again = office.create(new_task(office, event.new_task_id, spec, draft.now), draft)
        draft.reply = Granted(note="requeued", task=again)


def answer(office: Office, event: InputAnswered, draft: Draft) -> None:
    """Stored before it is sent, also when the run that asked is over. The same value again is fine, another
    one is not.
    """
    task = office.find(event.task_id)
    if task is None:
        draft.reply = Refusal(kind=RefusalKind.TASK_NOT_FOUND, task_id=event.task_id)
        return
    question = question_of(task, event)
    if question is None:
        kind = RefusalKind.INVALID_STATE if task.is_final else RefusalKind.NO_SUCH_QUESTION
        draft.reply = Refusal(kind=kind, task_id=task.task_id, state=task.state.value)
    elif question.answer is not None:
        is_same = bytes(question.answer) == bytes(event.value)
        conflict = Refusal(kind=RefusalKind.ANSWER_CONFLICT, task_id=task.task_id)
        draft.reply = Granted(note="answered", task=task, is_repeat=True) if is_same else conflict
    elif not has_room_for(task, replace(question, answer=event.value)):
        draft.reply = Refusal(kind=RefusalKind.ANSWERS_TOO_BIG, task_id=task.task_id)
    elif office.apply(task, AnswerGiven(event.value, event.by), draft) is None:
        draft.reply = wrong_state(task)
    else:
        draft.reply = Granted(note="answered", task=office.find(task.task_id))


def question_of(task: Task, event: InputAnswered) -> Question | None:
    """The open one, or one that was answered before."""
    asked = (*task.answers, task.question) if task.question is not None else task.answers
    return next((one for one in asked if one.request_id == event.request_id), None)


# --- agents -----------------------------------------------------------------------------------------------

Steering = AgentPaused | AgentUnpaused | AgentDrainRequested | AgentDisconnectRequested


def steer(office: Office, event: Steering, draft: Draft) -> None:
    """Only an agent that is there can be steered."""
    agent = office.fleet.get(event.agent_id)
    if agent is None or not agent.is_connected:
        draft.reply = Refusal(kind=RefusalKind.AGENT_NOT_CONNECTED, agent_id=event.agent_id)
        return
    match event:
        case AgentPaused() | AgentUnpaused():
            pause(office, agent, isinstance(event, AgentPaused), event.by, draft)
        case AgentDrainRequested():
            drain(office, agent, event.by, draft)
        case AgentDisconnectRequested():
            draft.effects.append(HangUp(agent.link_id, CloseCode.NORMAL, f"disconnected by {event.by}"))
            draft.reply = Granted(note="disconnected", agent_id=agent.agent_id)
        case _:
            assert_never(event)


def pause(office: Office, agent: Agent, is_paused: bool, by: str, draft: Draft) -> None:
    """Nothing new while it is paused; what it has goes on. Unpausing also ends a drain."""
    if agent.record.is_paused is not is_paused:
        office.save_agent(agent, replace(agent.record, is_paused=is_paused), draft)
        draft.log("agent_paused" if is_paused else "agent_unpaused", {"by": by}, agent_id=agent.agent_id)
    if not is_paused:
        agent.is_draining = agent.is_asked_to_drain = agent.is_sent_away = False
        agent.drain_due_ms = None
        office.fleet.touch(agent)
    draft.reply = Granted(note="paused" if is_paused else "resumed", agent_id=agent.agent_id)


def drain(office: Office, agent: Agent, by: str, draft: Draft) -> None:
    """Nothing new; `goaway` when its hands are empty, or when it took too long."""
    if not agent.is_asked_to_drain:
        agent.is_asked_to_drain = agent.is_draining = True
        agent.drain_due_ms = draft.now.ms + office.policy.drain_ms
        office.agent_deadlines.watch(agent.agent_id, agent.due_ms())
        office.fleet.touch(agent)
        draft.log("agent_draining", {"by": by}, agent_id=agent.agent_id)
    draft.reply = Granted(note="draining", agent_id=agent.agent_id)
