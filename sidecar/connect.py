"""`sidecar connect`: everything constructed and wired in one place, run, and taken down.

Owns the order in which the parts come up: folder, lock, journal, health, plugins, desk, line, and what each
signal asks for. Decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import platform
import random
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from msgspec import Raw

from protocol import limits
from protocol.frames import V2_FEATURES, Identify
from protocol.ids import AgentId, InstanceId
from sidecar.agent import Agent
from sidecar.clock import SidecarClock, date_of
from sidecar.desk import Desk
from sidecar.enrol import find_place, local_hub
from sidecar.equipment import Shell, equip
from sidecar.errors import NotAuthorised, SidecarError
from sidecar.events import DeskEvent, PluginsChanged
from sidecar.health import Health, Readiness
from sidecar.history import History
from sidecar.journal import JournalBook, JournalBroken, JournalFull
from sidecar.journal_file import JournalFile
from sidecar.line import Line, Place, is_exposed, is_local
from sidecar.owner import Owner
from sidecar.plugins_at_hand import Offer
from sidecar.redial import Window
from sidecar.runners.warm import CHILD
from sidecar.runs import Runs
from sidecar.settings import Settings
from sidecar.state import StateFolder
from sidecar.workspace import Workspaces

STATUS_EVERY_MS: Final = 1_000
"""How often, at most, the status for `sidecar status` is written: it is not worth a disk's attention."""

EXPOSED: Final = (
    "! plain ws beyond this machine: token and tasks can be read on the way. Give the hub TLS: wss"
)

NO_RUNNER: Final = "no runner is configured: using echo, which gives back what it is told"

LOADING: Final = "loading plugins"

NOTHING: Final = Offer((), ())

log = logging.getLogger("sidecar")


def _loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster loop where it exists. Beside crews the standard one is fast enough, and 3 MB smaller."""
    if settings.plugins:
        return None
    try:
        import uvloop  # noqa: PLC0415  there is none on some systems
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def default_agent_id() -> str:
    """The machine's name, which is what most people would have typed."""
    return socket.gethostname().partition(".")[0] or "sidecar"


def offer_of(settings: Settings, at_hand: Offer) -> Offer:
    """Commands and plugins, each once; capabilities that were set, and then those of the plugins."""
    most = limits.CAPABILITIES_MAX
    plugins = sorted({*settings.commands, *at_hand.plugins})
    capabilities = dict.fromkeys((*settings.capabilities, *at_hand.capabilities))
    names = tuple(plugins)[:most]
    versions = {name: at_hand.versions[name] for name in names if name in at_hand.versions}
    return Offer(names, tuple(capabilities)[:most], versions, at_hand.forms)


def card_of(settings: Settings, instance_id: InstanceId, at_hand: Offer = NOTHING) -> Identify:
    """What this sidecar says of itself each time it identifies."""
    offer = offer_of(settings, at_hand)
    return Identify(
        agent_id=AgentId(settings.agent_id),
        capabilities=offer.capabilities,
        protocol_version=2,
        client_type="crewhub-sidecar",
        instance_id=instance_id,
        boot_id=secrets.token_hex(8),
        slots=settings.slots,
        slot_kinds=settings.seats_by_kind,
        labels={"host": socket.gethostname(), "os": platform.system().lower(), **settings.labels},
        plugins=offer.plugins,
        plugin_versions=dict(offer.versions),
        plugin_schemas=Raw(offer.forms) if offer.forms else None,
        sdk=f"crewhub/{_version()}",
        features=V2_FEATURES,
    )


def _version() -> str:
    try:
        return importlib.metadata.version("crewhub")
    except importlib.metadata.PackageNotFoundError:
        return "0"


class Sidecar:
    """All parts of one process."""

    def __init__(self, settings: Settings, say: Callable[[str], None], child: str = CHILD) -> None:
        self.settings = settings if settings.agent_id else replace(settings, agent_id=default_agent_id())
        self.clock = SidecarClock()
        self.folder = StateFolder(self.settings.folder)
        self._say = say
        self._child = child
        self._status_changed = asyncio.Event()
        self._exit_code = 0
        self.history = History(None, "")
        self._loading: asyncio.Task[None] | None = None
        self._is_built = False
        self._is_leaving = False
        """Asked to, before there was anything to finish."""

    def run(self) -> int:
        """Connect, work, leave; the exit code. Nothing that this process writes is for others to read."""
        os.umask(0o077)
        self.folder.create()
        self.folder.lock()
        try:
            with asyncio.Runner(loop_factory=_loop_factory(self.settings)) as runner:
                return runner.run(self.work())
        finally:
            self.folder.unlock()

    async def work(self) -> int:
        """From the journal to the last receipt; the exit code."""
        shell = Shell(self.folder.path, os.environ, self.clock, self._say, self._child)
        self.equipment = equip(self.settings, shell)
        place = await asyncio.to_thread(find_place, self.settings, self.folder)
        self._disk = JournalFile(self.folder.journal)
        try:
            self.book, notices = JournalBook.open(self._disk, lambda: InstanceId(secrets.token_hex(16)))
            for notice in notices:
                log.error(notice)
                self._say(notice)
            Workspaces(self.folder.path).sweep()
            self.history = History(self.settings.history_file, f"sidecar:{self.book.instance_id}")
            return await self._work(place)
        except* (JournalBroken, JournalFull) as broken:
            raise SidecarError(f"the journal cannot be used: {broken.exceptions[0]}") from None
        finally:
            self._disk.close()
            self.history.close()

    async def _work(self, place: Place) -> int:
        settings = self.settings
        async with contextlib.AsyncExitStack() as stack:
            if settings.health_port:
                await stack.enter_async_context(
                    Health(settings.health_host, settings.health_port, self.readiness)
                )
            stack.enter_context(self._signals())
            if not await self._load(stack):
                return self._exit_code
            if is_exposed(place.url):
                self._say(EXPOSED)
            return await self._serve(place)

    async def _load(self, stack: contextlib.AsyncExitStack) -> bool:
        """Have the plugins imported. False: somebody wanted us to leave meanwhile."""
        at_hand = self.equipment.at_hand
        if at_hand is None:
            if not self.settings.command and not self.settings.commands:
                self._say(NO_RUNNER)
            return True
        self.folder.keep_status(self._loading_status())
        self._say(LOADING)
        stack.push_async_callback(at_hand.close)
        self._loading = task = asyncio.current_task()
        try:
            await at_hand.begin()
        except asyncio.CancelledError:
            if task is None or not self._is_leaving:
                raise
            task.uncancel()
        finally:
            self._loading = None
        return not self._is_leaving

    async def _serve(self, place: Place) -> int:
        while True:
            self._build(place)
            self._say(
                f"sidecar `{self.settings.agent_id}` works for {place.url} (Ctrl-C finishes and leaves)"
            )
            async with asyncio.TaskGroup() as tasks:
                keeping = [tasks.create_task(self._keep_status()), tasks.create_task(self.owner.watch())]
                if self.equipment.at_hand is not None:
                    keeping.append(tasks.create_task(self.equipment.at_hand.watch()))
                await self.agent.run(self.line, self.runs)
                for one in keeping:
                    one.cancel()
            self._keep(self.status("stopped"))
            if self.agent.gave_up is None:
                return self._exit_code
            fresh = await asyncio.to_thread(self._another_token, place)
            if fresh is None:
                raise NotAuthorised(
                    f"the hub at {place.url} does not want us back: {self.agent.gave_up.sentence}"
                )
            place = fresh

    def _build(self, place: Place) -> None:
        settings, at_hand = self.settings, self.equipment.at_hand
        self.runs = Runs(self.equipment.runners, self._post)
        card = card_of(settings, self.book.instance_id, NOTHING if at_hand is None else at_hand.offer)
        if at_hand is not None:
            at_hand.changed = self._plugins_changed
        self.owner = Owner(self.folder, settings.rules, self.clock, self._post)
        self.desk = Desk(
            card, self.book.memory, self.runs.accepts, once=settings.once, house=self.owner.house
        )
        self.agent = Agent(
            self.desk,
            self.book,
            self.clock,
            drain_ms=settings.drain_ms,
            changed=self._status_changed.set,
            history=self.history,
        )
        self.line = Line(
            place,
            self.clock,
            post=self.agent.post,
            has_room=self.agent.has_room,
            beat=self.desk.heartbeat,
            roll=random.random,
            window=Window(
                settings.retry_least_ms,
                settings.retry_first_ms or (2_000 if is_local(place.url) else Window().first_ms),
                settings.retry_most_ms,
            ),
            changed=self._status_changed.set,
        )

        self._is_built = True

    def _post(self, event: DeskEvent) -> None:
        self.agent.post(event)

    def _plugins_changed(self, at_hand: Offer) -> None:
        offer = offer_of(self.settings, at_hand)
        self._post(PluginsChanged(offer.plugins, offer.capabilities, dict(offer.versions), offer.forms))
        self._status_changed.set()

    def _another_token(self, place: Place) -> Place | None:
        """A token that we got from the hub of this machine may have gone with its database: ask once more."""
        kept, here = self.folder.kept_token(), local_hub()
        if self.settings.token or kept is None or kept.token != place.token or here is None:
            return None
        self.folder.forget_token()
        try:
            found = find_place(self.settings, self.folder)
        except SidecarError:
            return None
        return found if found.token != place.token else None

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        caught = [signal.SIGTERM, signal.SIGINT]
        for number in caught:
            loop.add_signal_handler(number, self._asked_to_leave, number)
        if self.equipment.at_hand is not None:
            caught.append(signal.SIGHUP)
            loop.add_signal_handler(signal.SIGHUP, self.equipment.at_hand.look_again)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _asked_to_leave(self, number: signal.Signals) -> None:
        if not self._is_built:
            self._is_leaving = True
            if self._loading is not None:
                self._loading.cancel()
            return
        runs = self.desk.runs_in_hand
        if self.agent.drain():
            self._say(f"finishing {runs} runs; once more stops them" if runs else "leaving")
        else:
            self._say("stopping all runs")
            self._exit_code = 130 if number == signal.SIGINT else 0

    # --- what others may know -------------------------------------------------------------------------------

    def readiness(self) -> Readiness:
        """Ready while the hub may give us work."""
        if not self._is_built:
            return Readiness(False, {"error": LOADING})
        if self.agent.is_full:
            return Readiness(False, {"error": "no room for the journal"})
        if not self.line.is_identified:
            return Readiness(False, {"error": "not connected to the hub", "dials": self.line.dials})
        if not self.desk.is_taking_work:
            return Readiness(False, {"error": "draining", "runs": self.desk.runs_in_hand})
        told: dict[str, Any] = {"agent_id": self.settings.agent_id, "runs": self.desk.runs_in_hand}
        if (resting := self.owner.resting) is not None:
            told["resting"] = resting  # as its owner wants it: nothing that a probe should mend
        return Readiness(True, told)

    def status(self, state: str | None = None) -> dict[str, Any]:
        """The whole truth, without secrets, for `sidecar status`."""
        ready = self.readiness()
        at_hand = self.equipment.at_hand
        return {
            "agent_id": self.settings.agent_id,
            "state": state or self._state_word(ready),
            "reason": ready.members.get("error") or ready.members.get("resting"),
            "hub": self.line.place.url,
            "pid": os.getpid(),
            "instance_id": self.book.instance_id,
            "slots": self.settings.slots,
            "slot_kinds": self.settings.seats_by_kind,
            "plugins": [] if at_hand is None else at_hand.listed,
            "broken_plugins": [] if at_hand is None else [one.sentence for one in at_hand.found.troubles],
            "runs": self.desk.runs_in_hand,
            "facts_without_receipt": len(self.book.memory.facts),
            "dials": self.line.dials,
            "journal_syncs": self.book.syncs,
            "written_at": date_of(self.clock.now().wall_ms),
            "closes": [
                {
                    "at": date_of(ending.wall_ms),
                    "dial": ending.dial,
                    "code": ending.code,
                    "reason": ending.reason,
                    "side": ending.side,
                    "duration_ms": ending.duration_ms,
                }
                for ending in self.line.endings
            ],
        }

    @staticmethod
    def _state_word(ready: Readiness) -> str:
        if not ready.is_ready:
            return "not_ready"
        return "resting" if "resting" in ready.members else "ready"

    def _loading_status(self) -> dict[str, Any]:
        """While there is no line and no desk."""
        return {
            "agent_id": self.settings.agent_id,
            "state": "not_ready",
            "reason": LOADING,
            "pid": os.getpid(),
            "instance_id": self.book.instance_id,
            "written_at": date_of(self.clock.now().wall_ms),
        }

    def _keep(self, status: dict[str, Any]) -> None:
        """What the next process, and the commands of this machine, may know."""
        self.owner.keep()
        self.folder.keep_status(status)

    async def _keep_status(self) -> None:
        while True:
            self._keep(self.status())
            await self.clock.sleep(STATUS_EVERY_MS)
            await self._status_changed.wait()
            self._status_changed.clear()


def connect(settings: Settings, say: Callable[[str], None]) -> int:
    """Run a sidecar to its end; the exit code. `say` tells a person what matters."""
    return Sidecar(settings, say).run()
