"""A marker written over the placeholder that a process was started with, read where everybody reads it."""

import subprocess
import sys
from pathlib import Path

from sidecar.runners.mark import PLACEHOLDER, mark

ROOT = Path(__file__).parents[2]
SOURCE = (
    "import sys; from sidecar.runners.mark import mark; "
    "print([mark(text) for text in sys.argv[1:]]); print(open('/proc/self/environ').read())"
)


def marked(*markers: str) -> tuple[str, list[str]]:
    """What each attempt said, and the environment that the process shows at last."""
    done = subprocess.run(
        [sys.executable, "-c", SOURCE, *markers],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "CREWHUB_RUN": PLACEHOLDER, "AFTER": "untouched"},
    )
    said, _, shown = done.stdout.partition("\n")
    return said, shown.strip("\n").split("\0")


def test_a_marker_of_the_placeholders_length_is_shown() -> None:
    said, shown = marked("a" * 32)
    assert said == "[True]"
    assert f"CREWHUB_RUN={'a' * 32}" in shown


def test_a_shorter_marker_is_shown_without_what_was_there() -> None:
    said, shown = marked("a" * 32, "bc")
    assert said == "[True, True]"
    assert "CREWHUB_RUN=bc" in shown


def test_a_longer_marker_is_refused_and_touches_nothing() -> None:
    said, shown = marked("a" * 33)
    assert said == "[False]"
    assert f"CREWHUB_RUN={PLACEHOLDER}" in shown
    assert "AFTER=untouched" in shown


def test_a_process_without_a_placeholder_cannot_be_marked() -> None:
    assert not mark("a" * 32)
