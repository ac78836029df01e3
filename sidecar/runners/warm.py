"""The warm source of crews: a zygote that has imported everything, replaced when lost, renewed on request.

Owns that there is one. It is replaced when somebody needs it, or at once where `keep` runs; each start that
fails, and each zygote that dies before it was of use, makes the next wait longer. Runs that have begun do not
depend on it. Linux only, with process descriptors: `is_possible` says so, and `cold.py` is the other way.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from sidecar.clock import SidecarClock
from sidecar.runners.forking import Forked, Forker, NotThere
from sidecar.runners.handover import PASSED_ON
from sidecar.runners.importing import START_MS, Importer, Recipe
from sidecar.runners.prepared import CannotPrepare, Prepared

CHILD: Final = "crews.child"
"""The module that a zygote imports; named, because the sidecar itself never imports it."""

WAIT_MS: Final = START_MS + 10_000
"""How long a run waits for a zygote that is being replaced: as long as one start may take."""

REST_FIRST_MS: Final = 500
REST_MOST_MS: Final = 30_000
"""Between two starts, doubling: a zygote that cannot live takes a core for seconds each time."""

LEAVING: Final = "the sidecar is leaving"


def is_possible() -> bool:
    """Whether this system can fork a run and hold on to its process."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False  # before 5.3, or a sandbox that does not know the call
    return True


class Forks:
    """The launcher: each guard is a fork of the zygote of the moment."""

    def __init__(self, zygote: Zygote) -> None:
        self._zygote = zygote

    async def start(self, control_fd: int, given: Iterable[int]) -> Forked:
        return await self._zygote.fork(control_fd, list(given))


class Zygote:
    """One zygote at a time. `start` first, `close` last; any number of runs between."""

    argv: Final = ()
    """A forked run has no program of its own."""

    def __init__(
        self,
        folder: Path,
        folders: Sequence[str | Path],
        environ: Mapping[str, str],
        *,
        passed_on: Sequence[str] = PASSED_ON,
        child: str = CHILD,
        clock: SidecarClock | None = None,
    ) -> None:
        self.launcher: Final = Forks(self)
        self.prepared = Prepared()
        """What the zygote of the moment said of the plugins."""
        self._recipe = Recipe.of(child, folders, folder, environ, passed_on)
        self._clock = clock or SidecarClock()
        self._turn = asyncio.Lock()
        self._forker: Forker | None = None
        self._importing: set[Importer] = set()
        self._closing = asyncio.Event()
        self._lost = 0  # zygotes in a row that could not start, or died without a fork
        self._failed = 0
        self._failure: CannotPrepare | None = None  # the last one

    @property
    def pid(self) -> int | None:
        """Of the zygote of the moment; None when there is none."""
        return None if self._forker is None or self._forker.is_gone else self._forker.pid

    async def start(self) -> Prepared:
        """Import everything. CannotPrepare, an OSError, when that fails; who asks next tries again."""
        return (await self._living()).prepared

    async def reload(self) -> Prepared:
        """Import everything once more, in a new zygote beside the old one, which forks until then. When the
        new one cannot be had the old one stays, and CannotPrepare says why.
        """
        new = await self._begin()
        async with self._turn:
            if self._closing.is_set():
                await new.end()
                raise CannotPrepare(LEAVING)
            old = self._take(new)
            self._lost = 0
        if old is not None:
            await old.end()
        return new.prepared

    async def keep(self) -> None:
        """Replace a zygote as soon as it is lost, until cancelled or closed; for the sidecar's task group."""
        while not self._closing.is_set():
            if self._forker is not None and not self._forker.is_gone:
                await self._forker.gone()
                continue
            try:
                await self._living()
            except CannotPrepare:
                continue  # the rest before the next start grows

    async def fork(self, control_fd: int, given: Sequence[int]) -> Forked:
        """A guard for one run, after a wait for a new zygote if need be. CannotPrepare when there is none."""
        try:
            async with asyncio.timeout(WAIT_MS / 1000):
                while True:
                    forker = await self._living()
                    try:
                        await forker.make_sure()
                        guard = await forker.fork(control_fd, given)
                    except NotThere:
                        continue
                    self._lost = 0
                    return guard
        except TimeoutError:
            raise CannotPrepare(f"no process for crews within {WAIT_MS // 1000} s") from None

    async def close(self) -> None:
        """Nothing of it is left afterwards; runs that are on end with their own guards."""
        self._closing.set()
        for importer in self._importing:
            importer.kill()
        async with self._turn:
            old, self._forker = self._forker, None
        if old is not None:
            await old.end()

    # -- having one

    async def _living(self) -> Forker:
        """The zygote, or a new one. Whoever has waited for a start shares its failure."""
        failed = self._failed
        async with self._turn:
            if self._closing.is_set():
                raise CannotPrepare(LEAVING)
            if self._forker is not None and not self._forker.is_gone:
                return self._forker
            if self._failure is not None and self._failed != failed:
                raise CannotPrepare(self._failure.sentence, self._failure.traceback)
            return await self._replace()

    async def _replace(self) -> Forker:
        old, self._forker = self._forker, None
        if old is not None:
            self._lost += 1
            await old.end()
        await self._rest()
        try:
            new = await self._begin()
        except CannotPrepare as trouble:
            self._lost += 1
            self._failed += 1
            self._failure = trouble
            raise
        self._take(new)
        return new

    async def _rest(self) -> None:
        """The first one that is lost is replaced at once."""
        if self._lost > 1:
            rest_ms = min(REST_FIRST_MS * 2 ** (self._lost - 2), REST_MOST_MS)
            await self._clock.wait(self._closing, self._clock.now().mono_ms + rest_ms)

    async def _begin(self) -> Forker:
        if self._closing.is_set():
            raise CannotPrepare(LEAVING)
        importer = Importer(self._recipe)
        self._importing.add(importer)
        try:
            return await Forker.begin(importer)
        finally:
            self._importing.discard(importer)

    def _take(self, new: Forker) -> Forker | None:
        old, self._forker = self._forker, new
        self.prepared = new.prepared
        return old
