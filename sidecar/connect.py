"""`sidecar connect`: everything constructed and wired in one place, run, and taken down.

Owns the order in which the parts come up: folder, lock, journal, runners, desk, line, signals. Decides
nothing.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from protocol.frames import V2_FEATURES, Identify
from protocol.ids import AgentId, InstanceId
from sidecar.agent import Agent
from sidecar.clock import SidecarClock, date_of
from sidecar.desk import Desk
from sidecar.enrol import find_place, local_hub
from sidecar.errors import NotAuthorised, SettingsError, SidecarError
from sidecar.events import DeskEvent
from sidecar.health import Health, Readiness
from sidecar.history import History
from sidecar.journal import JournalBook, JournalBroken, JournalFull
from sidecar.journal_file import JournalFile
from sidecar.line import Line, Place, is_exposed, is_local
from sidecar.redaction import guarded
from sidecar.redial import Window
from sidecar.runners.command import CommandRunner, CommandSettings, command_settings
from sidecar.runners.contract import Runner
from sidecar.runners.echo import EchoRunner
from sidecar.runs import Runs
from sidecar.settings import Settings
from sidecar.state import StateFolder
from sidecar.workspace import Workspaces

STATUS_EVERY_MS: Final = 1_000
"""How often, at most, the status for `sidecar status` is written: it is not worth a disk's attention."""

EXPOSED: Final = (
    "! plain ws beyond this machine: token and tasks can be read on the way. Give the hub TLS: wss"
)

SECRET_WORDS: Final = ("KEY", "TOKEN", "SECRET", "PASSW", "PASSPHRASE", "CREDENTIAL", "AUTH", "DSN")
"""A variable with one of these in its name has a value that no run may say."""

NO_RUNNER: Final = "no runner is configured: using echo, which gives back what it is told"

log = logging.getLogger("sidecar")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster loop where it exists."""
    try:
        import uvloop  # noqa: PLC0415  there is none on some systems
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def default_agent_id() -> str:
    """The machine's name, which is what most people would have typed."""
    return socket.gethostname().partition(".")[0] or "sidecar"


def runners_of(settings: Settings, folder: StateFolder, environ: Mapping[str, str]) -> list[Runner]:
    """The command runners that the settings describe, or the echo."""
    if not settings.command and not settings.commands:
        return [EchoRunner()]
    workspaces = Workspaces(folder.path)
    workspaces.sweep()
    try:
        found = command_settings(settings.command, settings.commands)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"the command runner's settings: {error}") from error
    return [guarded(CommandRunner(one, workspaces, environ), _secrets_of(one, environ)) for one in found]


def _secrets_of(command: CommandSettings, environ: Mapping[str, str]) -> list[str]:
    """Values that a run is given and must not say: those of variables that are named like secrets."""
    return [environ[name] for name in command.environment if name in environ and _is_secret(name)]


def _is_secret(name: str) -> bool:
    return any(word in name.upper() for word in SECRET_WORDS)


def card_of(settings: Settings, instance_id: InstanceId, plugins: Sequence[str]) -> Identify:
    """What this sidecar says of itself each time it identifies."""
    return Identify(
        agent_id=AgentId(settings.agent_id),
        capabilities=settings.capabilities,
        protocol_version=2,
        client_type="crewhub-sidecar",
        instance_id=instance_id,
        boot_id=secrets.token_hex(8),
        slots=settings.slots,
        labels={"host": socket.gethostname(), "os": platform.system().lower(), **settings.labels},
        plugins=tuple(plugins),
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

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings = settings if settings.agent_id else replace(settings, agent_id=default_agent_id())
        self.clock = SidecarClock()
        self.folder = StateFolder(self.settings.folder)
        self._say = say
        self._status_changed = asyncio.Event()
        self._exit_code = 0
        self.history = History(None, "")

    def run(self) -> int:
        """Connect, work, leave; the exit code. Nothing that this process writes is for others to read."""
        os.umask(0o077)
        self.folder.create()
        self.folder.lock()
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                return runner.run(self.work())
        finally:
            self.folder.unlock()

    async def work(self) -> int:
        """From the journal to the last receipt; the exit code."""
        runners = runners_of(self.settings, self.folder, os.environ)
        place = await asyncio.to_thread(find_place, self.settings, self.folder)
        self._disk = JournalFile(self.folder.journal)
        try:
            self.book, notices = JournalBook.open(self._disk, lambda: InstanceId(secrets.token_hex(16)))
            for notice in notices:
                log.error(notice)
                self._say(notice)
            self.history = History(self.settings.history_file, f"sidecar:{self.book.instance_id}")
            return await self._work(place, runners)
        except* (JournalBroken, JournalFull) as broken:
            raise SidecarError(f"the journal cannot be used: {broken.exceptions[0]}") from None
        finally:
            self._disk.close()
            self.history.close()

    async def _work(self, place: Place, runners: Sequence[Runner]) -> int:
        settings = self.settings
        if not settings.command and not settings.commands:
            self._say(NO_RUNNER)
        if is_exposed(place.url):
            self._say(EXPOSED)
        while True:
            self._build(place, runners)
            async with contextlib.AsyncExitStack() as stack:
                if settings.health_port:
                    await stack.enter_async_context(
                        Health(settings.health_host, settings.health_port, self.readiness)
                    )
                stack.enter_context(self._signals())
                self._say(f"sidecar `{settings.agent_id}` works for {place.url} (Ctrl-C finishes and leaves)")
                async with asyncio.TaskGroup() as tasks:
                    keeping = tasks.create_task(self._keep_status())
                    await self.agent.run(self.line, self.runs)
                    keeping.cancel()
            self.folder.keep_status(self.status("stopped"))
            if self.agent.gave_up is None:
                return self._exit_code
            fresh = await asyncio.to_thread(self._another_token, place)
            if fresh is None:
                raise NotAuthorised(
                    f"the hub at {place.url} does not want us back: {self.agent.gave_up.sentence}"
                )
            place = fresh

    def _build(self, place: Place, runners: Sequence[Runner]) -> None:
        settings = self.settings
        self.runs = Runs(runners, self._post)
        card = card_of(settings, self.book.instance_id, sorted(settings.commands))
        self.desk = Desk(card, self.book.memory, self.runs.accepts, once=settings.once)
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

    def _post(self, event: DeskEvent) -> None:
        self.agent.post(event)

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
        caught = (signal.SIGTERM, signal.SIGINT)
        for number in caught:
            loop.add_signal_handler(number, self._asked_to_leave, number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _asked_to_leave(self, number: signal.Signals) -> None:
        runs = self.desk.runs_in_hand
        if self.agent.drain():
            self._say(f"finishing {runs} runs; once more stops them" if runs else "leaving")
        else:
            self._say("stopping all runs")
            self._exit_code = 130 if number == signal.SIGINT else 0

    # --- what others may know -------------------------------------------------------------------------------

    def readiness(self) -> Readiness:
        """Ready while the hub may give us work."""
        if self.agent.is_full:
            return Readiness(False, {"error": "no room for the journal"})
        if not self.line.is_identified:
            return Readiness(False, {"error": "not connected to the hub", "dials": self.line.dials})
        if not self.desk.is_taking_work:
            return Readiness(False, {"error": "draining", "runs": self.desk.runs_in_hand})
        return Readiness(True, {"agent_id": self.settings.agent_id, "runs": self.desk.runs_in_hand})

    def status(self, state: str | None = None) -> dict[str, Any]:
        """The whole truth, without secrets, for `sidecar status`."""
        ready = self.readiness()
        return {
            "agent_id": self.settings.agent_id,
            "state": state or ("ready" if ready.is_ready else "not_ready"),
            "reason": ready.members.get("error"),
            "hub": self.line.place.url,
            "pid": os.getpid(),
            "instance_id": self.book.instance_id,
            "slots": self.settings.slots,
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

    async def _keep_status(self) -> None:
        while True:
            self.folder.keep_status(self.status())
            await self.clock.sleep(STATUS_EVERY_MS)
            await self._status_changed.wait()
            self._status_changed.clear()


def connect(settings: Settings, say: Callable[[str], None]) -> int:
    """Run a sidecar to its end; the exit code. `say` tells a person what matters."""
    return Sidecar(settings, say).run()
