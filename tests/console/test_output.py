"""What a command says, on a terminal and in a pipe."""

from __future__ import annotations

import io
import json

import pytest

from console.output import CommandFailed, Exit, Output, cell, cut, width_of, words_of


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


ROWS = ({"id": "a", "text": "short", "tags": ["x", "y"]}, {"id": "bcd", "text": "l" * 60, "tags": []})


def test_a_pipe_gets_one_object_a_line() -> None:
    out = io.StringIO()
    Output(out=out).rows(ROWS, ("id", "text"), key="id")
    assert [json.loads(line) for line in out.getvalue().splitlines()] == list(ROWS)


def test_a_terminal_gets_a_table_that_fits(terminal: Terminal) -> None:
    Output(out=terminal).rows(ROWS, ("id", "tags", "text"), key="id")
    heading, first, second = terminal.getvalue().splitlines()
    assert heading == "\x1b[90mID   TAGS  TEXT\x1b[0m"
    assert first == "a    x, y  short"
    assert second.startswith("bcd  -     lll")
    assert second.endswith("…")
    assert width_of(second) == 40


def test_quiet_says_ids_only() -> None:
    out = io.StringIO()
    Output(quiet=True, out=out).rows(ROWS, ("id",), key="id")
    assert out.getvalue() == "a\nbcd\n"


def test_a_record_on_a_terminal_leaves_out_what_is_not_there(terminal: Terminal) -> None:
    record: dict[str, object] = {"name": "ada", "error": None, "labels": {}, "is_on": True, "text": "\x1b[2J"}
    Output(out=terminal).fields(record)
    assert terminal.getvalue() == (
        "\x1b[90mname \x1b[0m  ada\n\x1b[90mis_on\x1b[0m  yes\n\x1b[90mtext \x1b[0m  \\x1b[2J\n"
    )


def test_nothing_of_a_stranger_reaches_the_terminal_as_it_is(terminal: Terminal) -> None:
    """O4: escapes, overrides of direction and C1 are shown, in every form of output."""
    output = Output(out=terminal, err=terminal)
    evil = "\x1b]0;x\x07\u202e\x9b31m"
    output.rows([{"id": evil}], ("id",), key="id")
    output.fields({evil: evil})
    output.note(evil)
    output.record({"text": evil})
    Output(quiet=True, out=terminal).rows([{"id": evil}], ("id",), key="id")
    said = terminal.getvalue().replace("\x1b[90m", "").replace("\x1b[0m", "")
    assert not set(said) & {"\x1b", "\x07", "\u202e", "\x9b"}
    assert CommandFailed(evil, Exit.FAILED).message == "\\x1b]0;x\\x07\\u202e\\x9b31m"


def test_colour_is_for_terminals_and_only_where_it_is_wanted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Output(out=terminal).paint("x", "good") == "\x1b[32mx\x1b[0m"
    assert Output(out=io.StringIO()).paint("x", "good") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Output(out=terminal).paint("x", "good") == "x"


def test_values_are_said_as_people_read_them() -> None:
    values: tuple[object, ...] = (None, "", [], True, 100.0, 0, {"a": 1})
    assert [cell(value) for value in values] == [*("-", "-", "-", "yes", "100", "0", '{"a": 1}')]
    assert words_of(1_795_240_461_759, "updated_at").startswith("2026-11-2")
    assert words_of(1_795_240_461_759, "bytes") == "1795240461759"
    assert cell("a\n  b\tc") == "a b c"


def test_wide_characters_take_two_columns() -> None:
    assert width_of("日本") == 4
    assert width_of("e\u0301") == 1
    assert cut("日本語日本語", 7) == "日本語…"
    assert cut("short", 7) == "short"
