"""Sizes, names and first lines: what a reader meets before the first idea."""

import ast
import re

from tests.house.tree import PACKAGES, everything, files, modules, text, words

LINES_MAX = 400
FUNCTION_LINES_MAX = 60
DOCSTRING_LINES_MAX = 8
# A table one can read aloud deserves an essay above it, and exceptions the drawing of their tree.
ESSAYS = ("hub/core/lifecycle.py", "/errors.py")
EMPTY_WORDS = {
    *("manager", "managers", "handler", "handlers", "helper", "helpers", "util", "utils", "common", "base"),
    *("data", "info", "service", "services", "do", "misc"),
}
# Names that a library calls, and so not ours to choose.
GIVEN_NAMES = {"do_GET", "do_POST", "data_received", "DataError"}


def test_a_module_has_at_most_400_lines() -> None:
    long = [f"{m.path}: {n}" for m in everything() if (n := len(m.text.splitlines())) > LINES_MAX]
    assert not long, f"move one of its nouns into a module of its own: {long}"


def test_a_function_has_at_most_60_lines() -> None:
    long = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in everything()
        for node in module.functions()
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long, f"name its steps and make each a function: {long}"


def test_every_module_says_what_it_owns() -> None:
    bad = [
        module.path
        for module in everything()
        if module.text and not module.path.endswith(ESSAYS)
        if not 1 <= len((ast.get_docstring(module.tree) or "").splitlines()) <= DOCSTRING_LINES_MAX
    ]
    assert not bad, f"open it with one to eight lines: what it owns, what it never does: {bad}"


def test_no_name_is_an_empty_word() -> None:
    found = []
    for module in modules(*PACKAGES):
        names = [(module.name, 1)]
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.append((node.name, node.lineno))
        for name, line in names:
            if name not in GIVEN_NAMES and EMPTY_WORDS & set(words(name)):
                found.append(f"{module.path}:{line} {name}")
    assert not found, f"say which noun or verb it is (board, ledger, link, desk, …): {found}"


def test_every_exception_from_a_rule_carries_its_reason() -> None:
    marker = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma:)(?P<rest>.*)")
    reason = re.compile(
        r"(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*|\[[a-z-]+(?:,\s*[a-z-]+)*\]|\s*no cover)\s+\S.{8,}"
    )
    bare = []
    for module in everything():
        if module.path == "tests/house/test_tidy.py":
            continue
        for number, line in enumerate(module.text.splitlines(), 1):
            found = marker.search(line)
            if found and not reason.match(found["rest"]):
                bare.append(f"{module.path}:{number}")
    assert not bare, f"name the rule, then two spaces and why it does not hold here: {bare}"


def test_every_test_is_a_sentence() -> None:
    short = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in modules("tests")
        for node in module.functions()
        if node.name.startswith("test_") and len(node.name.split("_")) < 4
    ]
    assert not short, f"name the subject and what it does, so that a failing name says what broke: {short}"


def test_no_work_is_left_in_a_comment() -> None:
    left = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
    found = [name for name in files() if left.search(text(name)) and not name.endswith(".lock.txt")]
    assert not found, f"do it, or write an issue: {found}"
