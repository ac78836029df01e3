"""The repository as the house tests see it: its files, and its Python modules as syntax trees.

Never imports what it looks at, so that a module which cannot be imported can still be judged.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "console", "streams", "hub", "sidecar", "plugins", "crews")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file: where it lies, what it is called, what it says."""

    path: str
    text: str

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def tree(self) -> ast.Module:
        return parsed(self.path, self.text)

    def functions(self) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def imports(self) -> Iterator[str]:
        """Every dotted name that this module imports; `from a import b` counts as `a` and as `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def parsed(path: str, text: str) -> ast.Module:
    return ast.parse(text, filename=path)


@cache
def files() -> tuple[str, ...]:
    """Every file that is, or would be, in the repository."""
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    answer = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(sorted(name for name in answer.stdout.split("\0") if name and (ROOT / name).is_file()))


def text(name: str) -> str:
    """What a file says. A picture says nothing: in its bytes any word may stand by chance."""
    return "" if name.endswith(".png") else (ROOT / name).read_bytes().decode("utf-8", "replace")


def place(name: str) -> str:
    """Where a file belongs: the tests that lie in a plugin's own folder are tests like others."""
    return f"tests/{name}" if re.match(r"plugins/[^/]+/tests/", name) else name


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """The Python modules below these folders of the repository."""
    below = tuple(f"{folder}/" for folder in folders)
    return tuple(
        Module(name, (ROOT / name).read_text(encoding="utf-8"))
        for name in files()
        if name.endswith(".py") and place(name).startswith(below)
    )


def everything() -> tuple[Module, ...]:
    """Our packages, the tests, the measurements, and `./dev`."""
    return (*modules(*PACKAGES, "tests", "bench"), Module("dev", (ROOT / "dev").read_text(encoding="utf-8")))


def words(name: str) -> list[str]:
    """`ABoardOf_two` is a, board, of, two."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*", name)]
