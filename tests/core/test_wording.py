"""The last words of a task: what a success names, and where an error says it happened."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from hub.core.task import Ending, Spec, State, Task, Usage
from hub.core.wording import CONTENT_LENGTH_MAX, DONE, NAME_LENGTH_MAX, NAMES_MAX, content_of
from protocol.ids import TaskId


def completed(result: Any, **members: Any) -> str:
    raw = None if result is ... else Raw(json.dumps(result).encode())
    return content_of(ended(State.COMPLETED, result=raw, **members))


def ended(state: State, **members: Any) -> Task:
    return Task(task_id=TaskId("t"), spec=Spec(), state=state, ending=Ending(how="x"), **members)


def test_a_success_names_what_there_is_the_summary_first() -> None:
    """Contracts §4: files modified, deployment URL, database queries, total cost, the agent's summary."""
    result = {
        "files_modified": ["src/a.py", {"path": "src/b.py", "lines": 3}],
        "deployment_url": "https://app.example",
        "database_queries": [{"sql": "SELECT 1"}, {"rows": 2}],
        "total_cost": 0.1234,
        "summary": "I built it.",
    }
    assert completed(result).splitlines() == [
        "I built it.",
        "Files modified (2):",
        "- src/a.py",
        "- src/b.py",
        "Deployment: https://app.example",
        "Database queries (2):",
        "- SELECT 1",
        '- {"rows":2}',
        "Total cost: $0.1234",
    ]


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ("plain text\nas it is ", "plain text\nas it is "),
        ("", DONE),
        (..., DONE),
        (None, DONE),
        ({}, DONE),
        ([1, 2], "[1,2]"),
        ({"ok": True}, '{"ok":true}'),
        ({"output": "done", "exit_code": 0}, "done"),
        ({"summary": "Today.", "sections": [{"title": "a", "content": "b"}]}, "Today."),
        ({"output": {"summary": "Within.", "cost": "3 EUR"}}, "Within.\nTotal cost: 3 EUR"),
        ({"output": '{"summary": "In a text.", "filesModified": 4}'}, "In a text.\nFiles modified: 4"),
        ('{"agentSummary": "All of it a text."}', "All of it a text."),
        ({"output": "{ no json"}, "{ no json"),
        ({"output": "[1]"}, "[1]"),
        ({"files": "a.py", "message": " said "}, "said\nFiles modified: a.py"),
        ({"queries": 0, "text": "t"}, "t\nDatabase queries: 0"),
        ({"summary": 7, "cost": False, "url": ["x"], "files": {"a": 1}}, None),
    ],
)
def test_results_are_read_under_the_names_they_are_seen_with(result: Any, content: str | None) -> None:
    """Whatever a run returns, whoever waits gets a text, and is never left without one."""
    assert completed(result) == (content or json.dumps(result, separators=(",", ":")))


def test_the_cost_that_was_reported_is_named_when_the_result_has_none() -> None:
    assert completed({"summary": "s"}, usage=Usage(cost=1.5)) == "s\nTotal cost: $1.5000"
    assert completed({"summary": "s"}, usage=Usage()) == "s"
    assert completed({"summary": "s", "cost": 2}, usage=Usage(cost=1.5)) == "s\nTotal cost: $2.0000"


def test_the_last_words_are_bounded() -> None:
    assert completed("x" * CONTENT_LENGTH_MAX) == "x" * CONTENT_LENGTH_MAX
    longer = completed("x" * (CONTENT_LENGTH_MAX + 1))
    assert (len(longer), longer[-2:]) == (CONTENT_LENGTH_MAX, "x…")


@pytest.mark.parametrize(("count", "rest"), [(NAMES_MAX, []), (NAMES_MAX + 1, ["- and 1 more"])])
def test_so_many_files_are_named_one_by_one(count: int, rest: list[str]) -> None:
    lines = completed({"files": ["f"] * count}).splitlines()
    assert lines == [f"Files modified ({count}):", *["- f"] * NAMES_MAX, *rest]


def test_a_long_name_is_cut_and_stays_on_its_line() -> None:
    lines = completed({"queries": ["SELECT\n  " + "x" * NAME_LENGTH_MAX]}).splitlines()
    assert len(lines) == 2
    assert len(lines[1]) == len("- ") + NAME_LENGTH_MAX


@pytest.mark.parametrize(
    ("task", "content"),
    [
        (
            ended(State.FAILED, error="the runner died", message="Starting agentic loop", started_wall_ms=1),
            "Failed in the phase “Starting agentic loop”: the runner died.",
        ),
        (
            ended(State.DEAD_LETTER, error="nobody would accept it"),
            "Failed before it started: nobody would accept it.",
        ),
        (ended(State.FAILED, error="Why not?", started_wall_ms=1), "Failed while it was running: Why not?"),
        (ended(State.FAILED, started_wall_ms=1), "Failed while it was running: it failed without a reason."),
        (
            ended(State.CANCELLED, cancelled_by="eve", cancel_reason="no need", message=" Container\n up "),
            "Stopped in the phase “Container up”: cancelled by eve: no need.",
        ),
        (ended(State.CANCELLED), "Stopped before it started: cancelled."),
    ],
)
def test_an_error_names_the_phase_and_the_cause(task: Task, content: str) -> None:
    """L92: a generic error that hid the cause."""
    assert content_of(task) == content
