"""Letters to Redis: with every end that somebody waits for, in the turn of that end, and with no other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from hub.core.effects import LetterPosted, TaskSaved
from hub.core.events import FrameHeard, HubStarted, RetryRequested
from hub.core.outgoing import RESULTS, final_key
from hub.core.policy import Policy
from hub.core.task import RunSpec, State
from hub.core.turn import Turn
from protocol.frames import TaskComplete, TaskFailed, TaskProgress
from protocol.ids import Generation, TaskId
from tests.core.peer import Peer
from tests.core.stage import Stage, working

CHANNEL = "channel-7"
RUN = RunSpec(plugin_run_id="run-7", user_id=7, origin="stream")


class Listening(Stage):
    """A stage whose hub has a Redis; every turn's letters are kept, and must come with their task's end."""

    def __init__(self, **policy: Any) -> None:
        self.letters: list[LetterPosted] = []
        super().__init__(Policy(has_streams=True, **policy))

    def record(self, turn: Turn) -> None:
        super().record(turn)
        letters = [change for change in turn.changes if isinstance(change, LetterPosted)]
        ended = {
            change.task.task_id
            for change in turn.changes
            if isinstance(change, TaskSaved) and change.task.is_final
        }
        assert {letter.task_id for letter in letters} <= ended
        self.letters += letters

    def final(self) -> dict[str, Any]:
        """The one final message on the channel."""
        (letter,) = self.letters
        assert (letter.kind, letter.target) == ("final", CHANNEL)
        assert letter.key == final_key(letter.task_id)
        said: dict[str, Any] = msgspec.json.decode(letter.payload)
        assert list(said) == ["complete", "content", "isError"]
        assert said["complete"] is True
        return said

    def result(self) -> dict[str, Any]:
        """The one entry for the stream of results."""
        (letter,) = self.letters
        assert (letter.kind, letter.target, letter.key) == ("result", RESULTS, "run-7")
        said: dict[str, Any] = msgspec.json.decode(letter.payload)
        assert list(said) == ["plugin_run_id", "status", "output", "error"]
        return said


def test_a_success_is_told_on_the_channel_with_its_result() -> None:
    stage = Listening()
    peer, task_id = working(stage, stream_id=CHANNEL)
    assert stage.letters == []
    peer.complete(task_id, '{"summary":"done"}')
    assert stage.final() == {"complete": True, "content": "done", "isError": False}


def fail(stage: Stage, peer: Peer, task_id: TaskId) -> None:
    peer.fail(task_id, "no luck", retryable=False)


def fail_three_times(stage: Stage, peer: Peer, task_id: TaskId) -> None:
    for _ in range(3):
        if stage.state(task_id) is not State.RUNNING:
            stage.wait_until(State.ASSIGNED, task_id)
            peer.accept(task_id)
        peer.fail(task_id, "no luck")


def overrun(stage: Stage, peer: Peer, task_id: TaskId) -> None:
    for _ in range(3):
        for _ in range(70):
            peer.beat(peer.runs(task_id))
            stage.wait(10_000)
            if stage.state(task_id) is not State.RUNNING:
                break
        if stage.state(task_id).is_final:
            return
        peer.beat()
        stage.wait_until(State.ASSIGNED, task_id)
        peer.accept(task_id)


def lose_it(stage: Stage, peer: Peer, task_id: TaskId) -> None:
    peer.drop()
    stage.wait(stage.policy.grace_ms)


def cancel(stage: Stage, peer: Peer, task_id: TaskId) -> None:
    stage.cancel(task_id)
    peer.stop(task_id)


def die_with_the_hub(stage: Stage, peer: Peer, task_id: TaskId) -> None:
    """The holder never comes back to the next life of the hub."""
    stage.restart()
    stage.tell(HubStarted())
    stage.wait(stage.policy.grace_ms + 1_000)


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (fail, "no luck."),
        (fail_three_times, "no luck."),
        (overrun, "the run took longer than its time."),
        (lose_it, "its agent was out of reach for too long."),
        (cancel, "cancelled by a person"),
        (die_with_the_hub, "its agent was out of reach for too long."),
    ],
)
def test_every_other_end_of_a_run_is_told_once_as_an_error(end: Any, cause: str) -> None:
    """L100, L101: failed, used up, timed out, lost, cancelled, or ended by the next life of the hub."""
    stage = Listening(strikes_max=1)
    peer, task_id = working(stage, stream_id=CHANNEL, timeout_ms=600_000)
    end(stage, peer, task_id)
    assert stage.state(task_id).is_final
    said = stage.final()
    assert said["isError"] is True
    assert cause in said["content"]


def test_what_ends_before_it_starts_is_told_as_well() -> None:
    """L100: a failure before anything began published nothing, and the caller waited for ever."""
    stage = Listening()
    task_id = stage.submit(stream_id=CHANNEL)
    stage.cancel(task_id)
    assert stage.final()["content"] == "Stopped before it started: cancelled by a person."
    stage.letters.clear()
    stage.submit(stream_id=CHANNEL, start_by_wall_ms=stage.now.wall_ms + 5_000)
    stage.wait(6_000)
    assert stage.final()["content"] == "Failed before it started: it could not start in time."


def test_an_error_names_the_phase_that_the_run_was_in() -> None:
    stage = Listening()
    peer, task_id = working(stage, stream_id=CHANNEL)
    peer.says(
        TaskProgress(task_id=task_id, generation=Generation(1), progress=20, message="Container provisioned")
    )
    peer.fail(task_id, "out of disk", retryable=False)
    assert stage.final()["content"] == "Failed in the phase “Container provisioned”: out of disk."


def test_an_attempt_that_is_tried_again_tells_nothing() -> None:
    stage = Listening()
    peer, task_id = working(stage, stream_id=CHANNEL)
    assert peer.fail(task_id) == "retried"
    stage.wait_until(State.ASSIGNED, task_id)
    assert stage.letters == []
    peer.accept(task_id)
    peer.complete(task_id, '"yes"')
    assert stage.final()["content"] == "yes"


def test_nothing_follows_the_end() -> None:
    """L101: messages after the final one, also of a result that was said twice and of a retry by hand."""
    stage = Listening()
    peer, task_id = working(stage, stream_id=CHANNEL, run=RunSpec(plugin_run_id="r", user_id=1))
    peer.fail(task_id, retryable=False)
    stage.final()
    peer.complete(task_id, generation=1)
    again = stage.granted(RetryRequested(task_id=task_id, new_task_id=stage.new_id(), by="x")).task
    assert again is not None
    assert (again.spec.stream_id, again.spec.run) == (None, None)
    stage.wait(1_000)
    peer.accept(again.task_id)
    peer.complete(again.task_id)
    assert stage.state(again.task_id) is State.COMPLETED
    stage.final()


def test_a_task_that_nobody_waits_for_posts_nothing() -> None:
    stage = Listening()
    peer, task_id = working(stage, run=RunSpec(plugin_run_id="r", user_id=1, origin="api"))
    peer.complete(task_id)
    assert stage.letters == []


def test_a_hub_without_a_redis_posts_nothing() -> None:
    stage = Stage()
    peer, task_id = working(stage, stream_id=CHANNEL, run=RUN)
    peer.complete(task_id)
    assert stage.state(task_id) is State.COMPLETED
    assert not any(isinstance(change, LetterPosted) for change in stage.changes)


def test_a_run_that_came_by_stream_has_its_result() -> None:
    stage = Listening()
    peer, task_id = working(stage, run=RUN)
    peer.complete(task_id, '{"summary":"s","sections":[]}')
    assert stage.result() == {
        "plugin_run_id": "run-7",
        "status": "completed",
        "output": '{"summary":"s","sections":[]}',
        "error": None,
    }


def test_a_failed_run_that_came_by_stream_has_its_error_word_for_word() -> None:
    """Contracts §5: messages kept."""
    stage = Listening()
    peer, task_id = working(stage, run=RUN)
    error = "Plugin crew not found: digest"
    peer.fact(
        lambda seq: TaskFailed(
            task_id=task_id, generation=Generation(1), seq=seq, error=error, retryable=False
        )
    )
    assert stage.result() == {
        "plugin_run_id": "run-7",
        "status": "failed",
        "output": None,
        "error": error,
    }


def test_one_end_may_be_told_to_both() -> None:
    stage = Listening()
    peer, task_id = working(stage, run=RUN, stream_id=CHANNEL)
    peer.complete(task_id)
    assert [letter.kind for letter in stage.letters] == ["final", "result"]


def test_a_refused_end_is_posted_when_it_is_decided_again() -> None:
    """A batch that the ledger refused takes its letter with it; asked again, it is in the next one, once."""
    stage = Listening()
    peer, task_id = working(stage, stream_id=CHANNEL)
    fact = TaskComplete(task_id=task_id, generation=Generation(1), seq=peer.next_seq(), result=Raw(b"1"))
    letter = FrameHeard(sender=peer.sender, frame=fact)
    turn = Turn(stage.board, (letter,), stage.now, [0.5] * 2)
    assert [one.target for one in turn.changes if isinstance(one, LetterPosted)] == [CHANNEL]
    assert turn.settle(frozenset({task_id}), (stage.rows[task_id],)).again == (0,)
    stage.tell(letter)
    assert stage.final()["isError"] is False
