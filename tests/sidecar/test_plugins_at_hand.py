"""Plugins that are found, imported by a real process, offered, changed and taken away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from plugins.contract import Found
from protocol import limits
from sidecar import plugins_at_hand
from sidecar.clock import SidecarClock
from sidecar.errors import SidecarError
from sidecar.plugins_at_hand import Offer, PluginsAtHand, each_once, folders_of, sight_of
from sidecar.runners.prepared import CannotPrepare, Prepared, PreparedPlugin
from sidecar.runners.warm import Zygote
from tests.sidecar.pluginyard import CHILD, Yard
from tests.waiting import until

PATIENCE_S = 60.0


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path / "plugins")


class Hand:
    """Plugins at hand, and all that was said and offered."""

    def __init__(self, yard: Yard, folder: Path, clock: SidecarClock) -> None:
        self.said: list[str] = []
        self.offered: list[Found] = []
        self.cards: list[Offer] = []
        self.source = Zygote(folder, [yard.folder], {}, child=CHILD)
        self.plugins = PluginsAtHand(
            [yard.folder], self.source, clock, self.said.append, keep=self.source.keep, look_every_ms=20
        )
        self.plugins.offered = self.offered.append
        self.plugins.changed = self.cards.append

    def has_said(self, words: str) -> bool:
        return any(words in sentence for sentence in self.said)


@asynccontextmanager
async def at_hand(yard: Yard, folder: Path) -> AsyncIterator[Hand]:
    """Loaded, and watched until the end."""
    hand = Hand(yard, folder / "imports", SidecarClock())
    try:
        await hand.plugins.begin()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(hand.plugins.watch())
            yield hand
            watching.cancel()
    finally:
        await hand.plugins.close()


async def offers(hand: Hand, *names: str) -> None:
    await until(lambda: hand.plugins.offer.plugins == names, f"{names} are offered", PATIENCE_S)


def offered(capabilities: tuple[str, ...], versions: dict[str, str]) -> Offer:
    """What a card says of the plugins of a yard, whose settings may be anything."""
    forms = {name: {"type": "object", "default": {}} for name in versions}
    return Offer(tuple(versions), capabilities, versions, json.dumps(forms, separators=(",", ":")).encode())


async def test_what_is_in_order_is_offered_and_the_rest_is_named_with_its_traceback(
    yard: Yard, tmp_path: Path
) -> None:
    """L83"""
    yard.write("good", version="1.2.0", capabilities=("python", "briefing"))
    yard.write("also-good", capabilities=("python",))
    yard.write("raises", above="raise ValueError('no such star')")
    (yard.write("unfit") / "plugin.yaml").write_text("name: unfit\nversion: [1]\n")
    async with at_hand(yard, tmp_path) as hand:
        versions = {"also-good": "1.0.0", "good": "1.2.0"}
        assert hand.plugins.offer == offered(("python", "briefing"), versions)
        assert hand.plugins.listed == ["also-good 1.0.0", "good 1.2.0"]
        assert {Path(trouble.folder).name for trouble in hand.offered[-1].troubles} == {"raises", "unfit"}
        assert hand.has_said("ValueError: no such star\nTraceback")
        assert hand.has_said("unfit: plugin.yaml: version")
        assert hand.has_said("plugins: also-good 1.0.0, good 1.2.0 (crewai none)")


async def test_a_plugin_that_comes_changes_breaks_or_goes_is_noticed(yard: Yard, tmp_path: Path) -> None:
    yard.write("first")
    async with at_hand(yard, tmp_path) as hand:
        yard.write("second", capabilities=("late",))
        await offers(hand, "first", "second")
        new = offered(("late",), {"first": "1.0.0", "second": "1.0.0"})
        await until(lambda: hand.cards == [new], "the card is new")
        yard.write("second", version="2.0.0", capabilities=("late",))
        await until(lambda: "second 2.0.0" in hand.plugins.listed, "the change is seen", PATIENCE_S)
        await until(lambda: len(hand.cards) == 2, "the hub is told of the new version")
        assert hand.cards[1].versions == {"first": "1.0.0", "second": "2.0.0"}
        yard.write("second", above="import nothing_of_that_name")
        await offers(hand, "first")
        assert hand.has_said("nothing_of_that_name")
        yard.remove("first")
        yard.write("second", version="3.0.0")
        await offers(hand, "second")


async def test_a_process_that_was_replaced_may_offer_other_plugins_than_the_lost_one(
    yard: Yard, tmp_path: Path
) -> None:
    """What a plugin imports from elsewhere may have gone meanwhile, and no folder of plugins has changed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    yard.write("first")
    yard.write("leans", above=f"open({str(elsewhere)!r})")
    async with at_hand(yard, tmp_path) as hand:
        assert hand.plugins.offer.plugins == ("first", "leans")
        elsewhere.unlink()
        assert hand.source.pid is not None
        os.kill(hand.source.pid, signal.SIGKILL)
        await offers(hand, "first")
        assert hand.has_said("FileNotFoundError")
        assert hand.cards == [offered((), {"first": "1.0.0"})]


async def test_an_import_that_fails_as_a_whole_keeps_what_there_is(yard: Yard, tmp_path: Path) -> None:
    yard.write("first")
    async with at_hand(yard, tmp_path) as hand:
        (yard.folder / "refuse").touch()
        await until(lambda: hand.has_said("the old ones stay"), "the failure is told", PATIENCE_S)
        assert hand.has_said("this folder is not for sale")
        assert hand.plugins.offer.plugins == ("first",)
        (yard.folder / "refuse").unlink()
        yard.write("second")
        await offers(hand, "first", "second")


async def test_an_import_that_fails_at_the_start_ends_it_and_says_why(yard: Yard, tmp_path: Path) -> None:
    """L92"""
    (yard.folder / "refuse").touch()
    with pytest.raises(SidecarError, match="this folder is not for sale") as caught:
        async with at_hand(yard, tmp_path):
            pass
    assert "Traceback" in str(caught.value)


async def test_a_folder_that_is_not_there_is_told_and_loaded_when_it_comes(tmp_path: Path) -> None:
    """A volume may be mounted late. L72"""
    yard = Yard(tmp_path / "late")
    yard.folder.rmdir()
    async with at_hand(yard, tmp_path) as hand:
        assert hand.has_said("there is no such folder")
        assert hand.has_said("none is in order")
        yard.folder.mkdir()
        yard.write("first")
        await offers(hand, "first")


# --- when it looks -----------------------------------------------------------------------------------------


class Looks(SidecarClock):
    """A clock that lets one look happen at a time, when the test says so."""

    def __init__(self) -> None:
        self._go = asyncio.Semaphore(0)
        self.waits = 0

    async def wait(self, event: asyncio.Event, until_ms: int | None) -> None:
        self.waits += 1
        await self._go.acquire()

    async def one(self) -> None:
        before = self.waits
        self._go.release()
        await until(lambda: self.waits > before, "the look is over")


class Counted:
    """A source that counts, and finds every plugin in order."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.loads = 0
        self.failures = 0
        self.prepared = Prepared()

    async def start(self) -> Prepared:
        self.loads += 1
        if self.failures:
            self.failures -= 1
            raise CannotPrepare("killed")
        names = [path.name for path in self.yard.folder.iterdir()]
        self.prepared = Prepared(plugins=tuple(PreparedPlugin(name) for name in names))
        return self.prepared

    async def reload(self) -> Prepared:
        return await self.start()

    async def close(self) -> None:
        """Nothing is open."""


Act = Callable[[PluginsAtHand, Counted, Looks], Awaitable[None]]


async def looking(yard: Yard, act: Act) -> None:
    source, clock = Counted(yard), Looks()
    plugins = PluginsAtHand([yard.folder], source, clock, lambda sentence: None)
    await plugins.begin()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(plugins.watch())
        await until(lambda: clock.waits == 1, "it waits for its first look")
        await act(plugins, source, clock)
        watching.cancel()


async def test_a_folder_is_loaded_when_it_has_stopped_changing(yard: Yard) -> None:
    """Nobody wants half of a plugin that is being copied."""
    yard.write("first")

    async def act(plugins: PluginsAtHand, source: Counted, clock: Looks) -> None:
        for size in range(3):
            (yard.folder / "first" / "notes").write_text("x" * size)
            await clock.one()
            assert source.loads == 1
        await clock.one()
        assert source.loads == 2
        for _ in range(3):
            await clock.one()
        assert source.loads == 2, "what has not changed is not loaded again"

    await looking(yard, act)


async def test_whoever_asks_is_obeyed_at_once_and_once(yard: Yard) -> None:
    async def act(plugins: PluginsAtHand, source: Counted, clock: Looks) -> None:
        plugins.look_again()
        await clock.one()
        assert source.loads == 2
        await clock.one()
        assert source.loads == 2

    await looking(yard, act)


async def test_a_load_that_failed_as_a_whole_is_tried_again_but_not_at_once(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may have been killed for want of memory: the changed plugin must not wait for a change."""

    async def act(plugins: PluginsAtHand, source: Counted, clock: Looks) -> None:
        source.failures = 2
        plugins.look_again()
        await clock.one()
        await clock.one()
        assert source.loads == 2, "it has just failed"
        monkeypatch.setattr(plugins_at_hand, "AGAIN_MS", 0)
        plugins.look_again()
        await clock.one()
        await clock.one()
        assert source.loads == 4
        await clock.one()
        assert source.loads == 4, "it is loaded"

    await looking(yard, act)


async def test_a_card_holds_no_more_than_the_wire_allows(yard: Yard) -> None:
    for number in range(limits.CAPABILITIES_MAX + 1):
        yard.write(f"p{number:04}", capabilities=(f"c{number}", "same"))

    async def act(plugins: PluginsAtHand, source: Counted, clock: Looks) -> None:
        assert len(plugins.found.plugins) == limits.CAPABILITIES_MAX + 1
        assert len(plugins.offer.plugins) == limits.CAPABILITIES_MAX
        assert len(plugins.offer.capabilities) == limits.CAPABILITIES_MAX

    await looking(yard, act)


# --- what a folder looks like ------------------------------------------------------------------------------


def test_only_what_a_person_changes_is_a_change(yard: Yard) -> None:
    plugin = yard.write("first")
    before = sight_of([yard.folder])
    (plugin / "crew" / "__pycache__").mkdir()
    (plugin / "crew" / "__pycache__" / "crew.pyc").touch()
    (plugin / ".crew.py.swp").touch()
    assert sight_of([yard.folder]) == before
    (plugin / "crew" / "crew.py").write_text("# another length")
    assert sight_of([yard.folder]) != before


def test_a_tree_without_end_is_looked_at_to_a_bound(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = yard.write("first")
    (plugin / "circle").symlink_to(yard.folder)
    (plugin / "nowhere").symlink_to(plugin / "gone")
    whole = sight_of([yard.folder])
    assert {Path(path).name for path, _, _ in whole} == {"plugin.yaml", "settings.schema.json", "crew.py"}
    monkeypatch.setattr(plugins_at_hand, "ENTRIES_MAX", 2)
    assert sight_of([yard.folder]) == whole[:2]


def test_the_word_shipped_means_the_plugins_that_come_along() -> None:
    (folder, other) = folders_of(["shipped", "relative/folder"])
    assert (folder / "loader.py").is_file()
    assert other.is_absolute()


def test_a_trouble_that_both_have_seen_is_told_once() -> None:
    from plugins.contract import Trouble

    short = Trouble(folder="/a", sentence="a: broken")
    long = Trouble(folder="/a", sentence="a: broken in line 3", traceback="Traceback …")
    general = (Trouble(folder="", sentence="one"), Trouble(folder="", sentence="two"))
    assert each_once([short, long, *general]) == (long, *general)
