"""The plugins that this sidecar offers right now: found in its folders, imported by the crews' process.

Owns which are good, why the others are not, and noticing that a folder has changed: every two seconds, and at
once when somebody asks. Never imports a plugin's code or crewai: the process behind `Source` does, and a
plugin is offered only when both have found it in order.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from plugins.contract import Found, Trouble
from plugins.loader import SHIPPED as SHIPPED_FOLDER
from plugins.loader import find
from protocol import limits
from sidecar.clock import SidecarClock
from sidecar.errors import SettingsError, SidecarError
from sidecar.forms import forms_of
from sidecar.runners.prepared import CannotPrepare, Prepared
from sidecar.settings import SHIPPED

LOOK_EVERY_MS: Final = 2_000
"""How soon a changed plugin is seen: a person saves a file and pushes a task."""

AGAIN_MS: Final = 60_000
"""After a load that failed as a whole: the process for it may have been killed, or the machine was full. It
takes a core for seconds, so not sooner."""

ENTRIES_MAX: Final = 10_000
"""Files of all plugin folders that are watched; a bigger tree is somebody's home, given by mistake. What lies
beyond is loaded, and loaded anew when the sidecar is told to (SIGHUP)."""

NEEDS_EXTRA: Final = "plugins need crewai, which is not installed. Next: pip install 'crewhub[crewai]'"

log = logging.getLogger("sidecar.plugins")


class Source(Protocol):
    """Where runs of crews come from: a warm process, or a cold start for each run."""

    @property
    def prepared(self) -> Prepared:
        """What the process of the moment said of the plugins: another one after it was lost and replaced."""
        ...

    async def start(self) -> Prepared:
        """Import crewai and the plugins. CannotPrepare when that cannot be done at all."""
        ...

    async def reload(self) -> Prepared:
        """The same once more, for folders that have changed; runs that are on go on."""
        ...

    async def close(self) -> None:
        """Nothing of it is left afterwards."""
        ...


class Offer(NamedTuple):
    """What a card says of the plugins."""

    plugins: tuple[str, ...]
    capabilities: tuple[str, ...]
    versions: Mapping[str, str] = MappingProxyType({})
    forms: bytes = b""


def folders_of(words: Sequence[str]) -> list[Path]:
    """The plugin folders that the settings name; `shipped` is the package's own."""
    return [SHIPPED_FOLDER if word == SHIPPED else Path(word).expanduser().absolute() for word in words]


def need_crewai() -> None:
    """Refuse at once, and in words, where only the thin sidecar is installed."""
    if importlib.util.find_spec("crewai") is None:
        raise SettingsError(NEEDS_EXTRA)


class PluginsAtHand:
    """One set of plugin folders. `begin` loads them, `watch` keeps them up to date."""

    def __init__(
        self,
        folders: Sequence[Path],
        source: Source,
        clock: SidecarClock,
        say: Callable[[str], None],
        *,
        keep: Callable[[], Awaitable[None]] | None = None,
        look_every_ms: int = LOOK_EVERY_MS,
    ) -> None:
        self.found = Found()
        """What is offered, and why the rest is not."""
        self.crewai = ""
        self.is_loaded = False
        self.offered: Callable[[Found], None] = lambda found: None
        """Called with each new `found`, before anybody is told of it."""
        self.changed: Callable[[Offer], None] = lambda offer: None
        """Called when a card would say something else than before."""
        self._folders = tuple(folders)
        self._source = source
        self._clock = clock
        self._say = say
        self._keep = keep
        self._look_every_ms = look_every_ms
        self._asked = asyncio.Event()
        self._seen: Sight = ()
        self._imported = Prepared()
        self._forms = b""
        self._again_ms: int | None = None

    @property
    def offer(self) -> Offer:
        """Names and capabilities, each once, and no more than a card holds."""
        plugins = self.found.plugins
        capabilities = dict.fromkeys(
            word for plugin in plugins.values() for word in plugin.manifest.capabilities
        )
        most = limits.CAPABILITIES_MAX
        versions = {name: plugins[name].manifest.version for name in tuple(plugins)[:most]}
        return Offer(tuple(versions), tuple(capabilities)[:most], versions, self._forms)

    @property
    def listed(self) -> list[str]:
        """Names with versions, for people."""
        return [f"{name} {plugin.manifest.version}" for name, plugin in self.found.plugins.items()]

    async def begin(self) -> None:
        """Load everything for the first time. Plugins may be broken, but the process for them must start."""
        self._seen = await asyncio.to_thread(sight_of, self._folders)
        found = await asyncio.to_thread(find, self._folders)
        try:
            imported = await self._source.start()
        except CannotPrepare as error:
            words = f"crews cannot be started: {error}\n{error.traceback}"
            raise SidecarError(words.rstrip()) from error
        self._take(found, imported)
        self.is_loaded = True

    async def close(self) -> None:
        """End the process that has imported the plugins."""
        await self._source.close()

    def look_again(self) -> None:
        """Load everything anew, whether a file has changed or not."""
        self._asked.set()

    async def watch(self) -> None:
        """Look for changes, and keep the process for crews alive, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._keep is not None:
                tasks.create_task(_kept(self._keep))
            await self._watch()

    async def _watch(self) -> None:
        """A folder is loaded when it has stopped changing: nobody wants half of what is being copied."""
        before = self._seen
        while True:
            await self._clock.wait(self._asked, self._clock.now().mono_ms + self._look_every_ms)
            is_asked = self._asked.is_set() or self._is_due_again()
            self._asked.clear()
            now = await asyncio.to_thread(sight_of, self._folders)
            if is_asked or now == before != self._seen:
                self._seen = now
                await self._load_again()
            elif self._source.prepared != self._imported:
                self._renew(await asyncio.to_thread(find, self._folders), self._source.prepared)
            before = now

    def _is_due_again(self) -> bool:
        return self._again_ms is not None and self._clock.now().mono_ms >= self._again_ms

    async def _load_again(self) -> None:
        self._again_ms = None
        found = await asyncio.to_thread(find, self._folders)
        try:
            imported = await self._source.reload()
        except CannotPrepare as error:
            self._again_ms = self._clock.now().mono_ms + AGAIN_MS
            self._tell(f"the plugins could not be loaded again, the old ones stay: {error}", error.traceback)
            return
        self._renew(found, imported)

    def _renew(self, found: Found, imported: Prepared) -> None:
        before = self.offer
        self._take(found, imported)
        if self.offer != before:
            self.changed(self.offer)

    def _take(self, found: Found, imported: Prepared) -> None:
        """Offer what both have found in order, and report each trouble that is new."""
        names = {one.name for one in imported.plugins}
        plugins = {name: plugin for name, plugin in sorted(found.plugins.items()) if name in names}
        troubles = each_once([*found.troubles, *imported.troubles])
        known, self.found = self.found.troubles, Found(plugins=plugins, troubles=troubles)
        self.crewai, self._imported = imported.crewai, imported
        self._forms = forms_of(plugins)
        self.offered(self.found)
        for trouble in troubles:
            if trouble not in known:
                self._tell(f"a plugin is not offered: {trouble.sentence}", trouble.traceback)
        self._tell_offer()

    def _tell_offer(self) -> None:
        words = ", ".join(self.listed) or "none is in order"
        log.info("plugins loaded", extra={"plugins": words, "troubles": len(self.found.troubles)})
        self._say(f"plugins: {words} (crewai {self.crewai})" if self.crewai else f"plugins: {words}")

    def _tell(self, sentence: str, traceback: str = "") -> None:
        log.error(sentence)
        self._say(f"{sentence}\n{traceback.rstrip()}" if traceback else sentence)


async def _kept(keep: Callable[[], Awaitable[None]]) -> None:
    await keep()


def each_once(troubles: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """Both look at the same documents: a folder's trouble is told once, and with its traceback if any."""
    found: dict[str, Trouble] = {}
    for trouble in troubles:
        place = trouble.folder or trouble.sentence
        if place not in found or (trouble.traceback and not found[place].traceback):
            found[place] = trouble
    return tuple(found.values())


# --- what a folder looks like -------------------------------------------------------------------------------


Sight = tuple[tuple[str, int, int], ...]
"""Each file's path, time and size."""


def sight_of(folders: Sequence[Path]) -> Sight:
    """What the folders hold, by names, times and sizes. What Python writes beside its sources is no change,
    and neither is a hidden file.
    """
    seen: list[tuple[str, int, int]] = []
    for folder in folders:
        for path, found in _files(str(folder)):
            if len(seen) >= ENTRIES_MAX:
                return tuple(seen)
            seen.append((path, found.st_mtime_ns, found.st_size))
    return tuple(seen)


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """All files below, in order; whatever vanishes or is closed to us is left out. Follows no link to a
    folder: it may lead in a circle.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError:
        return
    for name in names:
        if name.startswith(".") or name == "__pycache__":
            continue
        path = os.path.join(folder, name)
        try:
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                found = os.stat(path)
                if stat.S_ISDIR(found.st_mode):
                    continue
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from _files(path)
        else:
            yield path, found
