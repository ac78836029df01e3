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


def parts_of(met: list[Module]) -> set[str]:
    """What these modules are made of: what they import, and inside one folder what that imports in turn."""
    by_name = {module.name: module for module in subjects()}
    found: set[str] = set()
    waiting = list(met)
    while waiting:
        whole = waiting.pop()
        for name in whole.imports():
            if name in by_name and name not in found:
                found.add(name)
                if name.rpartition(".")[0] == whole.name.rpartition(".")[0]:
                    waiting.append(by_name[name])
    return found


def test_every_module_has_a_test_that_knows_it() -> None:
    """Known is what a test imports or is named for, and the parts that such a module is made of."""
    tests = modules("tests")
    imported = {name for module in tests for name in module.imports()}
    named = {word for module in tests for word in named_for(module)}
    met = [
        module for module in subjects() if module.name in imported or {module.stem, f"{module.stem}s"} & named
    ]
    known = {module.name for module in met} | parts_of(met)
    unknown = [module.path for module in subjects() if module.name not in known]
    assert not unknown, f"import it in a test, or name a test module for it: {unknown}"
