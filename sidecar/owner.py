"""What the owner of the machine wants of the sidecar, looked up and kept while it works.

Owns looking at the switch (`sidecar pause`) and at the machine's load, and keeping the starts of runs for the
next process. Never judges: `house.py` does, when the desk asks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from sidecar.clock import SidecarClock, date_of
from sidecar.events import OwnerLooked
from sidecar.house import LOOK_EVERY_MS, House
from sidecar.house_rules import HouseRules
from sidecar.state import StateFolder

CORES: Final = os.cpu_count() or 1


class Owner:
    """One sidecar's owner, as far as this process can know."""

    def __init__(
        self,
        folder: StateFolder,
        rules: HouseRules,
        clock: SidecarClock,
        post: Callable[[OwnerLooked], None],
        load: Callable[[], tuple[float, float, float]] = os.getloadavg,
    ) -> None:
        self.house = House(rules, folder.kept_starts() if rules.runs_remembered else ())
        self._folder = folder
        self._clock = clock
        self._post = post
        self._measure = load
        self._seen = self._look()
        self._kept = list(self.house.starts)
        self.house.hear(self._seen.pause, self._seen.load)
        self.house.look(clock.now())

    @property
    def resting(self) -> str | None:
        """For people: why no work is taken, and until when."""
        found = self.house.resting
        if found is None:
            return None
        return found.reason if found.until is None else f"{found.reason} until {date_of(found.until)}"

    async def watch(self) -> None:
        """Tell the desk of what has changed, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_MS)
            now = self._look()
            if now != self._seen:
                self._seen = now
                self._post(now)

    def keep(self) -> None:
        """The starts of runs, for the next process. A kill may take those of the last second with it."""
        if self.house.starts != self._kept:
            self._kept = list(self.house.starts)
            self._folder.keep_starts(self._kept)

    def _look(self) -> OwnerLooked:
        load = round(self._measure()[0] / CORES, 2) if self.house.rules.load_max else 0.0
        return OwnerLooked(self._folder.kept_pause(), load)
