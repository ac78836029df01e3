"""Tasks that wait for others: when they begin, and what becomes of them when one never completes."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from hub.core.aftermath import DEPENDANTS_A_TURN_MAX, LOOKUPS_A_TURN_MAX
from hub.core.dependencies import Dependencies, Outcome, outcome_of
from hub.core.effects import Granted, RefusalKind, TaskSaved
from hub.core.events import HubStarted, RetryRequested, TaskSubmitted, TimePassed
from hub.core.policy import SECOND_MS, Policy
from hub.core.task import Ending, Fault, Spec, State, Task
from hub.core.turn import Turn
from protocol.ids import TaskId
from tests.core.stage import Stage, working

ROLLS: Final = [0.5] * 8


def letters_of(stage: Stage, *specs: Spec) -> list[TaskSubmitted]:
    return [TaskSubmitted(task_id=stage.new_id(), spec=spec) for spec in specs]


def test_a_task_begins_when_all_that_it_depends_on_has_completed() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=3)
    first, second = stage.submit(), stage.submit()
    last = stage.submit(depends_on=(first, second))
    assert stage.task(last).waits_for == (first, second)
    peer.accept(first)
    peer.accept(second)
    peer.complete(first)
    stage.wait(0)
    assert stage.task(last).waits_for == (second,)
    assert stage.state(last) is State.QUEUED
    peer.complete(second)
    stage.wait(0)
    assert stage.state(last) is State.ASSIGNED
    assert stage.rows[last].waits_for == ()


def test_a_dependant_is_told_only_after_the_commit_that_ended_its_dependency() -> None:
    """What was decided in a turn may still be refused: nobody begins on the strength of it."""
    stage = Stage()
    peer, first = working(stage)
    last = stage.submit(depends_on=(first,))
    before = stage.rows[first]
    peer.complete(first)
    assert stage.task(last).waits_for == (first,), "the turn that ends it says nothing to others"
    assert stage.board.next_deadline() == 0
    stage.turn()
    assert stage.task(last).waits_for == ()
    assert before.state is State.RUNNING


def test_an_end_that_was_not_written_releases_nobody() -> None:
    stage = Stage()
    peer, first = working(stage)
    last = stage.submit(depends_on=(first,))
    row = stage.rows[first]
    letter = next(iter(letters_of(stage, Spec())))
    assert letter.task_id != last
    fact = peer.completion(first)
    turn = Turn(stage.board, [fact], stage.now, ROLLS)
    ended = replace(row, version=row.version + 3)
    assert turn.settle(frozenset((first,)), [ended]).again == (0,)
    stage.rows[first] = ended
    stage.turn()
    assert stage.task(last).waits_for == (first,)
    abandoned = Turn(stage.board, [fact], stage.now, ROLLS)
    abandoned.abandon([ended])
    stage.turn()
    assert stage.task(last).waits_for == (first,)
    assert peer.complete(first) == "complete"
    stage.wait(0)
    assert stage.task(last).waits_for == ()


@pytest.mark.parametrize(
    ("end", "state", "how", "fault"),
    [
        ("fail", "failed", "failed", Fault.WORK),
        ("bury", "dead_letter", "attempts", Fault.WORK),
        ("cancel", "cancelled", "cancelled", Fault.PERSON),
        ("crash", "dead_letter", "strikes", Fault.INFRASTRUCTURE),
    ],
)
def test_a_dependency_that_does_not_complete_fails_all_that_wait_behind_it(
    end: str, state: str, how: str, fault: Fault
) -> None:
    """L19: they fail with that reason, and so do those behind them; nobody waits in silence."""
    stage = Stage(Policy(strikes_max=1))
    peer, first = working(stage, attempts_max=1 if end == "fail" else 2)
    second = stage.submit(depends_on=(first,))
    third = stage.submit(depends_on=(second,))
    if end == "cancel":
        stage.cancel(first)
        peer.stop(first)
    elif end == "crash":
        peer.fail(first, "sidecar_crash")
    else:
        peer.fail(first)
        if end == "bury":
            stage.wait(10 * SECOND_MS)
            peer.accept(first)
            peer.fail(first)
    stage.wait(0)
    assert stage.state(first).value == state
    for task_id, cause, words in ((second, first, f"{state} ({how})"), (third, second, "dependency_failed")):
        task = stage.task(task_id)
        assert task.state is State.FAILED
        assert task.ending == Ending(how="dependency_failed", whose_fault=fault)
        assert task.error is not None
        assert cause in task.error
        assert words in task.error
        assert task.waits_for == ()
        assert stage.events(task_id) == ["task_queued", "task_failed"]


def test_a_dependency_that_is_over_counts_as_it_ended() -> None:
    stage = Stage()
    peer, good = working(stage)
    peer.complete(good)
    bad = stage.submit(run_at_wall_ms=stage.now.wall_ms + SECOND_MS)
    stage.cancel(bad)
    begins = stage.submit(depends_on=(good,))
    assert stage.task(begins).waits_for == ()
    assert stage.state(begins) is State.ASSIGNED
    peer.accept(begins)
    fails = stage.submit(depends_on=(good, bad))
    stage.wait(0)
    assert stage.task(fails).error == f"it depends on {bad}, which is cancelled (cancelled)"


def test_what_ended_in_the_same_turn_holds_up_until_that_is_written() -> None:
    stage = Stage()
    peer, first = working(stage)
    push = TaskSubmitted(task_id=stage.new_id(), spec=Spec(depends_on=(first,)))
    stage.turn(peer.completion(first), push)
    assert stage.task(push.task_id).waits_for == (first,)
    stage.wait(0)
    assert stage.task(push.task_id).waits_for == ()


def test_a_dependency_that_does_not_exist_is_refused_by_its_name() -> None:
    stage = Stage()
    nowhere = TaskId("task-nowhere")
    refusal = stage.refused(TaskSubmitted(task_id=stage.new_id(), spec=Spec(depends_on=(nowhere,))))
    assert (refusal.kind, refusal.task_id) == (RefusalKind.DEPENDENCY_NOT_FOUND, nowhere)
    assert not stage.board.open_tasks()


def test_tasks_of_one_turn_may_depend_on_one_another() -> None:
    stage = Stage()
    first, second = stage.new_id(), stage.new_id()
    stage.turn(
        TaskSubmitted(task_id=first, spec=Spec()),
        TaskSubmitted(task_id=second, spec=Spec(depends_on=(first,))),
    )
    assert stage.task(second).waits_for == (first,)


def test_who_depends_on_a_repeated_push_waits_for_the_task_of_the_first_time() -> None:
    """A batch that is sent again with one item more: its reference is the task that exists."""
    stage = Stage()
    known = stage.submit(idempotency_key="k", fingerprint="f")
    again, last = stage.new_id(), stage.new_id()
    stage.turn(
        TaskSubmitted(task_id=again, spec=Spec(idempotency_key="k", fingerprint="f")),
        TaskSubmitted(task_id=last, spec=Spec(depends_on=(again, known))),
    )
    assert stage.task(last).spec.depends_on == (known,)
    assert stage.task(last).waits_for == (known,)
    other = stage.new_id()
    replies = stage.turn(
        TaskSubmitted(task_id=other, spec=Spec(idempotency_key="k", fingerprint="another body")),
        TaskSubmitted(task_id=stage.new_id(), spec=Spec(depends_on=(other,))),
    )
    assert [reply.kind for reply in replies if not isinstance(reply, Granted) and reply is not None] == [
        RefusalKind.KEY_REUSED,
        RefusalKind.DEPENDENCY_NOT_FOUND,
    ]


def test_after_a_restart_dependencies_that_are_over_are_looked_up() -> None:
    """The end was written, and the hub died before anybody was told."""
    stage = Stage()
    peer = stage.joined("a", slots=3)
    good, bad, still = stage.submit(), stage.submit(), stage.submit()
    released = stage.submit(depends_on=(good,))
    failed = stage.submit(depends_on=(bad, good))
    waiting = stage.submit(depends_on=(still,))
    for task_id in (good, bad, still):
        peer.accept(task_id)
    before = {task_id: stage.rows[task_id] for task_id in (released, failed)}
    peer.complete(good)
    peer.fail(bad, retryable=False)
    stage.rows |= before
    stage.restart()
    stage.tell(HubStarted())
    stage.wait(0)
    assert stage.task(released).waits_for == ()
    assert stage.state(failed) is State.FAILED
    assert stage.task(waiting).waits_for == (still,)
    assert stage.board.next_deadline() != 0, "nothing is left to be looked up"


def test_a_dependency_that_is_gone_fails_its_dependant_and_says_so() -> None:
    """Retention keeps what an open task waits for; a restored backup may lack it all the same."""
    stage = Stage()
    _, first = working(stage)
    last = stage.submit(depends_on=(first,))
    del stage.rows[first]
    stage.restart()
    stage.wait(0)
    task = stage.task(last)
    assert task.ending == Ending(how="dependency_gone", whose_fault=Fault.POLICY)
    assert task.error == f"it depends on {first}, which is gone"


def test_a_retry_by_hand_depends_on_the_same_tasks() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=2)
    first = stage.submit()
    last = stage.submit(depends_on=(first,))
    stage.cancel(last)
    again = stage.granted(RetryRequested(task_id=last, new_task_id=stage.new_id(), by="x")).task
    assert again is not None
    assert again.waits_for == (first,)
    peer.accept(first)
    peer.fail(first, retryable=False)
    stage.wait(0)
    assert stage.state(again.task_id) is State.FAILED
    stage.restart()
    fourth = stage.granted(RetryRequested(task_id=last, new_task_id=stage.new_id(), by="x")).task
    assert fourth is not None
    stage.wait(0)
    assert stage.task(fourth.task_id).error == f"it depends on {first}, which is failed (failed)"


def test_a_dependant_that_is_cancelled_or_too_late_leaves_nothing_behind() -> None:
    stage = Stage()
    peer, first = working(stage)
    cancelled = stage.submit(depends_on=(first,))
    late = stage.submit(
        depends_on=(first,), start_by_wall_ms=stage.now.wall_ms + SECOND_MS, submitted_by="somebody"
    )
    assert stage.board.waited_for() == {first}
    stage.cancel(cancelled)
    stage.wait_until(State.DEAD_LETTER, late)
    assert stage.board.waited_for() == frozenset()
    peer.beat(peer.runs(first))
    peer.complete(first)
    stage.wait(0)
    assert stage.state(cancelled) is State.CANCELLED


def test_a_dependant_with_a_time_of_its_own_waits_for_both() -> None:
    stage = Stage()
    peer, first = working(stage)
    later = stage.submit(depends_on=(first,), run_at_wall_ms=stage.now.wall_ms + 60 * SECOND_MS)
    peer.complete(first)
    stage.wait(0)
    assert stage.task(later).waits_for == ()
    assert stage.state(later) is State.QUEUED
    stage.wait(61 * SECOND_MS)
    assert stage.state(later) is State.ASSIGNED


def test_a_turn_tells_a_thousand_dependants_and_the_next_one_the_others() -> None:
    stage = Stage()
    peer, first = working(stage)
    specs = [Spec(depends_on=(first,)) for _ in range(DEPENDANTS_A_TURN_MAX + 1)]
    stage.turn(*letters_of(stage, *specs))
    peer.complete(first)
    stage.turn()
    released = [change for change in stage.changes if isinstance(change, TaskSaved)]
    assert len(released) == DEPENDANTS_A_TURN_MAX
    assert sum(1 for task in stage.board.open_tasks() if task.waits_for) == 1
    assert stage.board.next_deadline() == 0
    stage.turn()
    assert not any(task.waits_for for task in stage.board.open_tasks())
    assert stage.board.waited_for() == frozenset()


@pytest.mark.parametrize("is_good", [True, False])
def test_a_turn_that_was_not_written_tells_the_dependants_again(is_good: bool) -> None:
    """The disk was full just then: what they were told is as if it had not been."""
    stage = Stage()
    peer, first = working(stage)
    last = stage.submit(depends_on=(first,))
    if is_good:
        peer.complete(first)
    else:
        peer.fail(first, retryable=False)
    row = stage.rows[last]
    Turn(stage.board, [], stage.now, ROLLS).abandon([row])
    assert stage.task(last) == row
    stage.wait(0)
    assert stage.state(last) is (State.ASSIGNED if is_good else State.FAILED)


def test_a_chain_of_failures_ends_one_link_a_turn() -> None:
    stage = Stage()
    chain = [stage.submit(run_at_wall_ms=stage.now.wall_ms + SECOND_MS)]
    for _ in range(20):
        chain.append(stage.submit(depends_on=(chain[-1],)))
    stage.cancel(chain[0])
    for number in range(1, len(chain)):
        assert stage.state(chain[number]) is State.QUEUED
        stage.turn()
        assert stage.state(chain[number]) is State.FAILED


def test_so_many_are_looked_up_in_a_turn_and_no_more() -> None:
    asked = Dependencies(lambda task_id: False, lambda task_id: None)
    names = [TaskId(f"task-{number}") for number in range(LOOKUPS_A_TURN_MAX + 1)]
    asked.enter(Task(task_id=TaskId("last"), spec=Spec(), waits_for=tuple(names)))
    found = asked.wanted(LOOKUPS_A_TURN_MAX)
    assert len(found) == LOOKUPS_A_TURN_MAX
    asked.learn(Outcome(task_id=name, state=State.COMPLETED) for name in sorted(found))
    assert asked.wanted(LOOKUPS_A_TURN_MAX) == frozenset(names) - found


def test_one_that_is_open_somewhere_else_is_left_to_its_own_end() -> None:
    """Nothing is asked about it again: that would never end."""
    asked = Dependencies(lambda task_id: False, lambda task_id: None)
    name = TaskId("task-1")
    asked.enter(Task(task_id=TaskId("last"), spec=Spec(), waits_for=(name,)))
    asked.learn([outcome_of(Task(task_id=name, spec=Spec()))])
    assert not asked.has_news
    assert asked.waited_for() == {name}


def test_news_of_a_task_that_is_open_again_are_no_news() -> None:
    """Its end was told to the board, and then the ledger had it otherwise."""
    is_open: set[TaskId] = set()
    asked = Dependencies(is_open.__contains__, lambda task_id: None)
    name, last = TaskId("task-1"), Task(task_id=TaskId("last"), spec=Spec(), waits_for=(TaskId("task-1"),))
    asked.enter(last)
    asked.learn([Outcome(task_id=name, state=State.COMPLETED)])
    is_open.add(name)
    assert list(asked.take(1)) == []
    assert not asked.has_news
    assert asked.waited_for() == {name}


def test_a_letter_that_is_asked_again_means_its_own_task() -> None:
    stage = Stage()
    push = TaskSubmitted(task_id=stage.new_id(), spec=Spec())
    last = TaskSubmitted(task_id=stage.new_id(), spec=Spec(depends_on=(push.task_id,)))
    stage.tell(push)
    stage.turn(push, last)
    assert stage.task(last.task_id).waits_for == (push.task_id,)


def test_a_time_of_the_board_asks_for_nothing_when_there_is_nothing_to_ask() -> None:
    stage = Stage()
    peer, first = working(stage)
    stage.submit(depends_on=(first,))
    peer.complete(first)
    assert not stage.board.wants(TimePassed()).outcomes
