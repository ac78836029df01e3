"""The digest: its whole crew on the offline model, and what it accepts as a briefing."""

import json
from pathlib import Path
from typing import Any

import pytest

from crews.testing import RunPlugin
from plugins.loader import find, part_of
from plugins.settings import UnfitSettings, check_settings

pytest.importorskip("crewai", reason="crewai is not installed")

FOLDER = Path(__file__).resolve().parents[1]
SETTINGS = {"topics": ["open source agents", "durable queues"], "summary_length": "short"}
SECTION = {"title": "Today", "content": "Nothing happened."}
BRIEFING = {"summary": "All is well.", "sections": [SECTION]}


def judge(text: str) -> tuple[bool, str]:
    judged: tuple[bool, str] = part_of(find([FOLDER]).plugins[FOLDER.name], "crew.briefing").judge(text)
    return judged


def test_three_agents_make_a_briefing_one_after_the_other(run_plugin: RunPlugin) -> None:
    run = run_plugin(FOLDER, SETTINGS)
    assert run.error is None
    assert run.began("task") == ["research_task", "write_task", "review_task"]
    assert run.began("agent") == ["Researcher", "Writer", "Reviewer"]
    assert run.began("tool") == ["web_search"]
    assert set(run.result) == {"summary", "sections"}
    assert len(run.result["summary"]) <= 300
    assert all(set(section) == {"title", "content"} for section in run.result["sections"])


def test_the_reviewer_is_given_another_try_with_what_is_wrong(run_plugin: RunPlugin) -> None:
    reviewer = [{"say": "Here it comes!"}, {"say": {"summary": "x" * 301, "sections": []}}, {"say": BRIEFING}]
    run = run_plugin(FOLDER, SETTINGS, offline={"reviewer": reviewer, "*": ["Noted."]})
    assert run.result == BRIEFING


def test_a_crew_that_never_makes_a_briefing_fails_and_says_why(run_plugin: RunPlugin) -> None:
    """L70, L92."""
    run = run_plugin(FOLDER, SETTINGS, offline={"*": ["No."]})
    assert run.result is None
    assert "Your answer had no JSON" in str(run.error)


@pytest.mark.parametrize("wrap", ["{}", "```json\n{}\n```", "Here it is: {} I hope it helps."])
def test_a_briefing_is_found_in_what_a_model_says_around_it(wrap: str) -> None:
    fits, text = judge(wrap.replace("{}", json.dumps(BRIEFING)))
    assert fits
    assert json.loads(text) == BRIEFING


def test_members_that_nobody_asked_for_are_left_out() -> None:
    assert json.loads(judge(json.dumps(BRIEFING | {"mood": "good"}))[1]) == BRIEFING


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no braces", "had no JSON"),
        ("} {", "had no JSON"),
        ("{nonsense}", "is not JSON"),
        (json.dumps(BRIEFING | {"summary": ""}), "summary: "),
        (json.dumps(BRIEFING | {"summary": "x" * 301}), "summary: String should have at most 300"),
        (json.dumps(BRIEFING | {"sections": []}), "sections: "),
        (json.dumps(BRIEFING | {"sections": [SECTION] * 11}), "sections: "),
        (json.dumps(BRIEFING | {"sections": [{"title": "a"}]}), "sections.0.content: Field required"),
    ],
)
def test_what_is_no_briefing_is_told_to_the_agent(text: str, sentence: str) -> None:
    fits, answer = judge(text)
    assert not fits
    assert sentence in answer


def test_a_summary_of_exactly_300_characters_fits() -> None:
    assert judge(json.dumps(BRIEFING | {"summary": "x" * 300}))[0]


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, "settings.topics: is missing"),
        ({"topics": []}, "settings.topics: must have at least 1"),
        ({"topics": [str(n) for n in range(11)]}, "settings.topics: must have at most 10"),
        ({"topics": [" "]}, "settings.topics[0]: must match"),
        (
            {"topics": ["a"], "summary_length": "epic"},
            "settings.summary_length: must be one of short, ",
        ),
        ({"topics": ["a"], "topic": "b"}, "settings.topic: is not a setting; did you mean `topics`?"),
    ],
)
def test_settings_that_do_not_fit_are_refused(inputs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnfitSettings) as caught:
        check_settings(find([FOLDER]).plugins[FOLDER.name], inputs, "")
    assert sentence in str(caught.value)


def test_ten_topics_are_enough_to_say() -> None:
    topics = [str(n) for n in range(10)]
    settings = check_settings(find([FOLDER]).plugins[FOLDER.name], {"topics": topics}, "")
    assert settings == {"topics": topics, "summary_length": "medium"}
