"""Tools for plugins: a person in the middle of the work, and a key that is the same in every attempt."""

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crews.present import NoRun, Present, doing
from crews.tools import AskHuman, idempotency_key, never_cached
from protocol.ids import question_id
from tests.crews.rig import Rig, order
from tests.crews.test_people import TASK, people


def test_an_agent_asks_a_person_in_the_middle_of_its_work(rig: Rig) -> None:
    ask = {"ask": "Release it?", "choices": ["release", "hold"]}
    run = rig.start(order({"Researcher": [ask, {"say": "It is held."}], "*": [{"say": "Done."}]}))
    question = run.question()
    assert question["ask"] == "Release it?"
    assert question["schema"] == {"type": "string", "enum": ["release", "hold"]}
    run.say(request_id=question_id(TASK, 1, "Release it?"), value="hold")
    assert run.ended() == 0, run.output
    assert run.said("step")[0]["output"]["raw"] == "It is held."
    assert run.calls() == ["Researcher", "Researcher", "Writer", "Reviewer"]


def test_two_agents_who_ask_the_same_both_ask_a_person(rig: Rig) -> None:
    """A tool's answer may be remembered by crewai; a person's never is."""
    asks = [{"ask": "Release it?"}, {"say": "Asked."}]
    run = rig.start(order({"Researcher": asks, "Writer": asks, "Reviewer": [{"say": "Done."}]}))
    for number in (1, 2):
        run.question(number)
        run.say(request_id=question_id(TASK, number, "Release it?"), value=f"answer {number}")
    assert run.ended() == 0, run.output
    assert never_cached({}, "release") is False


def test_an_answer_that_is_no_text_is_given_to_the_agent_as_json() -> None:
    somebody, line, _ = people()
    request_id = question_id(TASK, 1, "How many?")
    with doing(Present(TASK, somebody)):
        somebody.answered(request_id, {"count": 3})
        assert AskHuman(choices=("one", "more"))._run("How many?") == '{"count":3}'
    assert line.lines[0]["schema"] == {"type": "string", "enum": ["one", "more"]}


def test_a_tool_without_a_run_says_how_to_get_one() -> None:
    with pytest.raises(NoRun, match="sidecar run"):
        idempotency_key()


def test_the_key_of_a_step_is_the_same_in_every_attempt(rig: Rig) -> None:
    """What an interrupted attempt has already done can be known again by it."""
    script = {"Writer": [{"tool": "look_around"}, {"say": "Seen."}], "*": [{"say": "Done."}]}
    keys = [
        [line for line in run.output.splitlines() if line.startswith("KEY")]
        for run in (rig.run(order(script, attempt=attempt, generation=attempt)) for attempt in (1, 2))
    ]
    assert keys[0] == keys[1] == [f"KEY {TASK}-step-1"]
    with doing(Present(TASK, people()[0])):
        assert idempotency_key(4) == f"{TASK}-step-4"
