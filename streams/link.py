"""The way to Redis: lanes of connections, whether it is up, and how long to wait before trying again.

Owns what one program has open towards Redis. Everything bounded in time; nobody who only asks waits behind
a blocking read, because each kind of talk has a lane of its own. Never repeats a command by itself, except
one that only failed because the server did not know the script.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from streams.address import Address, read_address
from streams.trouble import RedisAway, RedisMissing, RedisTrouble, ScriptMissing

if TYPE_CHECKING:
    from streams.driver import Driver, Part

log = logging.getLogger("streams")

CONNECT_S: Final = 3.0
"""To open a connection: a machine that is there answers in milliseconds."""

REPLY_S: Final = 5.0
"""For a reply: what we ask takes Redis microseconds, so beyond this it is stopped or gone."""

CHECK_EVERY_S: Final = 5.0
"""How often a link that nobody uses is tried, so that health tells the truth."""

PAUSE_S_MIN: Final = 0.05
PAUSE_S_MAX: Final = 5.0
"""Between two tries: the first at once for a person, the last rare enough for a server that comes up."""

COMMAND_CONNECTIONS: Final = 8
"""Commands at the same time; more wait for their turn, in order."""

assert PAUSE_S_MIN < PAUSE_S_MAX <= CHECK_EVERY_S


class Script:
    """A program that Redis runs as one step: nothing happens between its lines, and none of it without the
    rest.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Streams:
    """One program's link to one Redis. Nothing is opened before it is needed.

    `run` belongs in a TaskGroup: it keeps `is_up` true to the facts. `close` when all is over.
    """

    def __init__(self, url: str, *, reply_s: float = REPLY_S, dice: Callable[[], float] = random.random):
        self.address: Address = read_address(url)
        self.is_up = False
        self.trouble: str | None = "Redis was not asked yet"
        self._dice = dice
        self._reply_s = reply_s
        self._lanes: list[Lane] = []
        self._naps: set[asyncio.Event] = set()
        self.commands = self.open_lane(COMMAND_CONNECTIONS)
        self.publishing = self.open_lane(1)

    @property
    def shown(self) -> str:
        """The address without what is secret in it."""
        return self.address.shown

    def open_lane(self, connections: int = 1, *, blocks_ms: int = 0) -> Lane:
        """Connections of one's own, so that nobody waits for another's blocking read."""
        reply_s = self._reply_s + blocks_ms / 1000
        driver = make_driver(self.address, connections, reply_s)
        lane = Lane(driver, connections, reply_s + CONNECT_S, self.note)
        self._lanes.append(lane)
        return lane

    async def check(self) -> bool:
        """Ask Redis whether it is there."""
        try:
            await self.commands.command("PING")
        except RedisTrouble:
            return False
        return True

    async def run(self) -> None:
        """Look for ever whether Redis is there: often while it is away, now and then while it is up."""
        patience = self.patience()
        while True:
            if await self.check():
                patience.reset()
                await self.nap(CHECK_EVERY_S)
            else:
                await patience.wait()

    def patience(self) -> Patience:
        """For one loop that tries again."""
        return Patience(self.nap, self._dice)

    async def nap(self, seconds: float) -> None:
        """Wait so long, or until Redis has come back."""
        woken = asyncio.Event()
        self._naps.add(woken)
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            return
        finally:
            self._naps.discard(woken)

    def note(self, trouble: RedisTrouble | None) -> None:
        """What a command came to; a change is told once."""
        if trouble is None and not self.is_up:
            log.info("Redis is there: %s", self.shown)
            for woken in self._naps:
                woken.set()
        if trouble is not None and (self.is_up or self.trouble != str(trouble)):
            log.warning("%s (%s)", trouble, self.shown)
        self.is_up = trouble is None
        self.trouble = None if trouble is None else str(trouble)

    async def close(self) -> None:
        """Close every connection; a read that blocks ends with its task, not here."""
        for lane in self._lanes:
            await lane.close()


class Lane:
    """Some connections of a link, and their queue."""

    def __init__(
        self, driver: Driver, connections: int, limit_s: float, note: Callable[[RedisTrouble | None], None]
    ) -> None:
        self._driver = driver
        self._limit_s = limit_s
        self._turns = asyncio.Semaphore(connections)
        self._note = note

    async def command(self, *parts: Part) -> Any:
        """The reply. Raises RedisAway or RedisRefused, within the lane's limit once it has its turn."""
        async with self._turns:
            try:
                async with asyncio.timeout(self._limit_s):
                    reply = await self._driver.execute(*parts)
            except TimeoutError:
                trouble = RedisAway("Redis did not answer in time")
                self._note(trouble)
                raise trouble from None
            except RedisTrouble as trouble:
                self._note(trouble if isinstance(trouble, RedisAway) else None)
                raise
        self._note(None)
        return reply

    async def script(self, script: Script, keys: Sequence[str], arguments: Sequence[Part]) -> Any:
        """Run it on the server; its text travels only when the server does not know it."""
        try:
            return await self.command("EVALSHA", script.digest, len(keys), *keys, *arguments)
        except ScriptMissing:
            return await self.command("EVAL", script.text, len(keys), *keys, *arguments)

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limit_s):
                await self._driver.close()


class Patience:
    """How long one loop waits before it tries again: longer every time, and not as long as others."""

    def __init__(self, nap: Callable[[float], Any], dice: Callable[[], float]) -> None:
        self._nap = nap
        self._dice = dice
        self._tries = 0

    def next_s(self) -> float:
        whole_s: float = min(PAUSE_S_MAX, PAUSE_S_MIN * float(2 ** min(self._tries, 16)))
        self._tries += 1
        return whole_s * (0.5 + 0.5 * self._dice())

    def reset(self) -> None:
        self._tries = 0

    async def wait(self) -> None:
        await self._nap(self.next_s())


def make_driver(address: Address, connections: int, reply_s: float) -> Driver:
    """A driver, where the extra is installed."""
    try:
        from streams.driver import Driver  # noqa: PLC0415  redis is an extra: only who was given a URL needs it
    except ModuleNotFoundError as missing:
        raise RedisMissing("redis is not installed: pip install 'crewhub[redis]'") from missing
    return Driver(address, connections=connections, reply_s=reply_s, connect_s=CONNECT_S)
