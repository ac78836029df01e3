"""Runs that import everything for themselves: the same child module, the same face as a zygote."""

from pathlib import Path

import pytest

from sidecar.runners.cold import Cold
from sidecar.runners.prepared import CannotPrepare, PreparedPlugin
from tests.sidecar.forks import CHILD, Nursery, descriptors, no_more_descriptors_than, nursery_in
from tests.sidecar.runs import alive


def cold_of(nursery: Nursery, folder: Path) -> Cold:
    return Cold(
        folder / "cold", [nursery.plugins], nursery.environ, passed_on=("TEST_MARK", "PATH"), child=CHILD
    )


async def test_a_look_at_the_plugins_leaves_no_process(tmp_path: Path) -> None:
    async with nursery_in(tmp_path) as nursery:
        (nursery.plugins / "brief").mkdir()
        cold = cold_of(nursery, tmp_path)
        assert (await cold.start()).plugins == (PreparedPlugin("brief", "1"),)
        assert not alive(nursery.mark)
        (nursery.plugins / "added").mkdir()
        assert [each.name for each in (await cold.reload()).plugins] == ["added", "brief"]
        assert [each.name for each in cold.prepared.plugins] == ["added", "brief"]
        await cold.close()


async def test_a_cold_run_imports_for_itself_and_sees_the_same(tmp_path: Path) -> None:
    """The environment, the folder, the order; only the process that imported is its own."""
    async with nursery_in(tmp_path) as nursery:
        cold = cold_of(nursery, tmp_path)
        one = nursery.one("echo", cold.launcher, cold.argv)
        await one.run.begin()
        assert (await one.run.ended()).exit_code == 0
        seen = one.result
        assert seen["imported_by"] == seen["pid"] == seen["session"]
        assert seen["order"] == {"act": "echo"}
        assert {**seen["environ"], "LC_CTYPE": ""} == {**one.run.program.environment, "LC_CTYPE": ""}
        assert seen["cwd"] == str(nursery.folder)
        assert seen["threads"] == 1
        assert nursery.imports() == 1


async def test_relative_folders_are_meant_from_where_the_sidecar_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is somewhere else, and so is the process that imports."""
    monkeypatch.chdir(tmp_path)
    async with nursery_in(tmp_path) as nursery:
        (nursery.plugins / "brief").mkdir()
        cold = Cold(Path("cold"), ["plugins"], nursery.environ, child=CHILD)
        assert (await cold.start()).plugins == (PreparedPlugin("brief", "1"),)
        one = nursery.one("echo", cold.launcher, cold.argv)
        await one.run.begin()
        assert (await one.run.ended()).exit_code == 0
        assert nursery.imports() == 2


async def test_after_a_cold_run_no_grandchild_is_left(tmp_path: Path) -> None:
    """L75."""
    async with nursery_in(tmp_path) as nursery:
        cold = cold_of(nursery, tmp_path)
        one = nursery.one("succeed", cold.launcher, cold.argv)
        await one.run.begin()
        await one.family_is_up()
        one.run.say(b"{}")
        assert (await one.run.ended()).exit_code == 0
        assert not alive(nursery.mark)


async def test_an_import_that_fails_is_reported_cold_as_well(tmp_path: Path) -> None:
    """L83, L92."""
    async with nursery_in(tmp_path) as nursery:
        nursery.prepares("raise")
        before = descriptors()
        with pytest.raises(CannotPrepare, match="ZeroDivisionError"):
            await cold_of(nursery, tmp_path).start()
        await no_more_descriptors_than(before)
