"""Every module of ours has a test that knows it, so that a file nobody tests cannot hide in a green run."""

from tests.house.tree import PACKAGES, Module, modules


def subjects() -> list[Module]:
    """The modules that hold something: a package's first page may be a docstring alone."""
    return [
        module
        for module in modules(*PACKAGES)
        if not (module.path.endswith("__init__.py") and len(module.tree.body) <= 1)
    ]


def named_for(module: Module) -> set[str]:
    """`test_cli_push` is named for `cli`, for `push` and for `cli_push`."""
    subject = module.stem.removeprefix("test_")
    return {subject, *subject.split("_")} if subject != module.stem else set()


def test_every_module_has_a_test_that_knows_it() -> None:
    """Known is what a test imports or is named for, and the parts that such a module is made of."""
    tests = modules("tests")
    imported = {name for module in tests for name in module.imports()}
    named = {word for module in tests for word in named_for(module)}
    met = [
        module for module in subjects() if module.name in imported or {module.stem, f"{module.stem}s"} & named
    ]
    parts = {name for module in met for name in module.imports()}
    unknown = [module.path for module in subjects() if module not in met and module.name not in parts]
    assert not unknown, f"import it in a test, or name a test module for it: {unknown}"
