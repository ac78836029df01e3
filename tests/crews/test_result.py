"""What a crew returns: always a JSON object, and a briefing only when it is one."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from crews.line import encoded
from crews.result import SUMMARY_LENGTH_MAX, UnfitResult, mistake_in, plain, result_of
from protocol.limits import RESULT_BYTES_MAX


class Text(BaseModel):
    """A structured output."""

    summary: str


def raw(text: str) -> Any:
    return SimpleNamespace(raw=text, pydantic=None, json_dict=None)


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (raw("just a text"), {"output": "just a text"}),
        (raw('{"a": 1}'), {"a": 1}),
        (raw('```json\n{"a": 1}\n```'), {"a": 1}),
        (raw('  ```\n{"a": 1}\n```  '), {"a": 1}),
        (raw("[1, 2]"), {"output": "[1, 2]"}),
        (raw('{"a": 1} and more'), {"output": '{"a": 1} and more'}),
        (raw(""), {"output": ""}),
        (SimpleNamespace(raw="{}", pydantic=Text(summary="s"), json_dict=None), {"summary": "s"}),
        (SimpleNamespace(raw="{}", pydantic=None, json_dict={"b": [2]}), {"b": [2]}),
        ("no crew's output at all", {"output": "no crew's output at all"}),
    ],
)
def test_whatever_a_crew_returns_becomes_a_json_object(output: Any, result: dict[str, Any]) -> None:
    """L88: raw text in a place for JSON left a run unfinished for ever."""
    assert plain(output) == result
    assert json.loads(encoded(result_of(output, briefing=False))) == result


def briefing(**members: Any) -> dict[str, Any]:
    return {"summary": "In short.", "sections": [{"title": "One", "content": "More."}]} | members


@pytest.mark.parametrize(
    ("result", "mistake"),
    [
        (briefing(), ""),
        (briefing(sections=[]), ""),
        (briefing(summary="x" * SUMMARY_LENGTH_MAX), ""),
        (briefing(summary="x" * (SUMMARY_LENGTH_MAX + 1)), "summary has 301 characters, at most 300"),
        (briefing(summary=" "), "summary must be a text that is not empty"),
        (briefing(summary=None), "summary must be a text"),
        (briefing(sections="none"), "sections must be a list"),
        (
            briefing(sections=[{"title": "One", "content": "a"}, {"title": "Two"}]),
            "section 2 must have a content",
        ),
        (briefing(sections=["text"]), "section 1 must have a title"),
        ({"output": "a text"}, "summary must be a text"),
    ],
)
def test_a_briefing_is_judged_by_what_others_show_of_it(result: dict[str, Any], mistake: str) -> None:
    assert mistake_in(result).startswith(mistake)
    assert bool(mistake_in(result)) == bool(mistake)


def test_what_is_no_briefing_may_be_one_the_next_time() -> None:
    """L70: it has failed, and a model that is asked again may write what was asked for."""
    with pytest.raises(UnfitResult, match="the crew's output is no briefing: summary must be") as unfit:
        result_of(raw("Just a text."), briefing=True)
    assert unfit.value.retryable


def test_a_result_at_the_bound_travels_and_a_bigger_one_does_not() -> None:
    around = len(encoded({"output": ""}))
    assert result_of(raw("x" * (RESULT_BYTES_MAX - around)), briefing=False)
    with pytest.raises(
        UnfitResult, match=f"{RESULT_BYTES_MAX + 1} bytes, at most {RESULT_BYTES_MAX}"
    ) as unfit:
        result_of(raw("x" * (RESULT_BYTES_MAX - around + 1)), briefing=False)
    assert not unfit.value.retryable
