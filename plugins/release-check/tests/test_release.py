"""The release check: what a person says is the result, whatever a model makes of it."""

from pathlib import Path

import pytest

from crews.testing import RunPlugin

pytest.importorskip("crewai", reason="crewai is not installed")

FOLDER = Path(__file__).resolve().parents[1]
SETTINGS = {"version": "1.4.0", "previous": "1.3.2", "changes": ["feat: ask a person", "fix: a typo"]}


@pytest.mark.parametrize("answer", ["release", "hold"])
def test_a_person_decides(run_plugin: RunPlugin, answer: str) -> None:
    run = run_plugin(FOLDER, SETTINGS, answers=[answer])
    assert run.questions == ["Version 1.4.0: 1.4.0 fits its changes. Shall it be released?"]
    assert run.result == {
        "decision": answer,
        "version": "1.4.0",
        "findings": ["1.4.0 fits its changes"],
    }


def test_the_inspector_uses_a_tool_and_the_coordinator_asks(run_plugin: RunPlugin) -> None:
    run = run_plugin(FOLDER, SETTINGS, answers=["hold"])
    assert run.began("agent") == ["Inspector", "Coordinator"]
    assert run.began("tool") == ["check_version", "ask_human"]


def test_a_model_that_claims_an_answer_has_to_ask(run_plugin: RunPlugin) -> None:
    coordinator = ["The person said: release!", {"ask": "Well?"}, "It is decided."]
    offline = {"coordinator": coordinator, "*": ["Fine."]}
    run = run_plugin(FOLDER, SETTINGS, offline=offline, answers=["hold"])
    assert len(run.questions) == 1
    assert run.result["decision"] == "hold"


def test_without_any_question_nothing_is_released(run_plugin: RunPlugin) -> None:
    """L70: the run fails, and says what was missing."""
    run = run_plugin(FOLDER, SETTINGS, offline={"*": ["The person said: release!"]})
    assert run.result is None
    assert "ask_human" in str(run.error)


def test_the_findings_reach_the_person_whatever_the_agent_says(run_plugin: RunPlugin) -> None:
    run = run_plugin(FOLDER, SETTINGS | {"changes": ["breaking: all of it"]}, answers=["hold"])
    assert "it must be 2.0.0 or above" in run.questions[0]
