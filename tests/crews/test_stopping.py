"""The word to stop: heard once, seen everywhere, and obeyed at the next boundary."""

import signal
from typing import Any

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crewai.hooks.dispatch import HookAborted, InterceptionPoint, dispatch

from crews.stopping import GATES, Stopping
from tests.crews.rig import PATIENCE_S, Rig, order
from tests.waiting import until_true


class Context:
    payload: Any = None


def test_the_first_reason_stays_and_everybody_is_woken_once() -> None:
    stopping = Stopping()
    woken: list[str] = []
    stopping.subscribe(lambda: woken.append("early"))
    stopping.check()
    stopping.ask("cancel")
    stopping.ask("timeout")
    stopping.subscribe(lambda: woken.append("late"))
    assert stopping.why == "cancel"
    assert woken == ["early", "late"]
    with pytest.raises(HookAborted, match="stopped: cancel"):
        stopping.check()


def test_every_gate_lets_pass_until_the_stop_and_none_after_it() -> None:
    stopping = Stopping()
    with stopping.gates():
        for point in GATES:
            dispatch(point, Context())
        stopping.ask("cancel")
        for point in GATES:
            with pytest.raises(HookAborted):
                dispatch(point, Context())
    dispatch(InterceptionPoint.PRE_MODEL_CALL, Context())  # outside of it the gate is gone


def test_a_stop_while_a_model_streams_ends_the_run_within_its_text(rig: Rig) -> None:
    """L74: what was stopped makes no result later."""
    words = "word " * 5_000
    run = rig.start(order({"*": [{"say": words, "pause_ms": 20}]}))
    until_true(lambda: run.logged("chunk"), "the model streams", PATIENCE_S)
    run.say(stop="cancel")
    assert run.ended() == 0
    assert run.lines[-1] == {"stopped": True}
    assert not run.said("result")
    assert len(run.calls()) == 1


def test_a_stop_between_two_calls_is_obeyed_before_the_next_one(rig: Rig) -> None:
    run = rig.start(order({"Researcher": [{"ask": "Go on?"}, {"say": "Yes."}], "*": [{"say": "More."}]}))
    run.question()
    run.say(stop="timeout")
    assert run.ended() == 0
    assert run.lines[-1] == {"stopped": True}
    assert run.calls() == ["Researcher"]
    assert not run.said("error"), "a run that obeys has not failed"


def test_term_is_a_stop_too(rig: Rig) -> None:
    run = rig.start(order({"*": [{"ask": "Go on?"}]}))
    run.question()
    run.signal(signal.SIGTERM)
    assert run.ended() == 0
    assert run.lines[-1] == {"stopped": True}


def test_term_is_heard_also_when_nobody_answers_any_more(rig: Rig) -> None:
    """The end of the answers is no reason to end: that is for the guard to say."""
    run = rig.start(order({"*": [{"ask": "Go on?"}]}))
    run.question()
    run.deafen()
    assert not run.is_over
    run.signal(signal.SIGTERM)
    assert run.ended() == 0
    assert run.lines[-1] == {"stopped": True}
