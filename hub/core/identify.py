"""Who is who: a name, the instance behind it, its newest link, and what that instance has in hand.

Owns the binding of names to instances, which connection wins, the reconciliation of `holding` with the
board, and what follows when an instance shows that the hub has lost history. Tokens were checked before;
nothing here reads one.
"""

from __future__ import annotations

from msgspec.structs import replace

from hub.core.draft import Draft
from hub.core.effects import (
    AgentRecord,
    AlertKind,
    EpochRenewed,
    HangUp,
    Instance,
    InstanceSaved,
    MarkMoved,
    RaiseAlert,
    Tell,
    TellOthers,
)
from hub.core.events import AgentIdentified
from hub.core.facts import is_of_holder
from hub.core.happenings import (
    Happening,
    HolderBack,
    HolderBackWithout,
    HolderGivenUp,
    HolderInReach,
    HolderLost,
)
from hub.core.office import Office
from hub.core.passage import set_adrift
from hub.core.seats import Agent, Run
from hub.core.task import State, Task, TimerKind
from protocol import limits
from protocol.close import CloseCode
from protocol.errors import ErrorCode
from protocol.frames import V2_FEATURES, AgentJoined, ErrorFrame, Held, Holding, Identified
from protocol.ids import Seq


class Reconciled:
    """What `identified` says about each thing that the instance has in hand."""

    __slots__ = ("adopted", "drop", "keep")

    def __init__(self) -> None:
        self.keep: list[Held] = []
        self.drop: list[Held] = []
        self.adopted: list[Held] = []


def identify(office: Office, event: AgentIdentified, draft: Draft) -> None:
    """Turn it away, or seat it as the live link of its name and go on where it stopped."""
    agent_id, instance_id = event.sender.agent_id, event.sender.instance_id
    known = office.instances.get(instance_id)
    if known is not None and is_older_dial(known, event):
        hang_up_replaced(event.sender.link_id, draft)
        return
    agent = office.fleet.get(agent_id)
    if agent is None:
        agent = office.fleet.enter(AgentRecord(agent_id=agent_id, first_seen_wall_ms=draft.now.wall_ms))
    elif agent.record.instance_id not in (None, instance_id):
        retry_ms = name_taken_ms(office, agent, draft)
        if retry_ms is not None:
            turn_away(event, retry_ms, draft)
            return
        give_up_name(office, agent, draft)
    is_new_link = take_link(office, agent, event, draft)
    remember_instance(office, agent, known, event, draft)
    save_record(office, agent, event, draft)
    say_welcome(office, agent, event, draft)
    if is_new_link:
        draft.log("agent_joined", {"instance_id": instance_id, "version": agent.version}, agent_id=agent_id)
        draft.effects.append(TellOthers(agent.link_id, AgentJoined(agent=agent.card)))


def say_welcome(office: Office, agent: Agent, event: AgentIdentified, draft: Draft) -> None:
    """`identified` is the first word on a link: what follows from `holding` (orders again, answers)
    comes after.
    """
    said_before = len(draft.effects)
    reconciled = reconcile(office, agent, event, draft)
    said_after, draft.effects[said_before:] = draft.effects[said_before:], []
    office.tell(agent, welcome(office, agent, reconciled), draft)
    draft.effects += said_after


# --- may it come in? --------------------------------------------------------------------------------------


def name_taken_ms(office: Office, agent: Agent, draft: Draft) -> int | None:
    """How long another instance must wait: its owner is live, or holds work within its grace. None: it is
    free.
    """
    if agent.is_connected:
        return office.policy.name_in_use_retry_ms
    graces = [
        task.timer.due_ms - draft.now.ms
        for task in (office.tasks[task_id] for task_id in agent.held)
        if task.timer is not None and task.timer.kind is TimerKind.GRACE
    ]
    longest_ms = max(graces, default=0)
    return longest_ms if longest_ms > 0 else None


def turn_away(event: AgentIdentified, retry_ms: int, draft: Draft) -> None:
    """4410, with the time after which it is worth coming back. A v1 client would be back in a second: it is
    held.
    """
    from_link = event.sender.link_id
    error = ErrorFrame(error=ErrorCode.NAME_IN_USE.value, retry_after_ms=retry_ms)
    draft.effects.append(Tell(from_link, error))
    reason = "the name belongs to another instance"
    draft.effects.append(HangUp(from_link, CloseCode.NAME_IN_USE, reason, hold=event.sender.version < 2))


def is_older_dial(known: Instance, event: AgentIdentified) -> bool:
    """Among connections of one instance the highest wins, whichever identify arrives last."""
    is_same_boot = event.boot_id != "" and known.boot_id == event.boot_id
    return is_same_boot and event.connection < known.connection


def give_up_name(office: Office, agent: Agent, draft: Draft) -> None:
    """T13: the name goes to another instance, and what the old one held is lost with it."""
    for task_id in tuple(agent.held):
        office.apply(office.tasks[task_id], HolderGivenUp("rebound"), draft)
    office.free_seats(agent, agent.revoked)


def hang_up_replaced(link_id: int, draft: Draft) -> None:
    draft.effects.append(HangUp(link_id, CloseCode.REPLACED, "a newer connection of this instance is live"))


# --- it is in ---------------------------------------------------------------------------------------------


def take_link(office: Office, agent: Agent, event: AgentIdentified, draft: Draft) -> bool:
    """This link is the live one from now on; the one before it is closed, and takes nothing with it (L10)."""
    sender = event.sender
    was_connected, old_link = agent.is_connected, agent.link_id
    office.fleet.withdraw(agent)
    if was_connected:
        set_adrift(office, agent, HolderLost(), draft)
    if old_link != sender.link_id:
        agent.has_lost_history = False  # the same letter asked again has still shown it
        if was_connected:
            del office.fleet.by_link[old_link]
            hang_up_replaced(old_link, draft)
    office.fleet.by_link[sender.link_id] = agent
    agent.link_id, agent.version, agent.instance_id = sender.link_id, sender.version, sender.instance_id
    if agent.boot_id not in ("", event.boot_id):
        agent.is_asked_to_drain, agent.drain_due_ms = False, None  # it has left, as it was asked to
    agent.boot_id, agent.session_id = event.boot_id, event.session_id
    agent.name, agent.status = event.name or sender.agent_id, event.status
    agent.capabilities, agent.plugins = frozenset(event.capabilities), frozenset(event.plugins)
    agent.labels = event.labels
    agent.client_type, agent.sdk = event.client_type, event.sdk
    agent.plugin_versions = event.plugin_versions
    agent.slots = 1 if agent.is_v1 else event.slots
    agent.slot_kinds = {} if agent.is_v1 else event.slot_kinds
    agent.resting = event.resting
    agent.connected_wall_ms = agent.seen_wall_ms = draft.now.wall_ms
    agent.is_sent_away = False
    agent.is_draining = agent.is_asked_to_drain
    agent.v1_spoken.clear()
    agent.v1_ended.clear()
    return not was_connected


def remember_instance(
    office: Office, agent: Agent, known: Instance | None, event: AgentIdentified, draft: Draft
) -> None:
    """Its mark, its boot and its dial. A number beyond the mark shows that the hub has lost history."""
    instance_id = event.sender.instance_id
    mark = known.mark if known is not None else Seq(0)
    is_lost = event.holding is not None and event.seq_next > mark + 1
    instance = Instance(
        instance_id=instance_id,
        agent_id=event.sender.agent_id,
        mark=Seq(event.seq_next - 1) if is_lost else mark,
        boot_id=event.boot_id,
        connection=event.connection,
        seen_wall_ms=draft.now.wall_ms,
    )
    office.instances[instance_id] = instance
    draft.changes.append(InstanceSaved(instance))
    if is_lost:
        agent.has_lost_history = True
        draft.changes.append(MarkMoved(instance_id, instance.mark, None))
    if is_lost and not office.is_history_known_lost:
        renew_epoch(office, event, mark, draft)


def renew_epoch(office: Office, event: AgentIdentified, mark: Seq, draft: Draft) -> None:
    """Once in a hub's life: cursors of the old epoch are answered with `reset`, and generations go on far
    above.
    """
    office.is_history_known_lost = True
    office.epoch = event.epoch_if_renewed or office.epoch
    office.generation_floor = (
        max(office.generation_floor, office.generation_top) + office.policy.generation_leap
    )
    reason = f"{event.sender.instance_id} goes on at fact {event.seq_next}, known were {mark}"
    draft.changes.append(EpochRenewed(office.epoch, reason, office.generation_floor))
    draft.effects.append(
        RaiseAlert(kind=AlertKind.HISTORY_LOST, agent_id=event.sender.agent_id, detail=reason)
    )


def save_record(office: Office, agent: Agent, event: AgentIdentified, draft: Draft) -> None:
    """The binding, and what is shown of an agent that is away."""
    record = replace(
        agent.record,
        instance_id=event.sender.instance_id,
        name=agent.name,
        capabilities=event.capabilities,
        seen_wall_ms=draft.now.wall_ms,
    )
    office.save_agent(agent, record, draft)


def welcome(office: Office, agent: Agent, reconciled: Reconciled) -> Identified:
    policy = office.policy
    return Identified(
        agent_id=agent.agent_id,
        protocol_version=2,
        features=V2_FEATURES,
        session_id=agent.session_id,
        hub_epoch=office.epoch,
        heartbeat_ms=policy.heartbeat_ms,
        lease_ms=policy.lease_ms,
        accept_ms=policy.accept_ms,
        frame_bytes_max=limits.FRAME_BYTES_MAX,
        seq_received=office.instances[agent.instance_id].mark,
        keep=tuple(reconciled.keep),
        drop=tuple(reconciled.drop),
        adopted=tuple(reconciled.adopted),
    )


# --- what it has in hand ----------------------------------------------------------------------------------


def reconcile(office: Office, agent: Agent, event: AgentIdentified, draft: Draft) -> Reconciled:
    """Go on, stop, or it is in: one word for each thing in hand, and a move for each thing that is not."""
    reconciled = Reconciled()
    if event.holding is None:
        for task_id in tuple(agent.held):
            office.apply(office.tasks[task_id], HolderInReach(), draft)
        return reconciled
    listed: dict[Run, Holding] = {(one.task_id, one.generation): one for one in event.holding}
    office.free_seats(agent, [run for run in agent.revoked if run not in listed])
    for task_id, seat in tuple(agent.held.items()):
        if (task_id, seat.generation) not in listed:
            task = office.tasks[task_id]
            office.apply(task, what_absence_means(task, agent), draft)
    for holding in event.holding:
        take_holding(office, agent, holding, reconciled, draft)
    return reconciled


def what_absence_means(task: Task, agent: Agent) -> Happening:
    """A hub that has lost history cannot know that this generation was never accepted: it may be over, and
    its end forgotten with the rest. Sent again it would be answered by nobody.
    """
    if agent.has_lost_history and task.state is not State.CANCELLING:
        return HolderGivenUp("history_lost")
    return HolderBackWithout()


def take_holding(
    office: Office, agent: Agent, holding: Holding, reconciled: Reconciled, draft: Draft
) -> None:
    """One generation that the instance has in hand."""
    task = office.find(holding.task_id)
    held = Held(task_id=holding.task_id, generation=holding.generation)
    has_result = holding.state == "result_pending"
    if task is not None and is_of_holder(task, agent, holding.generation):
        if task.is_final:
            (reconciled.adopted if has_result else reconciled.drop).append(held)
        else:
            office.apply(task, HolderBack(has_result=has_result), draft)
            is_to_go_on = has_result or task.is_held
            (reconciled.keep if is_to_go_on else reconciled.drop).append(held)
    elif has_result and is_news(task, holding):
        reconciled.keep.append(held)
    else:
        reconciled.drop.append(held)
    if held in reconciled.drop and not has_result:
        office.rows["T27"] += 1
        office.keep_seat(agent, held.task_id, held.generation, draft.now.ms + office.policy.grace_ms)


def is_news(task: Task | None, holding: Holding) -> bool:
    """A finished result for what this hub does not know is on its way, and will be kept as a stray."""
    return task is None or holding.generation > task.generation
