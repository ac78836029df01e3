"""A question at the terminal, and what becomes of what is typed."""

from __future__ import annotations

import io
import os

from console.output import Output
from console.questions import LINE_BYTES_MAX, can_ask, choices_of, say_prompt, typed_lines, value_for
from tests.console.test_output import Terminal
from tests.waiting import until_true


def test_what_is_typed_is_json_unless_the_question_asks_for_text() -> None:
    text, choice = {"type": "string"}, {"enum": ["1", "two", 3]}
    assert [value_for(typed, None) for typed in ("42", "[1]", "yes", '"42"')] == [42, [1], "yes", "42"]
    assert [value_for(typed, text) for typed in ("42", "true", "yes", '"42"', "")] == [
        "42",
        "true",
        "yes",
        "42",
        "",
    ]
    assert [value_for(typed, choice) for typed in ("1", "two", "3")] == ["1", "two", 3]
    for nonsense in ("text", [1], {"enum": 5}, {"type": ["string"]}):
        assert value_for("x", nonsense) == "x"
    assert choices_of(choice) == ("1", "two")


def test_a_question_is_shown_harmless_with_its_choices_beside_the_data() -> None:
    out, err = io.StringIO(), io.StringIO()
    say_prompt(Output(out=out, err=err), "Go\x1b[2J?", {"enum": [*map(str, range(30))]})
    assert out.getvalue() == ""
    assert err.getvalue().startswith("It asks: Go\\x1b[2J?\nOne of: 0, 1, 2")
    assert err.getvalue().endswith("19, …\n")


def test_nobody_is_asked_where_nobody_sits() -> None:
    assert not can_ask(Output(out=Terminal(), err=Terminal())), "standard input of a test is no terminal"


def test_typed_lines_are_heard_whole_and_listening_ends_with_its_context() -> None:
    heard: list[str | None] = []
    out, into = os.pipe()
    with typed_lines(heard.append, out):
        os.write(into, b"fir")
        os.write(into, "st\r\nzwölf\nopen".encode())
        until_true(lambda: len(heard) == 2, "two lines were heard")
    assert heard == ["first", "zwölf"]
    os.close(into)
    os.close(out)


def test_the_end_of_input_is_heard_once_and_long_lines_are_cut() -> None:
    heard: list[str | None] = []
    out, into = os.pipe()
    with typed_lines(heard.append, out):
        for _ in range(5):
            os.write(into, b"x" * (LINE_BYTES_MAX // 2))
        os.write(into, b"\n")
        os.close(into)
        until_true(lambda: None in heard, "the end was heard")
    assert [one and len(one) for one in heard] == [LINE_BYTES_MAX, None]
    os.close(out)
