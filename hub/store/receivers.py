"""A place outside that is told of events, as it lies in its row.

Owns the filter and what is kept of its keys: never a key itself, only what one is made of with the hub's
pepper. Pure: reads no database and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

EVERYTHING: Final = ("*",)


class Wanted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of which events; all that is given must hold. One about no task has neither plugin nor labels."""

    events: tuple[str, ...] = EVERYTHING
    """Names of events; `*` stands for any letters."""
    agent_id: str | None = None
    plugin: str | None = None
    labels: dict[str, str] = {}

    @property
    def asks_for_task(self) -> bool:
        return self.plugin is not None or bool(self.labels)

    def may_fit(self, event: str, agent_id: str | None) -> bool:
        """Whether this event may be meant, as far as can be said without its task."""
        is_agent = self.agent_id is None or agent_id == self.agent_id
        return is_agent and any(fnmatchcase(event, pattern) for pattern in self.events)

    def fits(self, event: str, agent_id: str | None, about: About | None) -> bool:
        """Whether this event is meant. `about` is None for one that is about no task, or about one that is
        forgotten already."""
        if not self.may_fit(event, agent_id):
            return False
        if not self.asks_for_task:
            return True
        if about is None or (self.plugin is not None and about.plugin != self.plugin):
            return False
        return all(about.labels.get(name) == value for name, value in self.labels.items())


class About(Struct, frozen=True):
    """What of an event's task a filter may ask for, and where its trace goes on."""

    plugin: str | None
    labels: Mapping[str, str]
    trace: str | None


class Key(Struct, frozen=True, kw_only=True):
    """One of its secrets by what it is made of; `until_wall_ms` is set when a newer one took over."""

    salt: str
    since_wall_ms: int
    until_wall_ms: int | None = None


class Receiver(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest key is the first. `cursor` and `is_enabled` are columns."""

    webhook_id: str
    url: str
    wanted: Wanted
    keys: tuple[Key, ...]
    created_wall_ms: int
    created_by: str = ""
    updated_wall_ms: int = 0
    description: str = ""
    is_enabled: bool = True
    disabled_why: str | None = None
    failing_since_wall_ms: int | None = None
    """The first failure after which nothing was taken any more."""
    cursor: int = 0
