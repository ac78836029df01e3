"""What a terminal and a log may be given of strangers' text."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.harmless import harmless, harmless_line
from console.logs import set_up_logs


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_escapes_and_overrides_are_shown_instead_of_obeyed() -> None:
    assert harmless("\x1b[2Jred\x07\x9b\u202e\x7f") == "\\x1b[2Jred\\x07\\x9b\\u202e\\x7f"
    assert harmless("plain\n\ttext äö 😀") == "plain\n\ttext äö 😀"
    assert harmless_line("two\nlines\t!", 6) == "two\\n…"


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_no_text_leaves_anything_a_terminal_would_obey(text: str) -> None:
    shown = harmless(text)
    assert all(char in "\n\t" or (ord(char) >= 0x20 and not 0x7F <= ord(char) <= 0x9F) for char in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode()


def test_a_log_line_is_json_and_its_values_are_cut() -> None:
    stream = io.StringIO()
    set_up_logs(stream=stream)
    logging.getLogger("part").warning("it broke\x1b", extra={"task_id": "t" * 2_000, "n": 3, "none": None})
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"], line["event"], line["n"]) == (
        "warning",
        "part",
        "it broke\\x1b",
        3,
    )
    assert len(line["task_id"]) == 512


@pytest.mark.parametrize(("level", "has_trace"), [("info", False), ("debug", True)])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_is_only_for_those_who_asked(level: str, has_trace: bool, as_json: bool) -> None:
    stream = io.StringIO()
    set_up_logs(level, as_json=as_json, stream=stream)
    try:
        int("bad")
    except ValueError:
        logging.getLogger("part").exception("failed", extra={"n": 1})
    assert ("Traceback" in stream.getvalue()) is has_trace
    assert "bad" in stream.getvalue()
