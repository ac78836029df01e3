"""Moves from the queue into somebody's hands and back: the first half of `MOVES`.

Owns assigning, starting, losing and resuming. Each move takes the task, what happened and the moment, and
returns a Decision; none looks at another task. Endings are in `endings.py`, questions to people in
`asking.py`.
"""

from __future__ import annotations

from msgspec.structs import replace

from hub.core import endings
from hub.core.happenings import (
    Accepted,
    AcceptOverdue,
    Decision,
    DependencyCompleted,
    GraceOver,
    HolderBack,
    HolderBackWithout,
    HolderGivenUp,
    HolderInReach,
    HolderLost,
    LeaseExpired,
    Matched,
    Moment,
    Rejected,
    SignOfLife,
)
from hub.core.orders import answer_again, offer, revoke
from hub.core.task import State, Task, TimerKind
from hub.core.timers import accept_timer, grace_timer, lease_timer, progress_due_ms, run_due_ms, spared
from protocol.ids import Generation


def assign(task: Task, matched: Matched, at: Moment) -> Decision:
    """T2: a new generation, above the old one and above anything ever issued."""
    assigned = replace(
        task,
        state=State.ASSIGNED,
        generation=Generation(max(task.generation, at.generation_floor) + 1),
        holder=matched.holder,
        timer=accept_timer(task, at),
        is_accepted=False,
        resends=0,
        progress=None,
        message=None,
        usage=None,
    )
    return Decision(task=assigned, row="T2", event="task_assigned", says=(offer(assigned, at),))


def release(task: Task, met: DependencyCompleted, at: Moment) -> Decision:
    """T28: one dependency less. With the last one it stands in line."""
    left = tuple(task_id for task_id in task.waits_for if task_id != met.task_id)
    return Decision(task=replace(task, waits_for=left), row="T28", is_saved=not left)


def start(task: Task, _: Accepted, at: Moment) -> Decision:
    """T3: accepted, so it has begun: from here its run is timed, and no start is waited for."""
    started = replace(
        task,
        state=State.RUNNING,
        is_accepted=True,
        unaccepted=0,
        start_by_ms=None,
        recovering_from=None,
        run_due_ms=run_due_ms(task, at),
        progress_due_ms=progress_due_ms(task, at),
    )
    return Decision(
        task=replace(started, timer=lease_timer(started, at)),
        row="T3",
        event="task_accepted",
        status="accepted",
    )


def put_back(task: Task, rejected: Rejected, at: Moment) -> Decision:
    """T4, T24: back in the queue at once and for everybody, no attempt and no strike spent."""
    row = "T24" if rejected.reason == "draining" else "T4"
    return endings.requeue(
        endings.count_unaccepted(task),
        at,
        row=row,
        cause="rejected",
        reason=rejected.reason,
        status="rejected",
    )


def withdraw(task: Task, overdue: AcceptOverdue, at: Moment) -> Decision:
    """T5: nobody accepted in time. The holder is told, and its seat stays taken until it answers."""
    says = (revoke(task, "not accepted in time"),)
    if overdue.is_agents_fault:
        unblamed = endings.count_unaccepted(task)
        return endings.requeue(unblamed, at, row="T5", cause="not_accepted", says=says, keeps_seat=True)
    return endings.strike(task, at, row="T5", cause="not_accepted", says=says, keeps_seat=True)


def renew(task: Task, sign: SignOfLife, at: Moment) -> Decision:
    """T6, T7: the lease begins again; nothing to write down. Only talk of the run itself is progress."""
    renewed = replace(task, timer=lease_timer(task, at))
    if sign.is_talk and task.state is State.RUNNING:
        renewed = replace(renewed, progress_due_ms=progress_due_ms(task, at))
    return Decision(task=renewed, row="T6" if sign.is_talk else "T7", is_saved=False)


def lose_holder(task: Task, lost: HolderLost, at: Moment) -> Decision:
    """T10: out of reach is not lost. Holder and generation stay, and a grace runs."""
    adrift = replace(
        task,
        state=State.RECOVERING,
        recovering_from=task.state,
        timer=grace_timer(at),
        progress_due_ms=None,
    )
    return Decision(task=spared(adrift, at) if lost.is_fresh else adrift, row="T10", event="task_recovering")


def stay_lost(task: Task, lost: HolderLost, at: Moment) -> Decision:
    """T10 again: a fresh grace after a start of the hub, else the one that runs goes on."""
    assert task.timer is not None, "a held task has a timer"
    if lost.is_fresh:
        return Decision(task=spared(replace(task, timer=grace_timer(at)), at), row="T10")
    if task.timer.kind is TimerKind.GRACE:
        return Decision(task=task, row="T10", is_saved=False)
    return Decision(task=replace(task, timer=grace_timer(at)), row="T10", is_saved=False)


def resume(task: Task, back: HolderBack, at: Moment) -> Decision:
    """T11: the same attempt goes on, and the answer that it may have missed is said again. Of a run that is
    over no progress is awaited: its result is on its way.
    """
    is_begun = task.is_accepted or not back.has_result
    is_silent = task.is_asking or back.has_result
    resumed = replace(
        task,
        state=State.INPUT_REQUIRED if task.is_asking else State.RUNNING,
        recovering_from=None,
        is_accepted=is_begun,
        unaccepted=0 if is_begun else task.unaccepted,
        start_by_ms=None if is_begun else task.start_by_ms,
        run_due_ms=task.run_due_ms or run_due_ms(task, at),
        progress_due_ms=None if is_silent else progress_due_ms(task, at),
    )
    return Decision(
        task=replace(resumed, timer=lease_timer(resumed, at)),
        row="T11",
        event="task_resumed",
        says=answer_again(task),
    )


def offer_again(task: Task, happened: HolderBackWithout | AcceptOverdue, at: Moment) -> Decision:
    """T12: never accepted, so the same generation is sent again; T13 when it was accepted, and is gone."""
    if task.is_accepted:
        return orphan(task, HolderGivenUp("orphaned"), at)
    if task.resends >= at.policy.resends_max:
        return endings.strike(task, at, row="T12", cause="not_accepted")
    again = replace(
        task,
        state=State.ASSIGNED,
        recovering_from=None,
        resends=task.resends + 1,
        timer=accept_timer(task, at),
        run_due_ms=None,
        run_left_ms=None,
    )
    return Decision(task=again, row="T12", event="task_assigned", says=(offer(again, at),))


def await_word(task: Task, _: HolderInReach, at: Moment) -> Decision:
    """A v1 holder has no `holding`: what it never accepted is sent again if it stays silent about it."""
    if task.is_accepted:
        return Decision(task=task, row="T11", is_saved=False)
    return Decision(task=replace(task, timer=accept_timer(task, at)), row="T12", is_saved=False)


def await_result(task: Task, back: HolderBack, at: Moment) -> Decision:
    """Queued again, but its last holder is back with the result: wait for that instead of doing it twice
    (T14).
    """
    if not back.has_result:
        return Decision(task=task, row="T27", is_saved=False)
    held_back = max(task.not_before_ms, at.now.ms + at.policy.accept_ms)
    return Decision(task=replace(task, not_before_ms=held_back), row="T14")


def orphan(task: Task, gone: HolderGivenUp, at: Moment) -> Decision:
    """T13: its holder is there and does not have it, or the name is another instance's now."""
    return endings.strike(task, at, row="T13", cause=gone.cause)


def lose_lease(task: Task, _: LeaseExpired, at: Moment) -> Decision:
    """T13: the link lives and the work is not spoken of. If it runs all the same, a heartbeat will show it
    (T27).
    """
    return endings.strike(task, at, row="T13", cause="lease_expired", keeps_seat=True)


def give_up(task: Task, _: GraceOver, at: Moment) -> Decision:
    """T13: out of reach for too long."""
    return endings.strike(task, at, row="T13", cause="grace_over", keeps_seat=True)
