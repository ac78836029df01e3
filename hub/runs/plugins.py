"""The plugins that this hub knows: by their folders, and by what connected agents offer.

Owns the search of the folders, read again when somebody asks and some seconds have passed, and the check of
settings against a plugin's schema. Reads documents only: no code of a plugin is ever imported here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import Struct

from plugins import loader
from plugins.contract import Found, Plugin, Trouble
from plugins.documents import EXTRA_MISSING
from plugins.settings import check_settings

if TYPE_CHECKING:
    from hub.ports import Clock

SHIPPED: Final = "shipped"
"""Among the plugin folders: those that come with the package."""

LOOK_EVERY_MS: Final = 2_000
"""How soon a changed plugin is seen: a person saves a file and starts a run."""

T = TypeVar("T")


class Known(Struct, frozen=True, kw_only=True):
    """A plugin as far as this hub can tell."""

    plugin: Plugin | None = None
    """None: its settings cannot be checked here, and whoever runs it will."""


class Unfit(Struct, frozen=True, kw_only=True):
    """There is a folder of that name, and what is wrong with it."""

    sentence: str


def folders_of(words: Sequence[str]) -> list[Path]:
    """The plugin folders that the settings name."""
    return [loader.SHIPPED if word == SHIPPED else Path(word).expanduser().absolute() for word in words]


class PluginsKnown:
    """One thread reads and judges: settings that take long to judge keep the hub from nothing else."""

    def __init__(self, folders: Sequence[str], clock: Clock) -> None:
        self._folders = folders_of(folders)
        self._clock = clock
        self._found = Found()
        self._looked_ms: int | None = None
        self._looking = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "plugins")

    @property
    def has_folders(self) -> bool:
        return bool(self._folders)

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def named(self, name: str) -> Known | Unfit | None:
        """What the folders say of this name; None when they say nothing."""
        found = await self._look()
        plugin = found.plugins.get(name)
        if plugin is not None:
            return Known(plugin=plugin)
        trouble = next((one for one in found.troubles if Path(one.folder).name == name), None)
        return None if trouble is None else known_or_unfit(trouble)

    async def all(self) -> Found:
        """What lies in the folders: the good ones by name, and the others with the reason."""
        return await self._look()

    async def judge(self, plugin: Plugin, settings: Mapping[str, Any], description: str) -> None:
        """Raises `UnfitSettings`, which names each key that does not fit and never a value."""
        await self._apart(lambda: check_settings(plugin, settings, description))

    async def _look(self) -> Found:
        if not self._folders:
            return self._found
        async with self._looking:
            now_ms = self._clock.now().ms
            if self._looked_ms is None or now_ms >= self._looked_ms + LOOK_EVERY_MS:
                self._found = await self._apart(lambda: loader.find(self._folders))
                self._looked_ms = now_ms
        return self._found

    async def _apart(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def known_or_unfit(trouble: Trouble) -> Known | Unfit:
    """Without the reader of plugins' files a folder is taken for what it is called: a manifest has to have
    that name, and the sidecar that runs it reads it.
    """
    return Known() if EXTRA_MISSING in trouble.sentence else Unfit(sentence=trouble.sentence)
