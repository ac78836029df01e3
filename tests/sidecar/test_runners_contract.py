"""The two ways in which the loop speaks to a run: the stop, and people's answers."""

import asyncio

from protocol.ids import RequestId
from sidecar.runners.contract import Answers, Proof, StopSignal, how_it_stopped

ONE, TWO = RequestId("one"), RequestId("two")


def test_a_stop_keeps_its_first_reason_and_its_shortest_grace() -> None:
    """L76: said again, it is the same stop."""
    stop = StopSignal()
    heard: list[int] = []
    stop.subscribe(lambda: heard.append(stop.grace_ms))
    assert not stop.is_set
    stop.set("cancel", 1000)
    stop.set("shutdown", 5000)
    stop.set("revoke", -1)
    assert (stop.reason, heard) == ("cancel", [1000, 1000, 0])


def test_a_late_listener_hears_a_stop_that_was_said_before() -> None:
    stop = StopSignal()
    stop.set("cancel", 7)
    heard: list[int] = []
    stop.subscribe(lambda: heard.append(stop.grace_ms))
    assert heard == [7]


async def test_an_answer_wakes_only_the_question_it_belongs_to() -> None:
    answers = Answers()
    heard: list[tuple[RequestId, bytes]] = []
    answers.subscribe(lambda request_id, value: heard.append((request_id, value)))
    async with asyncio.TaskGroup() as group:
        second = group.create_task(answers.wait(TWO))
        answers.put(ONE, b"1")
        answers.put(TWO, b"2")
        answers.put(TWO, b"3")
    assert second.result() == b"2"
    assert await answers.wait(ONE) == b"1"
    assert heard == [(ONE, b"1"), (TWO, b"2")]


def test_the_strongest_signal_says_how_a_run_was_stopped() -> None:
    assert how_it_stopped(Proof()) == "cooperative"
    assert how_it_stopped(Proof(signals=("TERM",))) == "terminated"
    assert how_it_stopped(Proof(signals=("TERM", "KILL"))) == "killed"
