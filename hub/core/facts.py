"""Facts of v2 agents: each is applied once, in order, and answered by exactly one receipt.

Owns the order by number, the question whose fact it is, and the receipt. What a fact does to its task is in
the table (`lifecycle.py`); facts about tasks that the hub does not know are kept as strays.
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from hub.core.draft import Draft
from hub.core.effects import AlertKind, HangUp, MarkMoved, RaiseAlert, StrayKept
from hub.core.events import BadFactHeard
from hub.core.happenings import (
    Accepted,
    AnswerTaken,
    Asked,
    Completed,
    Decision,
    Failed,
    Happening,
    Rejected,
    StepDone,
    Stopped,
)
from hub.core.office import Office
from hub.core.passage import quarantine
from hub.core.policy import decline_ms
from hub.core.seats import Agent
from hub.core.task import Fault, State, Task
from protocol import limits
from protocol.close import CloseCode
from protocol.errors import ErrorCode
from protocol.frames import (
    AckStatus,
    ErrorFrame,
    FactFrame,
    InputAck,
    InputRequired,
    TaskAccepted,
    TaskAck,
    TaskComplete,
    TaskDone,
    TaskFailed,
    TaskRejected,
    TaskRevoke,
    TaskStopped,
    frame_type,
)
from protocol.ids import Generation, Seq, TaskId

SIDECAR_CRASH: Final = "sidecar_crash"

MACHINE_ERRORS: Final = frozenset({SIDECAR_CRASH, "sidecar_shutdown"})
"""The errors by which a sidecar reports a run that died with it, or that it had to stop when it was told to
go: the work has not failed, so this is a strike, not an attempt.
"""

TIMEOUT_REASON: Final = "timeout"
"""The `reason` beside an `error`, by which a sidecar says that a run's time was over."""

FAULTS: Final = frozenset(Fault)

RECALLED_MAX: Final = limits.SLOTS_MAX
"""Seats of one agent that are kept for recalled runs: as many as it may have slots. A peer that speaks of
still others is told to stop them, and nothing is remembered for it (L110).
"""

SUSPECT_AGENTS: Final = 2
"""A task that has broken down on so many agents breaks down because of itself."""

_STRAY = msgspec.json.Encoder()


def hear_fact(office: Office, agent: Agent, fact: FactFrame, draft: Draft) -> None:
    """In order and once: the mark rises in the same answer as the effect of the fact, and then comes the
    receipt.
    """
    if fact.seq is None or fact.generation is None:
        draft_error(office, agent, ErrorCode.VALIDATION_FAILED, fact, draft)
    elif is_next(office, agent, fact.seq, fact.task_id, fact.generation, draft):
        status = take_fact(office, agent, fact, fact.generation, draft)
        receipt(office, agent, fact.seq, fact.task_id, fact.generation, status, draft)


def hear_bad_fact(office: Office, agent: Agent, bad: BadFactHeard, draft: Draft) -> None:
    """A number without a readable body: receipted `refused`, so that no gap blocks the instance."""
    task_id = bad.task_id or TaskId("unreadable")
    if is_next(office, agent, bad.seq, task_id, None, draft):
        receipt(office, agent, bad.seq, task_id, None, "refused", draft)


def is_next(
    office: Office, agent: Agent, seq: Seq, task_id: TaskId, generation: Generation | None, draft: Draft
) -> bool:
    """A repeat gets `duplicate`; a gap closes the link, and the sidecar sends again from the mark."""
    mark = office.instances[agent.instance_id].mark
    if seq == mark + 1:
        return True
    if seq <= mark:
        ack = TaskAck(task_id=task_id, status="duplicate", seq=seq, generation=generation)
        office.tell(agent, ack, draft)
    else:
        reason = f"fact {seq} came where {mark + 1} was due"
        draft.effects.append(HangUp(agent.link_id, CloseCode.BAD_FRAME, reason))
    return False


def receipt(
    office: Office,
    agent: Agent,
    seq: Seq,
    task_id: TaskId,
    generation: Generation | None,
    status: AckStatus,
    draft: Draft,
) -> None:
    instance_id = agent.instance_id
    office.instances[instance_id] = replace(office.instances[instance_id], mark=seq)
    draft.changes.append(MarkMoved(instance_id, seq, task_id))
    office.tell(
        agent, TaskAck(task_id=task_id, status=status, seq=seq, generation=generation), draft, task_id
    )


def take_fact(
    office: Office, agent: Agent, fact: FactFrame, generation: Generation, draft: Draft
) -> AckStatus:
    """Apply it if it is the holder's and of the current generation; else say `stale`."""
    was_revoked = is_ending(fact) and office.free_seat(agent, fact.task_id, generation)
    task = office.find(fact.task_id)
    if task is None or generation > task.generation:
        return keep_stray(office, agent, fact, draft)
    if is_of_holder(task, agent, generation):
        decision = apply_fact(office, agent, task, fact, draft)
        if decision is not None:
            return decision.status
        repeated = status_of_repeat(task, fact)
        if repeated is not None:
            return repeated
    if was_revoked and isinstance(fact, TaskStopped):
        return "stopped"
    return refuse_stale(office, agent, task, fact, generation, draft)


def is_of_holder(task: Task, agent: Agent, generation: Generation) -> bool:
    """T14's guard: the current generation, from its holder or, when that has been given up, its last
    holder.
    """
    holder = task.holder or task.last_holder
    return generation == task.generation and holder is not None and holder.instance_id == agent.instance_id


def is_ending(fact: FactFrame) -> bool:
    return isinstance(fact, TaskComplete | TaskFailed | TaskRejected | TaskStopped)


def apply_fact(office: Office, agent: Agent, task: Task, fact: FactFrame, draft: Draft) -> Decision | None:
    """One fact on one task, and what it says about the agent."""
    decision = office.apply(task, happening_of(fact), draft)
    if decision is not None and task.state is not State.CANCELLING:
        note_fact(office, agent, task, fact, draft)
    return decision


def note_fact(office: Office, agent: Agent, task: Task, fact: FactFrame, draft: Draft) -> None:
    """What it says about the agent."""
    match fact:
        case TaskAccepted():
            note_acceptance(office, agent, fact, draft)
        case TaskRejected():
            note_decline(office, agent, task, draft)
        case TaskComplete():
            agent.crashed.clear()
        case TaskFailed() if fact.error == SIDECAR_CRASH or fault_of(fact) is Fault.INFRASTRUCTURE:
            note_breakdown(office, agent, task, draft, is_of_sidecar=fact.error == SIDECAR_CRASH)
        case _:
            pass


def fault_of(failed: TaskFailed) -> Fault:
    """Absent or any other word: the work's."""
    return Fault(failed.fault) if failed.fault in FAULTS else Fault.WORK


def happening_of(fact: FactFrame) -> Happening:  # noqa: C901  one line a fact
    match fact:
        case TaskAccepted():
            return Accepted()
        case TaskRejected():
            return Rejected(fact.reason)
        case TaskComplete():
            return Completed(fact.result, fact.tokens_used)
        case TaskFailed():
            error = fact.error or fact.reason or "failed without a reason"
            is_crash, is_timeout = error in MACHINE_ERRORS, fact.reason == TIMEOUT_REASON
            pause_ms = fact.retry_after_ms or 0
            return Failed(error, fact.retryable, pause_ms, is_crash, is_timeout, fault_of(fact))
        case TaskStopped():
            return Stopped(fact.how, fact.proof)
        case TaskDone():
            return StepDone(fact.index, fact.output)
        case InputRequired():
            return Asked(fact.request_id, fact.prompt, fact.schema)
        case InputAck():
            return AnswerTaken(fact.request_id)
        case _:
            assert_never(fact)


def note_acceptance(office: Office, agent: Agent, fact: TaskAccepted, draft: Draft) -> None:
    """It takes work: whatever it missed or declined before is forgiven."""
    agent.accept_timeouts = 0
    agent.held[fact.task_id].accepted_seq = fact.seq or Seq(0)
    if office.declines.pop(fact.task_id, None) is not None:
        office.fleet.forgive(agent, fact.task_id)


def note_decline(office: Office, agent: Agent, task: Task, draft: Draft) -> None:
    """Open to others at once; to this agent again after 1 s, 2 s, 4 s … at most 30 s."""
    if task.task_id not in office.tasks:
        return  # that was the last of twenty generations: it is buried
    counts = office.declines.setdefault(task.task_id, {})
    declines = counts.get(agent.agent_id, 0)
    counts[agent.agent_id] = declines + 1
    until_ms = draft.now.ms + decline_ms(office.policy, declines)
    office.decline(agent, office.tasks[task.task_id], until_ms, draft.now)


def note_breakdown(office: Office, agent: Agent, task: Task, draft: Draft, *, is_of_sidecar: bool) -> None:
    """Three different tasks in a row that broke down on one agent are the agent's fault. A task that has done
    so on two others is itself the suspect, and says nothing about this one (L24). All that one death of a
    sidecar has taken with it counts once.
    """
    before = office.crashes.get(task.task_id, frozenset())
    if len(before - {agent.agent_id}) >= SUSPECT_AGENTS:
        return
    if task.task_id in office.tasks:
        office.crashes[task.task_id] = before | {agent.agent_id}
    if is_of_sidecar and agent.crashed_boot == agent.boot_id:
        return
    agent.crashed_boot = agent.boot_id if is_of_sidecar else agent.crashed_boot
    agent.crashed[task.task_id] = None
    is_new = agent.quarantined_until_ms <= draft.now.ms
    if is_new and len(agent.crashed) >= office.policy.crashes_max:
        quarantine(office, agent, f"{len(agent.crashed)} tasks in a row broke down on it", draft)


def status_of_repeat(task: Task, fact: FactFrame) -> AckStatus | None:
    """The same fact of the same run once more, after a commit that was refused in part: the same receipt."""
    match fact:
        case TaskAccepted() if task.is_held and (task.is_accepted or task.state is State.CANCELLING):
            return "accepted"
        case TaskComplete() if task.state is State.COMPLETED:
            return "complete"
        case TaskFailed() if task.state in (State.FAILED, State.DEAD_LETTER):
            return "failed" if task.state is State.FAILED else "dead_letter"
        case TaskRejected() if task.state is State.QUEUED:
            return "rejected"
        case TaskStopped() if task.state is State.CANCELLED:
            return "stopped"
        case InputAck() if any(given.request_id == fact.request_id for given in task.answers):
            return "answered"
        case _:
            return None


# --- what is not, or not any more, this agent's business --------------------------------------------------


def refuse_stale(
    office: Office, agent: Agent, task: Task, fact: FactFrame, generation: Generation, draft: Draft
) -> AckStatus:
    """T25, T26: receipted, shown, and without effect. Only a sign that work goes on is answered by a
    recall.
    """
    office.rows["T25" if task.is_final else "T26"] += 1
    members: dict[str, object] = {
        "frame": frame_type(fact),
        "current": task.generation,
        "state": task.state.value,
    }
    draft.log("stale", members, task_id=task.task_id, agent_id=agent.agent_id, generation=generation)
    if isinstance(fact, TaskAccepted | InputRequired) and not is_in_hand(task, agent, generation):
        recall(office, agent, task.task_id, generation, "not yours any more", draft)
    return "stale"


def is_in_hand(task: Task, agent: Agent, generation: Generation) -> bool:
    return task.is_held and is_of_holder(task, agent, generation)


def recall(
    office: Office, agent: Agent, task_id: TaskId, generation: Generation, reason: str, draft: Draft
) -> None:
    """T27: this run is somebody else's now, or over: stop it. Its seat stays taken until that is done."""
    office.rows["T27"] += 1
    office.tell(agent, TaskRevoke(task_id=task_id, generation=generation, reason=reason), draft, task_id)
    if len(agent.revoked) < RECALLED_MAX:
        office.keep_seat(agent, task_id, generation, draft.now.ms + office.policy.grace_ms)


def keep_stray(office: Office, agent: Agent, fact: FactFrame, draft: Draft) -> AckStatus:
    """A fact about a task, or a generation, that this hub never had: results and failures are kept and
    listed.
    """
    match fact:
        case TaskComplete():
            status: AckStatus = "complete"
        case TaskFailed():
            status = "failed"
        case TaskStopped():
            return "stopped"
        case TaskAccepted() | InputRequired():
            recall(office, agent, fact.task_id, fact.generation or Generation(0), "not known here", draft)
            return "stale"
        case _:
            return "stale"
    stray(agent, fact, draft)
    return status


def stray(agent: Agent, fact: FactFrame, draft: Draft) -> None:
    """Kept, listed, and an alert raised: never dropped."""
    draft.changes.append(
        StrayKept(
            agent_id=agent.agent_id,
            instance_id=agent.instance_id,
            task_id=fact.task_id,
            generation=fact.generation,
            frame_type=frame_type(fact),
            frame=Raw(_STRAY.encode(fact)),
            wall_ms=draft.now.wall_ms,
        )
    )
    draft.effects.append(
        RaiseAlert(
            kind=AlertKind.STRAY_FACT, agent_id=agent.agent_id, task_id=fact.task_id, detail=frame_type(fact)
        )
    )


def draft_error(office: Office, agent: Agent, code: ErrorCode, fact: FactFrame, draft: Draft) -> None:
    frame = ErrorFrame(error=code.value, task_id=fact.task_id, message_type=frame_type(fact))
    office.tell(agent, frame, draft, fact.task_id)
