"""The office of notices: everybody who is told of events, and the loops that tell them.

Owns the list of receivers in memory, what a change of one means, and when one is told no more. Each change is
durable before it counts. Never reads a request, and never shows a secret twice.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from hub.audit import Jotter
from hub.crashpoints import Crasher
from hub.metrics import Metrics
from hub.notices import patience
from hub.notices.fanout import Backlog, FanOut
from hub.notices.keys import Keyring, new_key, rotated
from hub.notices.message import TEST, body_of_test
from hub.notices.sending import Sender
from hub.ports import Clock, StorageFull
from hub.store.queries import Queries
from hub.store.receivers import Receiver, Wanted
from hub.store.webhook_log import Delivery, WebhookLog
from hub.store.webhooks import DELIVERED, FAILED, Try, Webhooks
from hub.webhooks.guard import target_of

logger = logging.getLogger(__name__)

ID_BYTES: Final = 8
FORGET_EVERY_MS: Final = 3_600_000
RETRY_MS: Final = 1_000
"""After a disk that had no room."""

HUB: Final = "hub"
"""Who disables a receiver that is gone: nobody's token."""


class NotThere(Exception):
    """Nobody of that id is told anything, any more or ever."""


class NotEnabled(Exception):
    """It is told nothing while it is disabled."""


class Notices:
    """`open` it before anybody asks; `run` belongs in the hub's TaskGroup."""

    def __init__(
        self,
        webhooks: Webhooks,
        log: WebhookLog,
        queries: Queries,
        clock: Clock,
        metrics: Metrics,
        audit: Jotter,
        *,
        pepper: bytes,
        epoch: Callable[[], str],
        source: str,
        allow_private: bool,
        roll: Callable[[], float],
        crasher: Crasher,
    ) -> None:
        self.log = log
        self.receivers: dict[str, Receiver] = {}
        self._backlog = Backlog({})
        self._webhooks = webhooks
        self._clock = clock
        self._metrics = metrics
        self._audit = audit
        self._source = source
        self._allow_private = allow_private
        self._keyring = Keyring(pepper)
        self._bell = asyncio.Event()
        self._one_by_one = asyncio.Lock()
        """Held from the reading of a receiver until its change is written: no change is lost to another."""
        self._fan_out = FanOut(
            self.receivers,
            self._backlog,
            webhooks,
            queries,
            clock,
            epoch=epoch,
            source=source,
            crasher=crasher,
        )
        self._sender = Sender(
            self.receivers,
            self._backlog,
            webhooks,
            self._keyring,
            clock,
            metrics,
            allow_private=allow_private,
            roll=roll,
            crasher=crasher,
            on_outcome=self._heard,
        )

    async def open(self) -> None:
        """Take everybody into memory."""
        self.receivers.update((one.webhook_id, one) for one in await self._webhooks.load())
        for webhook_id, number in (await self._webhooks.pending()).items():
            if webhook_id in self.receivers:
                self._backlog.add(webhook_id, number)

    def wake(self) -> None:
        """Events were committed."""
        self._bell.set()

    def pending(self, webhook_id: str) -> int:
        """How many deliveries are still before it."""
        return self._backlog.of(webhook_id)

    # --- the loops ---

    async def run(self) -> None:
        """Tell everybody everything they are to be told, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._spread())
            group.create_task(self._sender.run())
            group.create_task(self._forget())

    async def _spread(self) -> None:
        while True:
            self._bell.clear()
            try:
                told = await self._fan_out.step()
            except StorageFull:
                logger.warning("! no room to spread events")
                await self._clock.sleep_until(self._clock.now().ms + RETRY_MS)
                continue
            self._metrics.webhook_pending.set(self._backlog.total())
            for webhook_id in told or ():
                self._sender.look(webhook_id)
            if told is None:
                await self._bell.wait()

    async def _forget(self) -> None:
        while True:
            try:
                await self.log.forget(self._clock.now().wall_ms)
            except StorageFull:
                logger.warning("! no room even to forget deliveries")
            await self._clock.sleep_until(self._clock.now().ms + FORGET_EVERY_MS)

    # --- what came of a try ---

    async def _heard(self, webhook_id: str, one: Try, answer: object) -> None:
        """Keep since when it takes nothing, and give it up when it is gone or has failed for days."""
        self._bell.set()  # there may be room for more now
        async with self._one_by_one:
            now = self.receivers.get(webhook_id)
            if now is None or not now.is_enabled:
                return
            if one.state == FAILED:
                self._alert("webhook_failed", now, f"delivery {one.number} was tried {one.tries} times")
            await self._judge(now, one, answer)

    async def _judge(self, now: Receiver, one: Try, answer: object) -> None:
        since_ms = now.failing_since_wall_ms
        if one.state == DELIVERED:
            if since_ms is not None:
                await self._save(replace(now, failing_since_wall_ms=None))
        elif patience.is_gone(answer):
            await self._disable(now, "it answered 410 Gone")
        elif patience.is_given_up(since_ms, one.wall_ms, one.tries):
            await self._disable(now, "it has taken nothing for 5 days")
        elif since_ms is None:
            await self._save(replace(now, failing_since_wall_ms=one.wall_ms))

    async def _disable(self, receiver: Receiver, why: str) -> None:
        await self._save(replace(receiver, is_enabled=False, disabled_why=why))
        self._sender.drop(receiver.webhook_id)
        self._audit.jot("webhook_disabled", HUB, f"{receiver.webhook_id} {why}")
        self._alert("webhook_disabled", receiver, why)

    def _alert(self, kind: str, receiver: Receiver, why: str) -> None:
        self._metrics.alerts.labels(kind).inc()
        logger.warning("! alert: %s", why, extra={"kind": kind, "webhook_id": receiver.webhook_id})

    async def _save(self, receiver: Receiver, *, begins_anew: bool = False) -> Receiver:
        """Durable, then in memory; the cursor in memory may have moved meanwhile and counts."""
        saved = await self._webhooks.save(receiver, begins_anew=begins_anew)
        kept = saved if begins_anew else replace(saved, cursor=self.receivers[saved.webhook_id].cursor)
        self.receivers[saved.webhook_id] = kept
        return kept

    # --- what admins do ---

    async def add(
        self, url: str, wanted: Wanted, *, description: str = "", by: str = ""
    ) -> tuple[Receiver, str]:
        """A new one and its secret. Raises BadTarget and TooManyWebhooks."""
        target_of(url, allow_private=self._allow_private)
        wall_ms = self._clock.now().wall_ms
        receiver = await self._webhooks.add(
            Receiver(
                webhook_id="hook-" + secrets.token_hex(ID_BYTES),
                url=url,
                wanted=wanted,
                keys=(new_key(wall_ms),),
                description=description,
                created_by=by,
                created_wall_ms=wall_ms,
                updated_wall_ms=wall_ms,
            )
        )
        self.receivers[receiver.webhook_id] = receiver
        self._bell.set()
        return receiver, self._keyring.secret(receiver)

    async def change(self, webhook_id: str, edit: Callable[[Receiver], Receiver]) -> Receiver:
        """Another address, filter or sentence, or enabled or not. Raises BadTarget and NotThere."""
        async with self._one_by_one:
            before = self._there(webhook_id)
            changed = edit(before)
            target_of(changed.url, allow_private=self._allow_private)
            returns = changed.is_enabled and not before.is_enabled
            if returns or changed.url != before.url:
                changed = replace(changed, failing_since_wall_ms=None)
            if changed.is_enabled:
                changed = replace(changed, disabled_why=None)
            changed = replace(changed, updated_wall_ms=self._clock.now().wall_ms)
            saved = await self._save(changed, begins_anew=returns)
        if returns:
            self._backlog.set(webhook_id, (await self._webhooks.pending()).get(webhook_id, 0))
        self._bell.set()
        self._sender.look(webhook_id)
        return saved

    async def rotate(self, webhook_id: str) -> tuple[Receiver, str]:
        """A new secret, beside which the one before holds for a day. Raises NotThere."""
        async with self._one_by_one:
            changed = rotated(self._there(webhook_id), self._clock.now().wall_ms)
            saved = await self._save(changed)
        return saved, self._keyring.secret(saved)

    async def remove(self, webhook_id: str) -> None:
        async with self._one_by_one:
            self._there(webhook_id)
            await self._webhooks.remove(webhook_id)
            del self.receivers[webhook_id]
        self._backlog.drop(webhook_id)
        self._sender.drop(webhook_id)

    async def test(self, webhook_id: str) -> int:
        """Send a notice of nothing; the number of its delivery."""
        self._enabled(webhook_id)
        name, wall_ms = "msg_test_" + secrets.token_hex(ID_BYTES), self._clock.now().wall_ms
        body = body_of_test(webhook_id, name, self._source, wall_ms)
        number = await self._webhooks.add_test(webhook_id, name, TEST, body, wall_ms)
        self._backlog.add(webhook_id)
        self._sender.look(webhook_id)
        return number

    async def redeliver(self, delivery: Delivery) -> None:
        """Once more from the first try, under the same message id."""
        self._enabled(delivery.webhook_id)
        if await self._webhooks.once_more(delivery.number, self._clock.now().wall_ms):
            self._backlog.add(delivery.webhook_id)
        self._sender.look(delivery.webhook_id)

    async def replay(self, webhook_id: str, offset: int) -> int:
        """Tell it again of all events after this one that it is to be told of; where its cursor is now."""
        self._enabled(webhook_id)
        cursor = await self._webhooks.seek(webhook_id, offset)
        if cursor is None:
            raise NotEnabled(webhook_id)
        if webhook_id in self.receivers:
            self.receivers[webhook_id] = replace(self.receivers[webhook_id], cursor=cursor)
        self._bell.set()
        return cursor

    async def body(self, message_id: str) -> str | None:
        """What was told, as long as it is kept."""
        return await self._webhooks.body(message_id)

    async def offset_before(self, wall_ms: int) -> int:
        return await self._webhooks.offset_before(wall_ms)

    def _there(self, webhook_id: str) -> Receiver:
        if webhook_id not in self.receivers:
            raise NotThere(webhook_id)
        return self.receivers[webhook_id]

    def _enabled(self, webhook_id: str) -> None:
        if not self._there(webhook_id).is_enabled:
            raise NotEnabled(webhook_id)
