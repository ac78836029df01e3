"""Every event has one publisher: facts after their commit, passing talk beside them, told in one place."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def callers_of(name: str) -> set[str]:
    """Modules of the hub that call a method of this name on something called feed."""
    found = set()
    for path in (ROOT / "hub").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr == name and "feed" in ast.unparse(node.func.value):
                found.add(path.relative_to(ROOT).as_posix())
    return found


def makers_of(name: str) -> set[str]:
    """Modules of the hub that construct a value of this type."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "hub").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    }


def test_an_event_is_published_by_one_module_alone() -> None:
    """L55: two publishers for one event."""
    assert callers_of("publish") == {"hub/telling.py"}
    assert callers_of("pass_by") == {"hub/telling.py"}


def test_a_line_of_the_log_is_made_in_one_place() -> None:
    """L55: what is logged is what is published, because nobody else can make a line."""
    assert makers_of("EventLogged") == {"hub/core/draft.py"}
    assert makers_of("PassBy") <= {"hub/core/draft.py", "hub/feed.py"}  # the feed: its own remarks
