"""The line at the foot of a terminal."""

from __future__ import annotations

import io

import pytest

from console.live import CLEAR, FootLine, bar, elapsed
from console.output import Output
from tests.console.test_output import Terminal


def test_a_bar_is_as_full_as_its_percentage() -> None:
    assert bar(0) == "[....................]   0 %"
    assert bar(50) == "[##########..........]  50 %"
    assert bar(250).count("#") == 20


def test_elapsed_time_grows_by_its_units() -> None:
    assert [elapsed(ms) for ms in (-5, 7_000, 750_000, 3_723_000)] == ["0:00", "0:07", "12:30", "1:02:03"]


def test_lines_are_written_above_and_the_foot_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    terminal = Terminal()
    output = Output(out=terminal)
    with FootLine(output, lambda: 9_000) as foot:
        foot.show(10)
        assert terminal.getvalue() == "", "nothing runs yet"
        foot.begin(2_000)
        foot.show(40, "12 tokens\x1b[2J")
        with foot.lifted():
            output.line("a step")
    said = terminal.getvalue()
    foot_line = "[########............]  40 %  0:07  12 tokens\\x1b[2J"
    assert f"{CLEAR}{foot_line}{CLEAR}a step\n{CLEAR}{foot_line}{CLEAR}" in said
    assert said.endswith(CLEAR)


def test_a_pipe_sees_no_foot_line() -> None:
    out = io.StringIO()
    output = Output(out=out)
    with FootLine(output, lambda: 0) as foot:
        foot.begin(0)
        foot.show(50, "half")
        with foot.lifted():
            output.line("a step")
    assert out.getvalue() == "a step\n"
