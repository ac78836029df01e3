"""What can happen to a sidecar, in the past tense: everything the desk is ever told.

Owns what link, runs, signals and disk turn into; never says what follows from it (`desk.py` does).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from protocol.frames import (
    AgentJoined,
    AgentLeft,
    Agents,
    HubFrame,
    Identify,
    MessageSent,
    Pong,
    StatusChanged,
    StatusUpdated,
)
from protocol.ids import Generation, TaskId
from sidecar.runners.contract import Outcome, Report


class Now(NamedTuple):
    """Both clocks: `mono_ms` never jumps and ends with the process; `wall_ms` is what a journal may keep."""

    mono_ms: int
    wall_ms: int


class Pause(NamedTuple):
    """The owner wants no new work, until then (unix ms) or until told otherwise."""

    until: int | None = None


class Restarted(Struct, frozen=True):
    """The first letter of a process: whatever the journal calls live died with the one before."""


class LinkOpened(Struct, frozen=True):
    """A dial has succeeded. `link_id` is its number under this boot, which `identify` calls `connection`."""

    link_id: int


class LinkLost(Struct, frozen=True):
    """The socket is gone, for whatever reason; after this nothing more comes over it."""

    link_id: int


class HubSaid(Struct, frozen=True):
    """One frame, heard over one link."""

    link_id: int
    frame: HubFrame


class RunReported(Struct, frozen=True):
    """A run said something on the way."""

    task_id: TaskId
    generation: Generation
    report: Report


class TalkDropped(Struct, frozen=True):
    """A run talked faster than anybody could listen: so many of its words were not kept."""

    task_id: TaskId
    generation: Generation
    count: int


class RunEnded(Struct, frozen=True):
    """A run is over and nothing of it is left."""

    task_id: TaskId
    generation: Generation
    outcome: Outcome


class DrainRequested(Struct, frozen=True):
    """Somebody wants the sidecar to finish what it has and leave."""


class StopRequested(Struct, frozen=True):
    """Somebody wants the sidecar to leave now, or the drain took too long: runs are stopped."""


class StorageFilled(Struct, frozen=True):
    """The journal found no room. What is decided waits for it; no new work is taken."""


class StorageFreed(Struct, frozen=True):
    """The journal has room again, and all that waited is on disk."""


class PluginsChanged(Struct, frozen=True):
    """This sidecar can do something else from now on: these plugins, these capabilities."""

    plugins: tuple[str, ...]
    capabilities: tuple[str, ...]
    versions: dict[str, str] = {}
    forms: bytes = b""
    """{plugin: schema of its settings}, as JSON text."""

    def on(self, card: Identify) -> Identify:
        """The card that says so."""
        return replace(
            card,
            plugins=self.plugins,
            capabilities=self.capabilities,
            plugin_versions=self.versions,
            plugin_schemas=Raw(self.forms) if self.forms else None,
        )


class OwnerLooked(Struct, frozen=True):
    """What the owner's switch says, and how loaded the machine is (load average per core)."""

    pause: Pause | None
    load: float = 0.0


class TimePassed(Struct, frozen=True):
    """`next_deadline()` has come."""


Gossip = MessageSent | StatusChanged | StatusUpdated | Pong | Agents | AgentJoined | AgentLeft
"""What a hub says for other agents' eyes, and answers to what a sidecar never asks."""

DeskEvent: TypeAlias = (
    Restarted
    | LinkOpened
    | LinkLost
    | HubSaid
    | RunReported
    | TalkDropped
    | RunEnded
    | DrainRequested
    | StopRequested
    | StorageFilled
    | StorageFreed
    | PluginsChanged
    | OwnerLooked
    | TimePassed
)
