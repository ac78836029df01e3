"""Log lines: for machines in a pipe, for people on a terminal, harmless and bounded in both."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from console.logs import VALUE_LENGTH_MAX, set_up_logs
from tests.console.test_output import Terminal


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    """The root logger as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_pipe_gets_one_object_a_line_with_values_cut() -> None:
    """O5: values end at 512 characters, and an event cannot forge a second line."""
    out = io.StringIO()
    set_up_logs("info", stream=out)
    logging.getLogger("hub.test").info("= said\n{}", extra={"task_id": "t" * 2000, "n": 3})
    [line] = out.getvalue().splitlines()
    found = json.loads(line)
    assert (found["logger"], found["level"], found["n"]) == ("hub.test", "info", 3)
    assert found["event"] == "= said\\n{}"
    assert len(found["task_id"]) == VALUE_LENGTH_MAX


def test_a_terminal_gets_sentences() -> None:
    terminal = Terminal()
    set_up_logs("info", stream=terminal)
    logging.getLogger("hub.test").warning("! slow \x1b[2J", extra={"agent_id": "ada"})
    assert terminal.getvalue().endswith("warning: ! slow \\x1b[2J agent_id=ada\n")


def test_an_error_has_its_story_only_for_those_who_asked() -> None:
    for level, has_story in (("info", False), ("debug", True)):
        out = io.StringIO()
        set_up_logs(level, stream=out)
        try:
            int("no luck")
        except ValueError:
            logging.getLogger("hub.test").exception("! failed")
        found = json.loads(out.getvalue())
        assert found["error"].startswith("ValueError: invalid literal")
        assert ("trace" in found) is has_story
