"""Every lesson that the project has taken on is proven by a test that names it (`L12`) in its docstring."""

import ast
import re

from tests.house.tree import ROOT, modules

# Taken on and not proven yet. This set only ever shrinks: proving a line means deleting it here.
NOT_YET: frozenset[str] = frozenset()


def lessons() -> dict[str, str]:
    lines = (ROOT / "tests/house/lessons.txt").read_text(encoding="utf-8").splitlines()
    return {number: sentence for number, _, sentence in (line.partition(" ") for line in lines)}


def named_in_tests() -> set[str]:
    """The lessons that the docstring of a test, or of a class of tests, names."""
    found: set[str] = set()
    for module in modules("tests"):
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if node.name.lower().startswith("test"):
                found |= set(re.findall(r"\bL\d+\b", ast.get_docstring(node) or ""))
    return found


def test_every_lesson_is_proven_by_a_test_that_names_it() -> None:
    missing = lessons().keys() - named_in_tests() - NOT_YET
    assert not missing, "prove it, and name it in the docstring: " + "; ".join(
        f"{number} {lessons()[number]}" for number in sorted(missing)
    )


def test_what_is_proven_is_no_longer_listed_as_open() -> None:
    proven = NOT_YET & named_in_tests()
    assert not proven, f"delete these from NOT_YET: {sorted(proven)}"
    assert lessons().keys() >= NOT_YET
