"""The three laws, as far as a syntax tree can see them; import-linter sees the rest.

Pure code imports what decides and nothing that acts: it is told the time, and returns what must be done.
"""

import ast
import sys

from tests.house.tree import PACKAGES, Module, modules

# Modules of the standard library that only compute.
THINKING = {
    *("__future__", "abc", "bisect", "collections", "dataclasses", "enum", "functools", "heapq", "itertools"),
    *("hashlib", "math", "operator", "re", "struct", "types", "typing", "unicodedata"),
}
# What a pure module may know of ours and of others.
PURE_MAY_KNOW: dict[str, tuple[str, ...]] = {
    "protocol": ("protocol", "msgspec"),
    "hub.core": ("hub.core", "protocol", "msgspec"),
}
# The desk knows its neighbours, and whatever it knows is as pure as itself; a contract only declares.
DESK = "sidecar.desk"
DESK_MAY_KNOW = ("sidecar", "protocol", "msgspec")
DECLARES = "sidecar.runners.contract"
ACTS = {"print", "open", "input", "exec", "eval", "__import__", "breakpoint"}
CLOCKS = {"hub.clock", "sidecar.clock", "crews.clock"}


def is_below(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


def pure_modules() -> list[tuple[Module, tuple[str, ...]]]:
    around_the_desk = known_to_the_desk()
    at_the_desk = [(module, DESK_MAY_KNOW) for module in modules("sidecar") if module.name in around_the_desk]
    return at_the_desk + [
        (module, allowed)
        for module in modules("protocol", "hub")
        for parent, allowed in PURE_MAY_KNOW.items()
        if is_below(module.name, parent)
    ]


def known_to_the_desk() -> set[str]:
    """The desk, and every module of the sidecar that it imports, however far down."""
    by_name = {module.name: module for module in modules("sidecar")}
    found: set[str] = set()
    waiting = [DESK]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in found and name != DECLARES:
            found.add(name)
            waiting += by_name[name].imports()
    return found


def imported_roots(module: Module) -> list[str]:
    """What it imports, without the names that `from x import name` only takes out of x."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.append(node.module)
    return found


def test_pure_code_imports_only_what_decides() -> None:
    broken = [
        f"{module.path} imports {name}"
        for module, allowed in pure_modules()
        for name in imported_roots(module)
        if name.partition(".")[0] not in THINKING and not any(is_below(name, known) for known in allowed)
    ]
    assert not broken, f"pass the value in, or move the act to the shell: {broken}"


def test_pure_code_neither_waits_nor_acts() -> None:
    broken = []
    for module, _ in pure_modules():
        for node in ast.walk(module.tree):
            waits = isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
            acts = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ACTS
            if waits or acts:
                broken.append(f"{module.path}:{getattr(node, 'lineno', 0)}")
    assert not broken, f"return what must be done, and let the loop do it: {broken}"


def test_only_the_clock_modules_read_clocks() -> None:
    """Ruff bans `time.monotonic` and its family by name; `loop.time()` has no name to ban."""
    broken = [
        f"{module.path}:{node.lineno}"
        for module in modules(*PACKAGES)
        if module.name not in CLOCKS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and is_clock_call(node)
    ]
    assert not broken, f"take a Clock: {broken}"


def is_clock_call(node: ast.Call) -> bool:
    called = node.func
    if not (isinstance(called, ast.Attribute) and called.attr == "time" and not node.args):
        return False
    asked = called.value
    if isinstance(asked, ast.Call) and isinstance(asked.func, ast.Attribute):
        return asked.func.attr in {"get_running_loop", "get_event_loop"}
    return isinstance(asked, ast.Name | ast.Attribute) and ast.unparse(asked).endswith("loop")


def test_no_dice_are_rolled_outside_the_shell() -> None:
    """A seed must replay: whoever needs chance takes it as an argument or from the clock module."""
    dice = {"random", "secrets", "uuid"}
    broken = [
        f"{module.path} imports {name}"
        for module, _ in pure_modules()
        for name in imported_roots(module)
        if name in dice
    ]
    assert not broken, f"be told the number: {broken}"


def test_the_wire_needs_nothing_but_msgspec() -> None:
    """So that a sidecar's machine installs neither a database nor a web framework for it."""
    ours = {"protocol", "msgspec"} | set(sys.stdlib_module_names)
    broken = [
        f"{module.path} imports {name}"
        for module in modules("protocol")
        for name in imported_roots(module)
        if name.partition(".")[0] not in ours
    ]
    assert not broken, broken


def test_the_simulation_runs_the_shipped_code() -> None:
    """Only input and output are doubled: the deciders and the memory are the ones that ship."""
    shipped = {"hub.core.board", "sidecar.desk", "protocol.conversation", "sidecar.journal"}
    imported = {name for module in modules("tests/simulation") for name in module.imports()}
    assert shipped <= imported, f"tests/simulation must import {sorted(shipped - imported)}"


def test_no_test_sleeps() -> None:
    """L112: a test waits for a condition, and so needs neither luck nor a quiet machine.

    The programs that tests start as victims may sleep: that is their part.
    """
    broken = [
        f"{module.path}:{node.lineno}"
        for module in modules("tests")
        if module.path != "tests/waiting.py" and "/programs/" not in module.path
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"asyncio.sleep", "time.sleep"}
        if ast.unparse(node) != "asyncio.sleep(0)"
    ]
    assert not broken, f"wait with `until` of tests/waiting.py: {broken}"
