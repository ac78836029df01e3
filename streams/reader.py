"""One consumer of one stream: takes no more than it has hands for, and leaves nothing behind.

Owns the consumer's name (no two are alike, L79), what is in its hands, and the order in which it looks: what
was given to it and got lost on the way, what others abandoned (L80), what is new. Survives Redis being
killed, stopped or emptied: a turn then brings nothing and takes a while. Never judges an entry.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from typing import Any, Final

import msgspec

from streams import names, scripts
from streams.entries import Fields
from streams.link import Streams
from streams.trouble import GroupMissing, RedisRefused, RedisTrouble

log = logging.getLogger("streams")

KEPT_AT_ONCE: Final = 100
"""Entries that one script renews: it holds up Redis for as long as it runs."""

CLAIM_IDLE_MS: Final = names.RUN_MS_MAX + names.CLAIM_MARGIN_MS


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that is in our hands, and how often it was in anybody's."""

    entry_id: str
    fields: Fields
    times_delivered: int = 1


def unique_name() -> str:
    """A consumer's name: where it runs, for people, and enough dice that no other has it."""
    return f"{names.CONSUMER_PREFIX}{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(6)}"


class GroupReader:
    """Call `take` in a loop and `ack` what is done; `tend` belongs in a TaskGroup beside it."""

    def __init__(
        self,
        streams: Streams,
        stream: str,
        group: str,
        *,
        name: str | None = None,
        block_ms: int = names.READ_BLOCK_MS,
        claim_idle_ms: int = CLAIM_IDLE_MS,
    ) -> None:
        self.stream = stream
        self.group = group
        self.name = name or unique_name()
        self._streams = streams
        self._lane = streams.open_lane(blocks_ms=block_ms)
        self._block_ms = block_ms
        self._claim_idle_ms = claim_idle_ms
        self._patience = streams.patience()
        self._in_hand: set[str] = set()
        self._to_ack: set[str] = set()
        self._has_group = False
        self._is_unsure = name is not None
        """Who has a name of its own may have lived before, and begins with what it had in hand."""
        self._is_claim_due = True
        self._cursor = "0-0"

    @property
    def in_hand(self) -> frozenset[str]:
        """Handed out and neither acknowledged nor left."""
        return frozenset(self._in_hand)

    async def take(self, free: int) -> list[Delivered]:
        """At most `free` entries; waits a while for one. Nothing, and a pause, while Redis is in trouble.

        May be cancelled at any moment: what was on its way comes again at the next call.
        """
        assert free > 0, "wait until a hand is free"
        try:
            found = await self._look(min(free, names.READ_COUNT))
        except RedisTrouble as trouble:
            self._has_group = False
            if isinstance(trouble, RedisRefused) and not isinstance(trouble, GroupMissing):
                log.warning("reading %s: %s", self.stream, trouble)
            await self._patience.wait()
            return []
        self._patience.reset()
        return found

    async def ack(self, entry_id: str) -> None:
        """It is done. Never raises: what Redis did not hear is said again before the next reading."""
        self._in_hand.discard(entry_id)
        self._to_ack.add(entry_id)
        try:
            await self._flush()
        except RedisTrouble:
            return  # kept in _to_ack

    def drop(self, entry_id: str) -> None:
        """It is acknowledged already, by the step that answered or parked it."""
        self._in_hand.discard(entry_id)

    def leave(self, entry_id: str) -> None:
        """Not ours to end: it stays pending, and comes again when it has been idle for long."""
        self._in_hand.discard(entry_id)

    async def release(self, entry_id: str) -> None:
        """Given up unfinished, at a tidy end: who looks next may claim it, whatever its age."""
        self._in_hand.discard(entry_id)
        arguments = (self.group, self.name, self._claim_idle_ms + 1, entry_id)
        try:
            await self._streams.commands.script(scripts.RELEASE, (self.stream,), arguments)
        except RedisTrouble as trouble:
            log.info("entry %s of %s will be claimed by its age: %s", entry_id, self.stream, trouble)

    def put_back(self, entry_id: str) -> None:
        """Not looked at after all: it comes again at the next `take`."""
        self._in_hand.discard(entry_id)
        self._is_unsure = True

    async def adopt(self, run_id: str) -> Delivered | None:
        """Take over the pending entry of a run that is ours by the ledger; None where there is none."""
        keys = (names.RUN_MARKER + run_id, self.stream)
        line = await self._streams.commands.script(scripts.ADOPT, keys, (self.group, self.name))
        found = [] if line is None else self._hand_out([line])
        return found[0] if found else None

    async def tend(self) -> None:
        """For ever: say that we are still at what is in our hands, and have abandoned entries looked for."""
        while True:
            await self._streams.nap(names.TEND_EVERY_MS / 1000)
            self._is_claim_due = True
            try:
                await self._flush()
                await self.keep()
            except RedisTrouble:
                continue  # the link has told it, and the next round says it again

    async def keep(self) -> frozenset[str]:
        """Renew what is in hand, and forget what became somebody else's while we were away."""
        lost: set[str] = set()
        mine = sorted(self._in_hand)
        for start in range(0, len(mine), KEPT_AT_ONCE):
            arguments = (self.group, self.name, *mine[start : start + KEPT_AT_ONCE])
            reply = await self._streams.commands.script(scripts.KEEP, (self.stream,), arguments)
            lost |= {entry.decode() for entry in reply} & self._in_hand
        self._in_hand -= lost
        if lost:
            log.info("%d entries of %s are not ours any more", len(lost), self.stream)
        return frozenset(lost)

    async def close(self) -> None:
        """Take the name out of the group if nothing hangs on it; otherwise somebody claims what does."""
        try:
            await self._flush()
            await self._retire()
        except RedisTrouble as trouble:
            log.info("leaving %s: %s", self.stream, trouble)
        await self._lane.close()

    # --- one turn ---------------------------------------------------------------------------------------

    async def _look(self, count: int) -> list[Delivered]:
        await self._flush()
        if not self._has_group:
            await self._make_group()
        recovers, self._is_unsure = self._is_unsure, True
        found = await self._recover(count) if recovers else []
        is_sure = len(found) < count
        if not found and self._is_claim_due:
            found = await self._claim(count)
        if not found:
            found = await self._read(count)
            self._is_claim_due = self._is_claim_due or not found
        self._is_unsure = not is_sure
        return found

    async def _make_group(self) -> None:
        try:
            await self._streams.commands.command("XGROUP", "CREATE", self.stream, self.group, "0", "MKSTREAM")
        except RedisRefused as refused:
            if "BUSYGROUP" not in str(refused):
                raise
        await self._retire()
        self._has_group = True

    async def _recover(self, count: int) -> list[Delivered]:
        arguments: tuple[str | int, ...] = (self.group, self.name, count, *self._in_hand)
        lines = await self._streams.commands.script(scripts.RECOVER, (self.stream,), arguments)
        return self._hand_out(lines)

    async def _claim(self, count: int) -> list[Delivered]:
        arguments = (self.group, self.name, self._claim_idle_ms, self._cursor, count)
        cursor, lines = await self._streams.commands.script(scripts.CLAIM, (self.stream,), arguments)
        self._cursor = cursor.decode()
        self._is_claim_due = self._cursor != "0-0"
        return self._hand_out(lines)

    async def _read(self, count: int) -> list[Delivered]:
        group = ("GROUP", self.group, self.name, "COUNT", count, "BLOCK", self._block_ms)
        reply = await self._lane.command("XREADGROUP", *group, "STREAMS", self.stream, ">")
        return [
            self._in_our_hands(entry_id.decode(), fields)
            for _, entries in reply or []
            for entry_id, fields in entries
        ]

    def _hand_out(self, lines: list[Any]) -> list[Delivered]:
        """Lines of a script: entry, flat fields or nothing, times delivered."""
        found = []
        for entry_id, flat, times in lines:
            name = entry_id.decode()
            if flat is None:
                log.warning("entry %s of %s was trimmed before it was read, not by us", name, self.stream)
            elif name not in self._in_hand:
                fields = dict(zip(flat[::2], flat[1::2], strict=True))
                found.append(self._in_our_hands(name, fields, times))
        return found

    def _in_our_hands(self, entry_id: str, fields: Fields, times: int = 1) -> Delivered:
        self._in_hand.add(entry_id)
        return Delivered(entry_id=entry_id, fields=fields, times_delivered=times)

    async def _flush(self) -> None:
        done = tuple(self._to_ack)
        if done:
            await self._streams.commands.command("XACK", self.stream, self.group, *done)
            self._to_ack.difference_update(done)

    async def _retire(self) -> None:
        arguments = (self.group, self.name, names.CONSUMER_PREFIX, names.NAMES_KEPT_MS)
        await self._streams.commands.script(scripts.RETIRE, (self.stream,), arguments)
