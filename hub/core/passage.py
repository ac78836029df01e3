"""The passage of time, the loss of links, and the ends of hubs.

Owns what `TimePassed`, `LinkLost`, `HubStarted` and `HubDrained` mean: every timer that is due is turned
into a happening of its task. Never keeps a timer: the tasks and agents do.
"""

from __future__ import annotations

from typing import Final

from hub.core.draft import Draft
from hub.core.effects import AlertKind, RaiseAlert, Tell, TellOthers
from hub.core.events import LinkLost
from hub.core.happenings import (
    AcceptOverdue,
    GraceOver,
    Happening,
    HolderLost,
    InputOverdue,
    LeaseExpired,
    ProgressOverdue,
    ProofOverdue,
    RunOverdue,
    StartOverdue,
)
from hub.core.office import Office
from hub.core.seats import Agent
from hub.core.task import State, Task, TimerKind
from protocol.frames import AgentLeft, Goaway

DUE: Final[dict[TimerKind, Happening]] = {
    TimerKind.LEASE: LeaseExpired(),
    TimerKind.GRACE: GraceOver(),
    TimerKind.CANCEL: ProofOverdue(),
    TimerKind.INPUT: InputOverdue(),
}
"""What it means that a timer has run out. The accept timer also speaks of its agent."""


TASKS_DUE_MAX: Final = 1_000
"""Tasks whose moment has come and that one turn looks at: a hundred thousand may be due at once. The others
are due in the next turn, and what is heard meanwhile is decided between."""


def pass_time(office: Office, draft: Draft) -> None:
    """What is due, agents first: a seat that is free again can be given in this turn."""
    now_ms = draft.now.ms
    for agent_id in office.agent_deadlines.pop_due(now_ms):
        tend(office, office.fleet.agents[agent_id], draft)
    for task_id in office.task_deadlines.pop_due(now_ms, TASKS_DUE_MAX):
        look_at(office, office.tasks[task_id], draft)


def look_at(office: Office, task: Task, draft: Draft) -> None:
    """One task whose moment has come."""
    if task.state is State.QUEUED and (task.start_by_ms is None or task.start_by_ms > draft.now.ms):
        office.put_in_line(task, draft.now)
        return
    decision = office.apply(task, what_is_due(office, task, draft), draft)
    assert decision is not None, f"{task.task_id}: {task.state} has no move for {task.timer}"
    if task.state is State.CANCELLING and decision.task.state is State.CANCELLING:
        draft.effects.append(
            RaiseAlert(
                kind=AlertKind.CANCEL_OVERDUE,
                task_id=task.task_id,
                agent_id=task.holder.agent_id if task.holder is not None else None,
            )
        )


def what_is_due(office: Office, task: Task, draft: Draft) -> Happening:
    """The timer of a task as something that has happened."""
    if task.timer is None:
        return StartOverdue()
    if task.run_due_ms is not None and task.run_due_ms <= min(draft.now.ms, task.timer.due_ms):
        return InputOverdue() if task.is_asking else RunOverdue()
    if task.progress_due_ms is not None and task.progress_due_ms <= min(draft.now.ms, task.timer.due_ms):
        return ProgressOverdue()
    if task.timer.kind is TimerKind.ACCEPT:
        return AcceptOverdue(is_agents_fault=blame_agent(office, task, draft))
    return DUE[task.timer.kind]


def blame_agent(office: Office, task: Task, draft: Draft) -> bool:
    """Three accept timeouts in a row on one agent are not the tasks' fault: it is left alone for a while."""
    agent = office.agent_of(task.holder)
    if agent is None or task.state is not State.ASSIGNED:
        return False
    agent.accept_timeouts += 1
    if agent.accept_timeouts < office.policy.accept_timeouts_max:
        return False
    detail = f"{agent.accept_timeouts} assignments in a row were not accepted in time"
    quarantine(office, agent, detail, draft)
    return True


def quarantine(office: Office, agent: Agent, reason: str, draft: Draft) -> None:
    """It is given nothing for a while, and somebody is told why."""
    agent.quarantined_until_ms = draft.now.ms + office.policy.quarantine_ms
    agent.quarantine_reason = reason
    office.agent_deadlines.watch(agent.agent_id, agent.due_ms())
    office.fleet.touch(agent)
    draft.effects.append(RaiseAlert(kind=AlertKind.AGENT_QUARANTINED, agent_id=agent.agent_id, detail=reason))


def tend(office: Office, agent: Agent, draft: Draft) -> None:
    """Seats, declines and quarantine that are over; a drain that has lasted long enough."""
    now_ms = draft.now.ms
    office.free_seats(agent, [run for run, until_ms in agent.revoked.items() if until_ms <= now_ms])
    office.forgive(agent, draft.now)
    if 0 < agent.quarantined_until_ms <= now_ms:
        agent.quarantined_until_ms = agent.accept_timeouts = 0
        agent.quarantine_reason = ""
        agent.crashed.clear()
    if agent.drain_due_ms is not None and agent.drain_due_ms <= now_ms:
        agent.drain_due_ms = None
        send_away(office, agent, draft)
    office.agent_deadlines.watch(agent.agent_id, agent.due_ms())
    office.fleet.touch(agent)


def send_away(office: Office, agent: Agent, draft: Draft) -> None:
    """The end of a drain that the hub asked for: once a link."""
    if agent.is_connected and not agent.is_sent_away:
        agent.is_sent_away = True
        office.tell(agent, Goaway(reason="drained", retry_in_ms=office.policy.drain_ms), draft)


# --- links and hubs ---------------------------------------------------------------------------------------


def lose_link(office: Office, lost: LinkLost, draft: Draft) -> None:
    """T10: its tasks are out of reach, not lost. A link that was replaced before takes nothing with it
    (L10).
    """
    agent = office.fleet.by_link.pop(lost.link_id, None)
    if agent is None:
        return
    office.fleet.withdraw(agent)
    agent.link_id = 0
    agent.status = "offline"
    agent.seen_wall_ms = draft.now.wall_ms
    set_adrift(office, agent, HolderLost(), draft)
    draft.log("agent_left", {"reason": lost.reason or None}, agent_id=agent.agent_id)
    draft.effects.append(TellOthers(lost.link_id, AgentLeft(agent_id=agent.agent_id)))


def set_adrift(office: Office, agent: Agent, lost: HolderLost, draft: Draft) -> None:
    """All that this agent has in hand is out of reach now."""
    for task_id in tuple(agent.held):
        decision = office.apply(office.tasks[task_id], lost, draft)
        assert decision is not None, f"{task_id}: a held task can lose its holder"


def start_hub(office: Office, draft: Draft) -> None:
    """T10 for everything in hand: links are gone, and every grace starts afresh."""
    for agent in tuple(office.fleet.agents.values()):
        set_adrift(office, agent, HolderLost(is_fresh=True), draft)


def drain_hub(office: Office, draft: Draft) -> None:
    """No new assignments; every agent may look for another hub. Held work stays with its holders."""
    if not office.is_draining:
        office.is_draining = True
        for agent in office.fleet.by_link.values():
            if not agent.is_v1:
                draft.effects.append(Tell(agent.link_id, Goaway(reason="the hub is draining", retry_in_ms=0)))
