"""Which plugins a hub knows by its folders, and how soon it sees that they have changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.core.task import Now
from hub.runs.plugins import LOOK_EVERY_MS, Known, PluginsKnown, Unfit, folders_of
from plugins.loader import SHIPPED
from plugins.settings import UnfitSettings
from tests.hub.askers import DIGEST, make_plugin


class SetClock:
    """Says what the test says."""

    ms = 0

    def now(self) -> Now:
        return Now(self.ms, self.ms)

    async def sleep_until(self, due_ms: int) -> None:
        raise AssertionError("nobody waits here")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def known(tmp_path: Path, clock: SetClock) -> Iterator[PluginsKnown]:
    plugins = PluginsKnown((str(tmp_path),), clock)
    yield plugins
    plugins.close()


def test_shipped_is_the_folder_of_the_package() -> None:
    assert folders_of(("shipped", "here")) == [SHIPPED, Path("here").absolute()]
    assert (SHIPPED / DIGEST).is_dir()


async def test_a_plugin_is_known_by_its_documents_and_its_code_never_runs(
    known: PluginsKnown, tmp_path: Path
) -> None:
    make_plugin(tmp_path, "words")
    found = await known.named("words")
    assert isinstance(found, Known)
    assert found.plugin is not None
    assert found.plugin.name == "words"
    assert known.has_folders


async def test_a_folder_is_looked_at_again_when_some_seconds_have_passed(
    known: PluginsKnown, tmp_path: Path, clock: SetClock
) -> None:
    assert await known.named("words") is None
    make_plugin(tmp_path, "words")
    clock.ms = LOOK_EVERY_MS - 1
    assert await known.named("words") is None
    clock.ms = LOOK_EVERY_MS
    assert isinstance(await known.named("words"), Known)


async def test_what_is_wrong_with_a_folder_is_told_by_its_name(known: PluginsKnown, tmp_path: Path) -> None:
    make_plugin(tmp_path, "words", schema={"type": "list"})
    found = await known.named("words")
    assert isinstance(found, Unfit)
    assert found.sentence.startswith("words: settings.schema.json: ")


async def test_a_folder_that_is_not_there_has_no_plugins(tmp_path: Path, clock: SetClock) -> None:
    plugins = PluginsKnown((str(tmp_path / "nowhere"),), clock)
    assert await plugins.named("words") is None
    plugins.close()


async def test_a_hub_without_folders_knows_none(clock: SetClock) -> None:
    plugins = PluginsKnown((), clock)
    assert await plugins.named(DIGEST) is None
    assert not plugins.has_folders
    plugins.close()


async def test_settings_are_judged_by_the_schema_and_the_manifest(
    known: PluginsKnown, tmp_path: Path
) -> None:
    manifest = 'name: words\nversion: "1.0.0"\ndefault_config: {n: 5}\n'
    make_plugin(tmp_path, "words", manifest, {"type": "object", "required": ["n", "m"]})
    found = await known.named("words")
    assert isinstance(found, Known)
    assert found.plugin is not None
    await known.judge(found.plugin, {"m": 1}, "")
    with pytest.raises(UnfitSettings, match=r"settings\.m: is missing"):
        await known.judge(found.plugin, {"n": 1}, "")
