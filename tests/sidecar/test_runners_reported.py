"""Every line that a run may say, and the bound of each."""

import json
from typing import Any

import msgspec
import pytest

from protocol.ids import TaskId, question_id
from sidecar.runners.contract import REPORT_TEXT_LENGTH_MAX, Asked, Logged, Report
from sidecar.runners.reported import (
    LOG_BYTES_MAX,
    LOG_FIELDS_BYTES_MAX,
    PROMPT_LENGTH_MAX,
    QUESTIONS_MAX,
    SCHEMA_BYTES_MAX,
    Said,
)

TASK = TaskId("task-00000000000000aa")


class Ear:
    """What was heard of a run that said these lines."""

    def __init__(self, *lines: dict[str, Any], log_bytes_max: int = LOG_BYTES_MAX) -> None:
        self.reports: list[Report] = []
        self.said = Said(TASK, self.reports.append, log_bytes_max)
        for line in lines:
            self.said.heard(json.dumps(line).encode() + b"\n")

    @property
    def logged(self) -> list[Logged]:
        return [report for report in self.reports if isinstance(report, Logged)]

    @property
    def asked(self) -> list[Asked]:
        return [report for report in self.reports if isinstance(report, Asked)]


def test_a_log_entry_brings_its_fields() -> None:
    fields = {"id": 3, "parent": 1, "agent": "Writer"}
    [entry] = Ear({"log": "thinks", "kind": "agent", "level": "debug", "data": fields}).logged
    assert (entry.text, entry.kind, entry.level) == ("thinks", "agent", "debug")
    assert json.loads(entry.data or b"") == fields


@pytest.mark.parametrize("nothing", [{}, {"data": None}])
def test_a_log_entry_without_fields_has_none(nothing: dict[str, Any]) -> None:
    [entry] = Ear({"log": "x"} | nothing).logged
    assert entry.data is None


def of_size(size: int) -> dict[str, str]:
    """An object that is this long as JSON text."""
    return {"a": "x" * (size - len('{"a": ""}'))}


def test_fields_that_would_not_fit_into_a_frame_are_left_out_with_their_size() -> None:
    """L62: at the limit they stay, one byte above it the entry says what is missing."""
    kept, cut, odd = Ear(
        {"log": "x", "data": of_size(LOG_FIELDS_BYTES_MAX)},
        {"log": "x", "data": of_size(LOG_FIELDS_BYTES_MAX + 1)},
        {"log": "x", "data": [1]},
    ).logged
    assert len(kept.data or b"") == LOG_FIELDS_BYTES_MAX
    assert json.loads(cut.data or b"") == {"left_out_bytes": LOG_FIELDS_BYTES_MAX + 1}
    assert json.loads(odd.data or b"") == {"left_out_bytes": 3}


def test_the_fields_of_a_flood_count_too() -> None:
    """L110: what is beyond the bound of a run is counted, and the count is said once."""
    ear = Ear(*[{"log": "x", "data": of_size(1_000)}] * 20, log_bytes_max=10_020)
    ear.said.finish()
    assert [len(entry.data or b"") for entry in ear.logged] == [*[1_000] * 10, 0]
    assert ear.logged[-1].text == "10 more log lines were dropped"


def test_a_long_line_of_a_log_is_cut() -> None:
    [entry] = Ear({"log": "x" * (REPORT_TEXT_LENGTH_MAX + 1)}).logged
    assert len(entry.text) == REPORT_TEXT_LENGTH_MAX


def test_the_id_of_a_question_is_the_same_in_every_attempt() -> None:
    """A later attempt that does not ask the first question still gets the answer to the second."""
    first = Ear({"ask": "Which?"}, {"ask": "Where?"}, {"ask": "Which?"}).asked
    later = Ear({"ask": "Where?"}, {"ask": "Which?"}).asked
    assert [asked.request_id for asked in first] == [
        question_id(TASK, 1, "Which?"),
        question_id(TASK, 1, "Where?"),
        question_id(TASK, 2, "Which?"),
    ]
    assert {asked.request_id for asked in later} == {asked.request_id for asked in first[:2]}


def test_a_question_travels_in_a_frame_and_keeps_the_id_of_its_whole_text() -> None:
    prompt = "x" * (PROMPT_LENGTH_MAX + 1)
    [asked] = Ear({"ask": prompt}).asked
    assert len(asked.prompt) == PROMPT_LENGTH_MAX
    assert asked.request_id == question_id(TASK, 1, prompt)


def test_a_schema_that_is_too_big_is_left_out_and_that_is_said() -> None:
    """L62."""
    fits = Ear({"ask": "Which?", "schema": of_size(SCHEMA_BYTES_MAX)})
    big = Ear({"ask": "Which?", "schema": of_size(SCHEMA_BYTES_MAX + 1)})
    assert len(fits.asked[0].schema or b"") == SCHEMA_BYTES_MAX
    assert big.asked[0].schema is None
    assert "left out" in big.logged[0].text


def test_a_run_that_asks_without_end_is_not_listened_to() -> None:
    """L110."""
    ear = Ear(*[{"ask": "Really?"}] * (QUESTIONS_MAX + 1))
    assert len(ear.asked) == QUESTIONS_MAX
    assert len({asked.request_id for asked in ear.asked}) == QUESTIONS_MAX
    assert "not asked" in ear.logged[0].text


def test_a_run_says_once_that_it_obeyed_a_stop() -> None:
    ear = Ear({"progress": 1})
    assert not ear.said.stopped
    ear.said.heard(b'{"stopped": true}\n{"stopped": false}\n')
    assert ear.said.stopped


def test_a_line_may_come_in_pieces() -> None:
    """TCP or pipe: where a piece ends means nothing."""
    whole = msgspec.json.encode({"log": "größer ☃"}) + b"\n"
    for cut in range(len(whole)):
        ear = Ear()
        ear.said.heard(whole[:cut])
        ear.said.heard(whole[cut:])
        assert [entry.text for entry in ear.logged] == ["größer ☃"]
