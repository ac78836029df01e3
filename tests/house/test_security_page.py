"""The page of what is defended: every requirement has its row, and every test that it names exists."""

import re

from tests.house.tree import ROOT, modules

REQUIRED = (
    *(f"A{n}" for n in range(1, 8)),
    *(f"W{n}" for n in range(1, 14)),
    *(f"P{n}" for n in range(1, 7)),
    *("O1", "O2", "O4", "O5", "O6", "O7"),
    *("B1", "B2", "B3"),
    *("X1", "X2", "X3", "X4", "X5", "X7"),
    *("H1", "H2", "H3"),
    *("Z1", "Z2", "Z3", "Z5", "Z6"),
    *(f"U{n}" for n in range(1, 8)),
)


def rows() -> dict[str, str]:
    """The third cell of each row, by its number."""
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| ([A-Z]\d+) \|.*\| (.*) \|$", text, re.MULTILINE))


def test_every_requirement_has_its_row() -> None:
    assert tuple(rows()) == REQUIRED


def test_every_row_names_its_test_or_says_that_it_comes_later() -> None:
    bare = [number for number, cell in rows().items() if "`test_" not in cell and cell != "later"]
    assert not bare


def test_every_test_that_the_page_names_exists() -> None:
    known = {function.name for module in modules("tests") for function in module.functions()}
    named = {name for cell in rows().values() for name in re.findall(r"`(test_\w+)`", cell)}
    assert not named - known, "rename it in docs/security.md, too"
