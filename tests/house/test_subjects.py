"""Every module of ours has a test that knows it, so that a file nobody tests cannot hide in a green run."""

import re

from tests.house.tree import PACKAGES, Module, modules


def subjects() -> list[Module]:
    """The modules that hold something: a package's first page may be a docstring alone."""
    return [
        module
        for module in modules(*PACKAGES)
        if not (module.path.endswith("__init__.py") and len(module.tree.body) <= 1)
    ]


def test_every_module_has_a_test_that_knows_it() -> None:
    """Known is what a test imports, or what its file is named for: `test_cli_push` knows `push` and `cli`."""
    tests = modules("tests")
    imported = {name for module in tests for name in module.imports()}
    named = {
        word
        for module in tests
        if module.stem.startswith("test_")
        for word in re.split("_", module.stem.removeprefix("test_"))
    }
    named |= {module.stem.removeprefix("test_") for module in tests if module.stem.startswith("test_")}
    unknown = [
        module.path
        for module in subjects()
        if module.name not in imported and not {module.stem, module.stem.rstrip("s")} & named
    ]
    assert not unknown, f"import it in a test, or name a test module for it: {unknown}"
