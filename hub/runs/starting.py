"""How a run begins, whoever asks for it: the API, a schedule or a webhook.

Owns the order of it: is there such a plugin, do the settings fit, is there the same run already, and only
then a task. Two who ask for the same at once get one run. Credentials among the settings go to the vault, and
never into a row, a digest or a sentence.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

import msgspec
from msgspec import Raw, Struct

from hub.core.effects import Granted, Refusal
from hub.core.events import TaskSubmitted
from hub.core.runs import LIVE, RunStatus, answers_again, digest_of, spec_of_run, status_of
from hub.core.task import Origin, RunSpec, Task
from hub.runs.plugins import Unfit
from hub.runs.vault import KEYS_BYTES_MAX, SETTINGS_BYTES_MAX, is_too_big, parted
from plugins.settings import UnfitSettings, refuse_odd_keys
from protocol.ids import TaskId

if TYPE_CHECKING:
    from hub.core.board import Board
    from hub.dispatcher import Dispatcher
    from hub.parts import Parts
    from hub.ports import Clock
    from hub.runs.plugins import PluginsKnown
    from hub.runs.vault import Vault
    from hub.settings import Settings
    from hub.store.runs import RunQueries

TASK_ID_BYTES: Final = 8

SETTINGS: Final = "settings"
"""How the member with a run's settings is called wherever somebody asks for one."""

ANOTHER_MISTAKE: Final = re.compile(r"; (?=settings[.\[])")
"""Where in the sentence about unfit settings the next one begins."""


class Asked(Struct, frozen=True, kw_only=True):
    """What somebody wants to be run."""

    plugin: str
    user_id: int
    settings: dict[str, Any]
    """With the credentials among them, if there are any."""
    origin: Origin
    by: str
    plugin_id: str | int = ""
    once: str = ""
    """Names this asking, so that it makes one run however often it comes; empty: the settings do."""
    trace: str | None = None


class RunStarted(Struct, frozen=True, kw_only=True):
    """The run that answers, new or not."""

    plugin_run_id: str
    task_id: TaskId
    status: RunStatus
    is_new: bool


class UnknownPlugin(Exception):
    """Neither a folder of this hub has it nor a connected agent; the sentence says which."""


class UnfitRun(Exception):
    """The settings are not what the plugin takes: each mistake with the member it is about."""

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{member}: {what}" for member, what in mistakes))
        self.mistakes = mistakes


class RunRefused(Exception):
    """The board did not take it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.kind.value)
        self.refusal = refusal


def divided(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What may be kept, and the credentials with their mark. Each is text; null and empty mean none."""
    kept, keys = parted(settings)
    refuse_odd_keys(keys)
    given = {name: value for name, value in keys.items() if value}
    if is_too_big(given):
        raise UnfitRun([(SETTINGS, f"its credentials may have {KEYS_BYTES_MAX} bytes together")])
    return kept, given


def encoded(kept: Mapping[str, Any]) -> Raw:
    inputs = Raw(msgspec.json.encode(kept))
    if len(bytes(inputs)) > SETTINGS_BYTES_MAX:
        raise UnfitRun([(SETTINGS, f"may have {SETTINGS_BYTES_MAX} bytes without credentials")])
    return inputs


def mistakes_in(sentence: str) -> list[tuple[str, str]]:
    """The sentence about unfit settings as pairs of member and mistake."""
    found = []
    for one in ANOTHER_MISTAKE.split(sentence):
        member, colon, what = one.partition(": ")
        is_named = bool(colon) and member.startswith(SETTINGS)
        found.append((member, what) if is_named else (SETTINGS, one))
    return found


def run_id_of(once: str) -> str:
    """A random one, or the one that belongs to this asking; both are of version 4."""
    if not once:
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
    return str(uuid.UUID(bytes=hashlib.sha256(once.encode()).digest()[:16], version=4))


class Starting:
    """The one place of a hub where runs begin that are not asked for on a stream."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        board: Board,
        dispatcher: Dispatcher,
        queries: RunQueries,
        plugins: PluginsKnown,
        vault: Vault,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._board = board
        self._dispatcher = dispatcher
        self._queries = queries
        self._plugins = plugins
        self._vault = vault
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One for each digest that somebody asks for at this moment."""

    async def start(self, asked: Asked) -> RunStarted:
        """The run, durable. Raises what this module names, `Overloaded`, `Closing` and `StorageFull`."""
        kept, keys, inputs = await self.judged(asked.plugin, asked.settings)
        digest = digest_of(asked.user_id, asked.plugin, kept)
        turn = self._turns.setdefault(digest, asyncio.Lock())
        async with turn:
            same = await self._same(asked, digest)
            if same is not None:
                return started(same, is_new=False)
            return await self._submit(asked, digest, inputs, keys)

    async def judged(
        self, plugin: str, settings: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str], Raw]:
        """What may be kept of them, the credentials, and the inputs of the task. Raises UnknownPlugin and
        UnfitRun.
        """
        try:
            kept, keys = divided(settings)
            inputs = encoded(kept)
            await self._judge(plugin, kept)
        except UnfitSettings as error:
            raise UnfitRun(mistakes_in(str(error))) from error
        return kept, keys, inputs

    async def _judge(self, plugin: str, kept: Mapping[str, Any]) -> None:
        known = await self._plugins.named(plugin)
        if known is None or isinstance(known, Unfit):
            self._refuse_unless_offered(plugin, known)
        elif known.plugin is not None:
            await self._plugins.judge(known.plugin, kept, "")

    def _refuse_unless_offered(self, name: str, unfit: Unfit | None) -> None:
        """Whoever offers a plugin knows its settings better than a folder that says nothing of them."""
        seats = self._board.view_agents(self._clock.now())
        if any(seat.is_connected and name in seat.plugins for seat in seats):
            return
        if unfit is not None:
            raise UnknownPlugin(f"This hub cannot use the plugin: {unfit.sentence}")
        if self._settings.runs_by == "streams" and not self._plugins.has_folders:
            return  # nobody here can know what workers behind a stream have; they answer for themselves
        raise UnknownPlugin("No plugin folder of this hub has it, and no connected agent offers it.")

    async def _same(self, asked: Asked, digest: str) -> Task | None:
        """The run that answers this asking. A schedule says itself how often: to it only a live one is the
        same, so that runs of one schedule never overlap and none is left out for being early.
        """
        if asked.once:
            known = await self._queries.run(run_id_of(asked.once))
            if known is not None:
                return known
        last = await self._queries.latest(digest)
        if last is None or not answers_again(last, self._clock.now().wall_ms):
            return None
        return last if asked.origin != "schedule" or status_of(last) in LIVE else None

    async def _submit(self, asked: Asked, digest: str, inputs: Raw, keys: dict[str, str]) -> RunStarted:
        run = RunSpec(
            plugin_run_id=run_id_of(asked.once),
            user_id=asked.user_id,
            plugin_id=asked.plugin_id,
            origin=asked.origin,
            route=self._settings.runs_by,
            digest=digest,
        )
        wall_ms = self._clock.now().wall_ms
        spec = spec_of_run(run, asked.plugin, inputs, by=asked.by, wall_ms=wall_ms)
        task_id = TaskId("task-" + secrets.token_hex(TASK_ID_BYTES))
        event = TaskSubmitted(task_id=task_id, spec=msgspec.structs.replace(spec, trace=asked.trace))
        if keys:
            self._vault.keep(task_id, keys)  # first: it may be assigned in the turn that takes it
        try:
            reply = await self._dispatcher.ask(event)
        except Exception:
            self._vault.drop(task_id)
            raise
        if not isinstance(reply, Granted):
            self._vault.drop(task_id)
            assert isinstance(reply, Refusal), "a push has a reply"
            raise RunRefused(reply)
        assert reply.task is not None, "a granted push names its task"
        if reply.is_repeat:
            self._vault.drop(task_id)
        return started(reply.task, is_new=not reply.is_repeat)


def started(task: Task, *, is_new: bool) -> RunStarted:
    assert task.spec.run is not None, f"{task.task_id} is no run"
    return RunStarted(
        plugin_run_id=task.spec.run.plugin_run_id,
        task_id=task.task_id,
        status=status_of(task),
        is_new=is_new,
    )


async def start_run(
    parts: Parts,
    plugin: str,
    user_id: int,
    settings: dict[str, Any],
    origin: Origin,
    *,
    by: str = "",
    once: str = "",
) -> RunStarted:
    """The same for parts of the hub that ask by themselves."""
    return await parts.starting.start(
        Asked(plugin=plugin, user_id=user_id, settings=settings, origin=origin, by=by or origin, once=once)
    )
