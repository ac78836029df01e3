"""The timers of one task, and the moment at which somebody must look at it again.

Owns which timer belongs to which state. Never keeps a list of them: `deadlines.py` does.
"""

from __future__ import annotations

from msgspec.structs import replace

from hub.core.happenings import Moment
from hub.core.task import State, Task, Timer, TimerKind


def due_ms(task: Task, *, is_in_line: bool) -> int | None:
    """When this task next needs a look, if nothing else happens to it."""
    if task.timer is not None:
        timer_ms = task.timer.due_ms
        return timer_ms if task.run_due_ms is None else min(timer_ms, task.run_due_ms)
    if task.state is not State.QUEUED:
        return None
    if is_in_line:
        return task.start_by_ms
    return task.not_before_ms if task.start_by_ms is None else min(task.not_before_ms, task.start_by_ms)


def accept_timer(at: Moment) -> Timer:
    return Timer(TimerKind.ACCEPT, at.now.ms + at.policy.accept_ms)


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
    return Timer(TimerKind.LEASE, at.now.ms + at.policy.lease_ms)


def run_due_ms(task: Task, at: Moment) -> int:
    return at.now.ms + (task.spec.timeout_ms or at.policy.run_ms) + at.policy.run_slack_ms


def spared(task: Task, at: Moment) -> Task:
    """No run times out because the hub itself was away: its holder has a whole grace to come back with the
    result.
    """
    if task.run_due_ms is None:
        return task
    return replace(task, run_due_ms=max(task.run_due_ms, at.now.ms + at.policy.grace_ms))
