"""A unique key is held by one open task, and free again with its end."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from hub.core.effects import RefusalKind
from hub.core.events import RetryRequested, TaskSubmitted
from hub.core.task import Spec, State
from hub.core.turn import Turn
from tests.core.stage import Stage, working

ROLLS: Final = [0.5] * 8


def test_a_unique_key_is_held_until_its_task_has_ended() -> None:
    stage = Stage()
    peer, first = working(stage, unique_key="k")
    refusal = stage.refused(TaskSubmitted(task_id=stage.new_id(), spec=Spec(unique_key="k")))
    assert (refusal.kind, refusal.task_id) == (RefusalKind.UNIQUE_KEY_HELD, first)
    assert stage.submit(unique_key="another") != first
    peer.fail(first, retryable=False)
    assert stage.state(first) is State.FAILED
    assert stage.submit(unique_key="k") != first


def test_a_task_that_waits_for_its_retry_still_holds_its_key() -> None:
    stage = Stage()
    peer, first = working(stage, unique_key="k", attempts_max=2)
    peer.fail(first)
    assert stage.state(first) is State.QUEUED
    refusal = stage.refused(TaskSubmitted(task_id=stage.new_id(), spec=Spec(unique_key="k")))
    assert refusal.task_id == first


def test_the_same_push_again_is_the_same_task_and_no_rival_of_itself() -> None:
    stage = Stage()
    spec = Spec(unique_key="k", idempotency_key="i", fingerprint="f")
    first = stage.granted(TaskSubmitted(task_id=stage.new_id(), spec=spec)).task
    again = stage.granted(TaskSubmitted(task_id=stage.new_id(), spec=spec))
    assert first is not None
    assert again.task is not None
    assert (again.task.task_id, again.is_repeat) == (first.task_id, True)


def test_a_retry_by_hand_needs_the_key_to_be_free() -> None:
    stage = Stage()
    peer, first = working(stage, unique_key="k")
    peer.fail(first, retryable=False)
    second = stage.submit(unique_key="k")
    refusal = stage.refused(RetryRequested(task_id=first, new_task_id=stage.new_id(), by="x"))
    assert (refusal.kind, refusal.task_id) == (RefusalKind.UNIQUE_KEY_HELD, second)
    peer.accept(second)
    peer.complete(second)
    again = stage.granted(RetryRequested(task_id=first, new_task_id=stage.new_id(), by="x")).task
    assert again is not None
    assert again.spec.unique_key == "k"
    assert stage.refused(TaskSubmitted(task_id=stage.new_id(), spec=Spec(unique_key="k"))).task_id == (
        again.task_id
    )


def test_two_in_one_turn_are_one_and_a_refusal() -> None:
    stage = Stage()
    letters = [TaskSubmitted(task_id=stage.new_id(), spec=Spec(unique_key="k")) for _ in range(2)]
    replies = stage.turn(*letters)
    assert [type(reply).__name__ for reply in replies] == ["Granted", "Refusal"]


def test_a_restart_knows_who_holds_a_key() -> None:
    stage = Stage()
    first = stage.submit(unique_key="k")
    stage.restart()
    assert stage.refused(TaskSubmitted(task_id=stage.new_id(), spec=Spec(unique_key="k"))).task_id == first


def test_a_push_that_the_ledger_refused_gives_back_the_key_to_who_has_it() -> None:
    """Another writer was faster: its row is in the way, and the letter that is asked again is refused."""
    stage = Stage()
    push = TaskSubmitted(task_id=stage.new_id(), spec=Spec(unique_key="k"))
    turn = Turn(stage.board, [push], stage.now, ROLLS)
    mine = stage.board.view_task(push.task_id)
    assert mine is not None
    other = replace(mine, task_id=stage.new_id())
    stage.rows[other.task_id] = other
    assert turn.settle(frozenset((push.task_id,)), [other]).again == (0,)
    assert stage.refused(push).task_id == other.task_id
    stage.cancel(other.task_id)
    assert stage.granted(push).task is not None
