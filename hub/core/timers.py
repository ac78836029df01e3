"""The timers of one task, and the moment at which somebody must look at it again.

Owns which timer belongs to which state. Never keeps a list of them: `deadlines.py` does.
"""

from __future__ import annotations

from msgspec.structs import replace

from hub.core.happenings import Moment
from hub.core.policy import Policy
from hub.core.task import Now, State, Task, Timer, TimerKind


def due_ms(task: Task, *, is_in_line: bool) -> int | None:
    """When this task next needs a look, if nothing else happens to it."""
    if task.timer is not None:
        dues = (task.timer.due_ms, task.run_due_ms, task.progress_due_ms)
        return min(due for due in dues if due is not None)
    if task.state is not State.QUEUED:
        return None
    if is_in_line or task.waits_for:
        return task.start_by_ms
    return task.not_before_ms if task.start_by_ms is None else min(task.not_before_ms, task.start_by_ms)


def accept_timer(task: Task, at: Moment) -> Timer:
    return Timer(TimerKind.ACCEPT, at.now.ms + (task.spec.accept_ms or at.policy.accept_ms))


def grace_timer(at: Moment) -> Timer:
    return Timer(TimerKind.GRACE, at.now.ms + at.policy.grace_ms)


def lease_timer(task: Task, at: Moment) -> Timer:
    """While a person is asked, the wait for the answer; for a v1 holder, which has no lease, the end of the
    run.
    """
    assert task.holder is not None, "only work in hand has a lease"
    assert task.run_due_ms is not None, "what runs has an end"
    if task.state is State.INPUT_REQUIRED:
        return Timer(TimerKind.INPUT, task.run_due_ms)
    if task.holder.is_v1:
        return Timer(TimerKind.LEASE, task.run_due_ms)
    return Timer(TimerKind.LEASE, at.now.ms + (task.spec.lease_ms or at.policy.lease_ms))


def progress_due_ms(task: Task, at: Moment) -> int | None:
    """By when a run that begins, goes on, or has just spoken must speak again."""
    return None if task.spec.progress_ms is None else at.now.ms + task.spec.progress_ms


def run_due_ms(task: Task, at: Moment) -> int:
    return at.now.ms + (task.spec.timeout_ms or at.policy.run_ms) + at.policy.run_slack_ms


def spared(task: Task, at: Moment) -> Task:
    """No run times out because the hub itself was away: its holder has a whole grace to come back with the
    result.
    """
    if task.run_due_ms is None:
        return task
    return replace(task, run_due_ms=max(task.run_due_ms, at.now.ms + at.policy.grace_ms))


def loaded(task: Task, policy: Policy, now: Now) -> Task:
    """A row at the start of a hub's life. The clock of the wall may have jumped since it was written: nothing
    is waited for longer than it was to last then (§2.2, clock jump). Timers start with the first letter.
    """
    not_before_ms = ms_of(task.spec.run_at_wall_ms, now) or 0
    if task.generation:
        due_wall_ms = task.not_before_ms - now.ms + now.wall_ms
        not_before_ms = min(task.not_before_ms, now.ms + max(0, due_wall_ms - task.updated_wall_ms))
    run_due = task.run_due_ms
    if run_due is not None:
        run_due = min(run_due, now.ms + run_bound_ms(task, policy))
    return replace(task, not_before_ms=not_before_ms, run_due_ms=run_due)


def reloaded(task: Task, policy: Policy, now: Now) -> Task:
    """A row read again in the middle of a life, by whichever clock: all that it waits for is waited
    for anew.
    """
    timer, run_due = task.timer, task.run_due_ms
    if run_due is not None:
        run_due = now.ms + run_bound_ms(task, policy)
    if timer is not None:
        due = now.ms + timer_bound_ms(task, timer.kind, policy)
        if run_due is not None and is_run_long(task, timer):
            due = run_due
        timer = Timer(timer.kind, due)
    not_before_ms = ms_of(task.spec.run_at_wall_ms, now) or 0
    if task.generation:
        backoff = task.spec.backoff
        pause_max_ms = policy.backoff_max_ms if backoff is None else backoff.max_ms
        not_before_ms = min(task.not_before_ms, now.ms + pause_max_ms)
    is_timed = task.state is State.RUNNING and task.spec.progress_ms is not None
    return replace(
        task,
        timer=timer,
        run_due_ms=run_due,
        not_before_ms=not_before_ms,
        progress_due_ms=now.ms + (task.spec.progress_ms or 0) if is_timed else None,
    )


def is_run_long(task: Task, timer: Timer) -> bool:
    """Timers that end with the run itself: the wait for a person, and the lease of a v1 holder."""
    is_v1_lease = timer.kind is TimerKind.LEASE and task.holder is not None and task.holder.is_v1
    return timer.kind is TimerKind.INPUT or is_v1_lease


def run_bound_ms(task: Task, policy: Policy) -> int:
    """How long a run, or the wait for a person within it, may last at all."""
    if task.is_asking:
        return policy.input_ms
    return max((task.spec.timeout_ms or policy.run_ms) + policy.run_slack_ms, policy.grace_ms)


def timer_bound_ms(task: Task, kind: TimerKind, policy: Policy) -> int:
    bounds = {
        TimerKind.ACCEPT: task.spec.accept_ms or policy.accept_ms,
        TimerKind.LEASE: task.spec.lease_ms or policy.lease_ms,
        TimerKind.GRACE: policy.grace_ms,
        TimerKind.CANCEL: policy.cancel_confirm_ms,
        TimerKind.INPUT: policy.input_ms,
    }
    return bounds[kind]


def ms_of(wall_ms: int | None, now: Now) -> int | None:
    """A moment of the wall's clock on the monotonic one; what is past is now."""
    return None if wall_ms is None else now.ms + max(0, wall_ms - now.wall_ms)
