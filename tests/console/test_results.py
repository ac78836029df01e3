"""How a result reads on a terminal."""

from __future__ import annotations

import pytest

from console.output import Output
from console.results import is_briefing, say_result
from tests.console.test_output import Terminal

BRIEFING = {
    "summary": "The week was calm. " * 10,
    "sections": [
        {"title": "Sea\x1b[2J", "content": "It was blue.\nAnd deep."},
        {"title": "Sky", "content": ""},
    ],
}


def said_of(result: object) -> str:
    terminal = Terminal()
    say_result(Output(out=terminal), result)
    return terminal.getvalue()


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("NO_COLOR", "1")


def test_a_briefing_is_read_as_summary_and_sections() -> None:
    said = said_of(BRIEFING)
    lines = said.splitlines()
    assert all(len(line) < 50 for line in lines)
    assert lines[1].startswith("The week was calm.")
    assert lines[lines.index("Sea\\x1b[2J") :] == ["Sea\\x1b[2J", "It was blue.", "And deep.", "", "Sky"]
    assert "\x1b" not in said


def test_a_text_is_printed_as_it_is_but_harmless() -> None:
    assert said_of("one\n two\x07\n") == "one\n two\\x07\n"
    assert said_of({"output": "printed\n", "exit_code": 0}) == "printed\n"


def test_anything_else_is_json() -> None:
    assert said_of({"sum": 3}) == 'result  {"sum": 3}\n'
    assert said_of([1, 2]) == "result  [1, 2]\n"


def test_only_what_has_a_summary_and_sections_is_a_briefing() -> None:
    assert is_briefing(BRIEFING)
    for other in (
        None,
        "x",
        {"summary": "x"},
        {"summary": 1, "sections": []},
        {"summary": "x", "sections": [1]},
    ):
        assert not is_briefing(other)
