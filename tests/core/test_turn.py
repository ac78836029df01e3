"""One turn: one batch, effects only for what was written, and letters asked again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hub.core.effects import AgentSaved, Granted, MarkMoved, TaskSaved, Tell
from hub.core.events import (
    AgentIdentified,
    AgentPaused,
    AgentUnpaused,
    CancelRequested,
    Event,
    FrameHeard,
    LinkLost,
    TaskSubmitted,
)
from hub.core.facts import status_of_repeat
from hub.core.task import Ending, Spec, State, Task
from hub.core.turn import LetterBroke, Turn
from protocol.frames import (
    Identified,
    TaskAccepted,
    TaskAck,
    TaskAssign,
    TaskComplete,
    TaskFailed,
    TaskRejected,
)
from protocol.ids import AgentId, Generation, Seq, TaskId
from tests.core.stage import Stage, working

ROLLS = [0.5] * 300


def acks(effects: tuple[object, ...]) -> list[tuple[str, str]]:
    return [
        (effect.frame.task_id, effect.frame.status)
        for effect in effects
        if isinstance(effect, Tell) and isinstance(effect.frame, TaskAck)
    ]


def test_a_task_that_moves_three_times_in_one_turn_is_written_once() -> None:
    stage = Stage()
    peer = stage.joined("a")
    task_id = stage.new_id()
    turn = Turn(
        stage.board,
        [
            TaskSubmitted(task_id=task_id, spec=Spec()),
            CancelRequested(task_id=task_id, by="x"),
            AgentIdentified(sender=peer.sender, name="a", holding=(), connection=1, boot_id="boot-1"),
            AgentIdentified(sender=peer.sender, name="a", holding=(), connection=1, boot_id="boot-1"),
        ],
        stage.now,
        ROLLS,
    )
    saved = [change for change in turn.changes if isinstance(change, TaskSaved)]
    assert [(one.expected_version, one.task.version, one.task.state) for one in saved] == [
        (0, 2, State.CANCELLED)
    ]
    assert sum(isinstance(change, AgentSaved) for change in turn.changes) == 1
    assert turn.touched == {task_id}


def test_a_push_that_is_seated_in_its_turn_is_answered_as_assigned() -> None:
    stage = Stage()
    stage.joined("a")
    turn = Turn(stage.board, [TaskSubmitted(task_id=stage.new_id(), spec=Spec())], stage.now, ROLLS)
    (_, reply), *_ = turn.settle().replies
    assert isinstance(reply, Granted)
    assert reply.task is not None
    assert reply.task.state is State.ASSIGNED


def test_what_belongs_to_a_refused_task_is_not_told_and_is_asked_again() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=3)
    first, second = stage.submit(), stage.submit()
    letters = [
        FrameHeard(
            sender=peer.sender, frame=TaskAccepted(task_id=task_id, generation=Generation(1), seq=Seq(seq))
        )
        for seq, task_id in ((1, first), (2, second))
    ]
    other = TaskSubmitted(task_id=stage.new_id(), spec=Spec())
    turn = Turn(stage.board, [*letters, other], stage.now, ROLLS)
    row = replace(stage.rows[first], version=stage.rows[first].version + 1)
    settled = turn.settle(frozenset((first,)), [row])
    assert settled.again == (0, 1), "the second fact came after one whose mark was not moved"
    assert [number for number, _ in settled.replies] == [2]
    assert acks(settled.effects) == []
    assert any(
        isinstance(effect, Tell) and isinstance(effect.frame, TaskAssign) for effect in settled.effects
    )
    assert stage.board.mark_of(peer.instance_id) == 0
    again = Turn(stage.board, letters, stage.now, ROLLS)
    assert [change.seq for change in again.changes if isinstance(change, MarkMoved)] == [1, 2]
    assert acks(again.settle().effects) == [(first, "accepted"), (second, "accepted")]
    assert stage.state(first) is State.RUNNING


def test_an_order_of_a_refused_match_is_not_told() -> None:
    stage = Stage()
    stage.joined("a")
    turn = Turn(stage.board, [TaskSubmitted(task_id=stage.new_id(), spec=Spec())], stage.now, ROLLS)
    settled = turn.settle(turn.touched, [])
    assert settled.again == (0,)
    assert settled.effects == ()
    assert stage.board.open_tasks() == ()
    assert stage.board.view_agents(stage.now)[0].free_slots == 1


def test_a_turn_that_could_not_be_written_is_asked_again_as_a_whole() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    before = stage.rows[task_id]
    done = TaskComplete(task_id=task_id, generation=Generation(1), seq=Seq(2))
    letters: list[Event] = [
        FrameHeard(sender=peer.sender, frame=done),
        TaskSubmitted(task_id=stage.new_id(), spec=Spec(idempotency_key="k")),
    ]
    turn = Turn(stage.board, letters, stage.now, ROLLS)
    settled = turn.abandon([before])
    assert (settled.again, settled.effects, settled.replies) == ((0, 1), (), ())
    assert stage.state(task_id) is State.RUNNING
    assert stage.board.mark_of(peer.instance_id) == 1
    stage.turn(*letters)
    assert stage.state(task_id) is State.COMPLETED


def test_a_row_that_comes_back_held_by_a_link_that_is_gone_is_recovering() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    row = replace(stage.rows[task_id], version=9)
    turn = Turn(stage.board, [LinkLost(link_id=peer.link_id)], stage.now, ROLLS)
    turn.settle(frozenset((task_id,)), [row])
    assert stage.state(task_id) is State.RUNNING
    assert stage.board.next_deadline() == 0
    stage.rows[task_id] = row
    stage.turn()
    assert stage.state(task_id) is State.RECOVERING


def test_a_row_that_comes_back_final_or_not_at_all_is_off_the_board() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    waiting = stage.submit()
    letters = [CancelRequested(task_id=one, by="x") for one in (task_id, waiting)]
    stage.turn(*letters)
    peer.stop(task_id)
    stage.board.reload([task_id, waiting], [stage.rows[task_id]], stage.now)
    assert stage.state(task_id) is State.CANCELLED
    assert stage.board.view_task(waiting) is None


def test_a_fact_that_is_asked_again_after_its_task_was_written_gets_the_same_receipt() -> None:
    stage = Stage()
    peer, first = working(stage)
    _, second = working(stage, "b")
    letters = [
        FrameHeard(
            sender=peer.sender, frame=TaskComplete(task_id=first, generation=Generation(1), seq=Seq(2))
        )
    ]
    turn = Turn(stage.board, letters, stage.now, ROLLS)
    turn.settle()
    stage.board.reload([], [], stage.now, {peer.instance_id: Seq(1)})
    again = Turn(stage.board, letters, stage.now, ROLLS)
    assert acks(again.settle().effects) == [(first, "complete")]
    assert second != first


def test_a_ledger_may_find_what_nobody_asked_for() -> None:
    stage = Stage()
    stage.board.reload([TaskId("task-none")], [], stage.now)
    assert stage.board.next_deadline() is None


@pytest.mark.parametrize(
    ("state", "how", "fact", "status"),
    [
        (State.FAILED, "failed", TaskFailed, "failed"),
        (State.DEAD_LETTER, "attempts", TaskFailed, "dead_letter"),
        (State.QUEUED, None, TaskRejected, "rejected"),
        (State.QUEUED, None, TaskFailed, None),
    ],
)
def test_a_repeat_is_known_by_what_it_did(
    state: State, how: str | None, fact: type[TaskFailed | TaskRejected], status: str | None
) -> None:
    task_id = TaskId("task-1")
    task = Task(task_id=task_id, spec=Spec(), state=state, ending=None if how is None else Ending(how=how))
    assert status_of_repeat(task, fact(task_id=task_id)) == status


def test_an_epoch_that_was_not_written_was_not_renewed() -> None:
    stage = Stage()
    peer = stage.peer("a")
    peer.link_id = stage.new_link(peer)
    letter = AgentIdentified(
        sender=peer.sender, name="a", holding=(), seq_next=Seq(9), epoch_if_renewed="epoch-2"
    )
    turn = Turn(stage.board, [letter], stage.now, ROLLS)
    assert stage.board.epoch == "epoch-2"
    turn.abandon()
    assert (stage.board.epoch, stage.board.generation_floor) == ("epoch-1", 0)
    stage.tell(letter)
    assert stage.board.epoch == "epoch-2"


@pytest.mark.parametrize("letter", [AgentPaused, AgentUnpaused])
def test_a_pause_that_was_not_written_is_written_when_it_is_asked_for_again(
    letter: type[AgentPaused | AgentUnpaused],
) -> None:
    """A full disk in the middle: without this an agent is paused until the next start, or from it on."""
    stage = Stage()
    peer = stage.joined("a")
    if letter is AgentUnpaused:
        stage.tell(AgentPaused(agent_id=peer.agent_id, by="p"))
    asked = letter(agent_id=peer.agent_id, by="p")
    first = Turn(stage.board, [asked], stage.now, ROLLS)
    first.abandon()
    again = Turn(stage.board, [asked], stage.now, ROLLS)
    saved = [change.agent.is_paused for change in again.changes if isinstance(change, AgentSaved)]
    assert saved == [letter is AgentPaused]
    assert again.changes == first.changes


def test_a_link_whose_welcome_waits_hears_nothing_before_it() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    waiting = stage.submit()
    peer.drop()
    old = stage.rows[task_id]
    peer.link_id = stage.new_link(peer)
    letter = AgentIdentified(
        sender=peer.sender, name="a", slots=2, holding=(peer.has(task_id),), seq_next=Seq(2)
    )
    turn = Turn(stage.board, [letter], stage.now, ROLLS)
    settled = turn.settle(frozenset((task_id,)), [replace(old, version=9)])
    assert (settled.again, settled.effects) == ((0,), ())
    assert stage.state(waiting) is State.ASSIGNED
    stage.rows[task_id] = replace(old, version=9)
    stage.record(turn_of_rest(turn, task_id))
    peer.heard.clear()
    stage.tell(letter)
    assert isinstance(peer.heard[0], Identified)
    assert peer.last(TaskAssign).task_id == waiting


def turn_of_rest(turn: Turn, refused: TaskId) -> Turn:
    """What a ledger writes of it: all but the refused task."""
    turn.changes = tuple(
        change
        for change in turn.changes
        if not (isinstance(change, TaskSaved) and change.task.task_id == refused)
    )
    return turn


def test_a_second_push_of_a_key_whose_row_was_refused_waits_with_it() -> None:
    stage = Stage()
    spec = Spec(idempotency_key="k")
    letters = [TaskSubmitted(task_id=stage.new_id(), spec=spec) for _ in range(2)]
    turn = Turn(stage.board, letters, stage.now, ROLLS)
    assert turn.settle(turn.touched, []).again == (0, 1)


def test_a_cancel_that_comes_back_with_its_holder_gone_waits_for_it() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    stage.cancel(task_id)
    peer.drop()
    row = replace(stage.rows[task_id], version=9)
    stage.board.reload([task_id], [row], stage.now)
    stage.rows[task_id] = row
    stage.turn()
    assert stage.state(task_id) is State.CANCELLING
    peer.comes_back()
    assert stage.state(task_id) is State.CANCELLED


def test_a_row_that_comes_back_and_moves_on_in_the_same_turn_is_not_adrift() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    row = stage.rows[task_id]
    stage.board.reload([task_id], [row], stage.now)
    stage.turn()
    assert stage.rows[task_id] == row, "it is recovering as it was"
    stage.board.reload([task_id], [row], stage.now)
    peer.comes_back(peer.has(task_id))
    assert stage.state(task_id) is State.RUNNING


def test_a_row_that_comes_back_held_by_an_instance_that_lost_its_name_is_given_up() -> None:
    """T13 by rebinding, found by seed 45 of the heavy simulation."""
    stage = Stage()
    peer, task_id = working(stage)
    row = stage.rows[task_id]
    peer.drop()
    held = stage.rows[task_id]
    stage.now_ms += stage.policy.grace_ms
    other = stage.peer("a", instance="other/1")
    other.identify()
    stage.board.reload([task_id], [replace(row, version=held.version + 9)], stage.now)
    stage.rows[task_id] = replace(row, version=held.version + 9)
    stage.turn()
    assert stage.task(task_id).strikes == 1
    assert stage.task(task_id).holder is None


def test_a_board_learns_only_what_is_over_and_not_its_own() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    row = stage.rows[task_id]
    stage.board.learn([row, replace(row, task_id=TaskId("task-open-elsewhere"))])
    assert stage.board.view_task(TaskId("task-open-elsewhere")) is None
    peer.complete(task_id)
    assert stage.state(task_id) is State.COMPLETED


def test_a_welcome_does_not_speak_of_facts_that_were_not_written() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    done = TaskComplete(task_id=task_id, generation=Generation(1), seq=Seq(2))
    fact = FrameHeard(sender=peer.sender, frame=done)
    peer.link_id = stage.new_link(peer)
    pending = peer.has(task_id, "result_pending")
    dial = AgentIdentified(sender=peer.sender, name="a", holding=(pending,), seq_next=Seq(2))
    turn = Turn(stage.board, [fact, dial], stage.now, ROLLS)
    row = replace(stage.rows[task_id], version=9)
    assert turn.settle(frozenset((task_id,)), [row]).again == (0, 1)
    stage.rows[task_id] = row
    stage.turn(fact, dial)
    assert peer.last(Identified).seq_received == 1, "the fact came over a link that is superseded now"
    peer.seq = 1
    assert peer.complete(task_id) == "complete"


def test_history_that_was_shown_lost_stays_so_when_the_letter_is_asked_again() -> None:
    stage = Stage()
    peer = stage.joined("a", slots=2)
    first, second = stage.submit(), stage.submit()
    peer.drop()
    peer.link_id = stage.new_link(peer)
    dial = AgentIdentified(sender=peer.sender, name="a", slots=2, holding=(), seq_next=Seq(8))
    turn = Turn(stage.board, [dial], stage.now, ROLLS)
    row = replace(stage.rows[first], version=9)
    assert turn.settle(frozenset((first,)), [row]).again == (0,)
    assert stage.board.mark_of(peer.instance_id) == 7
    stage.record(turn_of_rest(turn, first))
    stage.rows[first] = row
    stage.tell(dial)
    assert [stage.task(task_id).strikes for task_id in (first, second)] == [1, 1]
    assert stage.marks[peer.instance_id] == 7


def test_a_welcome_after_lost_history_does_not_wait_for_a_row_of_somebody_else() -> None:
    stage = Stage()
    peer = stage.peer("a")
    peer.link_id = stage.new_link(peer)
    dial = AgentIdentified(sender=peer.sender, name="a", holding=(), seq_next=Seq(8))
    push = TaskSubmitted(task_id=stage.new_id(), spec=Spec(assign_to=AgentId("b")))
    settled = (turn := Turn(stage.board, [push, dial], stage.now, ROLLS)).settle(frozenset((push.task_id,)))
    assert any(isinstance(change, MarkMoved) for change in turn.changes)
    assert settled.again == (0,)
    assert any(isinstance(one, Tell) and isinstance(one.frame, Identified) for one in settled.effects)


def test_a_cancel_of_a_row_that_came_back_without_its_link_waits_for_a_grace() -> None:
    stage = Stage()
    peer, task_id = working(stage)
    peer.drop()
    row = replace(stage.rows[task_id], version=9, state=State.RUNNING, recovering_from=None)
    stage.board.reload([task_id], [row], stage.now)
    stage.rows[task_id] = row
    assert stage.cancel(task_id) == "cancelling"
    stage.wait(stage.policy.grace_ms)
    assert stage.state(task_id) is State.CANCELLED


def test_a_letter_on_which_the_board_fails_is_named() -> None:
    """Our own bug: a row that no board could have made. The hub ends, and remembers which letter it was."""
    stage = Stage()
    peer, task_id = working(stage)
    stage.board.view_agents(stage.now)
    broken = replace(stage.task(task_id), timer=None, attempt=99)
    stage.board.reload([task_id], [broken], stage.now)
    letter = FrameHeard(
        sender=peer.sender, frame=TaskFailed(task_id=task_id, generation=Generation(1), seq=Seq(2))
    )
    with pytest.raises(LetterBroke) as caught:
        Turn(stage.board, [letter], stage.now, ROLLS)
    assert caught.value.letter == letter
