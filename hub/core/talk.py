"""Passing talk of agents: progress, logs, usage, heartbeats, and what they say about themselves.

Owns what keeps a lease alive and what is remembered without being written down: nothing here makes a change
except a heartbeat that shows a run to be gone (T13). Facts are in `facts.py`.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from hub.core.draft import Draft
from hub.core.effects import TellOthers
from hub.core.facts import is_in_hand, is_of_holder, recall
from hub.core.happenings import HolderGivenUp, SignOfLife
from hub.core.office import Office
from hub.core.seats import Agent
from hub.core.task import Task, Usage
from protocol.frames import (
    AgentRestarting,
    Agents,
    Heartbeat,
    PassingFrame,
    ResourceReport,
    Status,
    StatusChanged,
    StatusUpdated,
    TaskLog,
    TaskProgress,
    TaskUsage,
    WakeResult,
    frame_type,
)
from protocol.ids import Generation, TaskId

_ENCODER = msgspec.json.Encoder()


def hear_passing(office: Office, agent: Agent, frame: PassingFrame, draft: Draft) -> None:
    """T6: it renews the lease and passes by. Of a run that is not this agent's, it is answered by a
    recall.
    """
    task = office.tasks.get(frame.task_id)
    generation = frame.generation
    if generation is None:
        return  # only v1 clients leave it out, and `v1.py` has filled it in
    if task is None or not is_in_hand(task, agent, generation):
        if isinstance(frame, TaskProgress | TaskLog):
            recall(office, agent, frame.task_id, generation, "not yours any more", draft)
        return
    office.apply(task, SignOfLife(is_talk=True), draft)
    note_passing(office, office.tasks[task.task_id], frame)
    pass_on(agent, frame, draft)


def note_passing(office: Office, task: Task, frame: PassingFrame) -> None:
    """The last word on progress and usage: in memory, and written with the next change. Progress never
    falls.
    """
    if isinstance(frame, TaskProgress):
        if frame.progress is not None or frame.message is not None:
            progress = (
                task.progress if frame.progress is None else max(task.progress or 0.0, float(frame.progress))
            )
            office.remember(replace(task, progress=progress, message=frame.message or task.message))
    elif isinstance(frame, TaskUsage):
        usage = Usage(
            tokens_in=frame.tokens_in, tokens_out=frame.tokens_out, model=frame.model, cost=frame.cost
        )
        office.remember(replace(task, usage=usage))


def pass_on(agent: Agent, frame: PassingFrame, draft: Draft) -> None:
    draft.pass_by(
        frame_type(frame),
        Raw(_ENCODER.encode(frame)),
        task_id=frame.task_id,
        agent_id=agent.agent_id,
        generation=frame.generation,
    )


def hear_heartbeat(office: Office, agent: Agent, beat: Heartbeat, draft: Draft) -> None:
    """T7 for what is listed, T27 for what is not ours to be held there, T13 for what is missing.

    It is a snapshot: it may be older than an acceptance, so absence counts only for runs whose acceptance the
    sidecar had numbered by then.
    """
    listed = dict.fromkeys((one.task_id, one.generation) for one in beat.tasks)
    for task_id, generation in listed:
        task = office.tasks.get(task_id)
        if task is not None and is_in_hand(task, agent, generation):
            office.apply(task, SignOfLife(), draft)
        elif not is_receipt_on_its_way(office, agent, task_id, generation):
            recall(office, agent, task_id, generation, "not yours any more", draft)
    for task_id, seat in tuple(agent.held.items()):
        is_known = seat.accepted_seq <= beat.as_of_seq and office.tasks[task_id].is_accepted
        if is_known and (task_id, seat.generation) not in listed:
            office.apply(office.tasks[task_id], HolderGivenUp("orphaned"), draft)
    agent.unheard.difference_update(listed)
    for task_id, generation in tuple(agent.revoked):
        if (task_id, generation) not in listed and (task_id, generation) not in agent.unheard:
            office.free_seat(agent, task_id, generation)
    note_state(office, agent, beat)


def note_state(office: Office, agent: Agent, beat: Heartbeat) -> None:
    """What it says of itself: who does not rest any more may be given work at once."""
    agent.load = beat.load
    if agent.resting != beat.resting:
        agent.resting = beat.resting
        office.fleet.touch(agent)


def is_receipt_on_its_way(office: Office, agent: Agent, task_id: TaskId, generation: Generation) -> bool:
    """Ended by a fact of this agent that was heard before the beat: what the hub itself ended is in
    `revoked`.
    """
    task = office.find(task_id)
    is_of_it = task is not None and is_of_holder(task, agent, generation)
    return is_of_it and (task_id, generation) not in agent.revoked


def hear_draining(office: Office, agent: Agent, draft: Draft) -> None:
    """It takes nothing new and finishes what it has."""
    if not agent.is_draining:
        agent.is_draining = True
        office.fleet.touch(agent)
        draft.log("draining", {}, agent_id=agent.agent_id)


def hear_status(office: Office, agent: Agent, status: Status, draft: Draft) -> None:
    """For other agents' eyes; never affects matching."""
    agent.status = status.status
    office.tell(agent, StatusUpdated(), draft)
    draft.effects.append(TellOthers(agent.link_id, StatusChanged(agent=agent.card)))


def list_agents(office: Office, agent: Agent, draft: Draft) -> None:
    cards = tuple(other.card for other in office.fleet.by_link.values())
    office.tell(agent, Agents(agents=cards), draft)


def hear_report(agent: Agent, report: WakeResult | ResourceReport | AgentRestarting, draft: Draft) -> None:
    """Shown on the feed as it came, never an error."""
    task_id = report.task_id if isinstance(report, WakeResult) else None
    draft.pass_by(frame_type(report), Raw(_ENCODER.encode(report)), task_id=task_id, agent_id=agent.agent_id)
