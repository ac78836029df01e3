"""What a hub does now and then: look at the disk and at tokens, write down who did what, forget.

Owns the intervals. Everything here may be late, or fail without harm: what fails is logged and tried again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from hub.disk import kept_by
from hub.ports import StorageFull
from hub.store.retention import Retention

if TYPE_CHECKING:
    from hub.parts import Parts

DISK_EVERY_MS: Final = 2_000
TOKENS_EVERY_MS: Final = 60_000
"""Sockets of tokens that have expired are closed at the latest after this (security A5)."""

AUDIT_EVERY_MS: Final = 1_000
"""What a kill may cost of the audit's quick half."""

FORGET_EVERY_MS: Final = 3_600_000
"""Rows that are past their age go within the hour."""

logger = logging.getLogger(__name__)


async def watch_disk(parts: Parts) -> None:
    """Refuse pushes while there is little room, so that results still find some."""
    while True:
        parts.dispatcher.note_room(has_room=parts.ledger.has_room())
        parts.metrics.disk_free_bytes.set(parts.database.free_bytes())
        parts.metrics.absence_seconds.set(parts.registry.clock.absent_ms / 1000)
        await parts.clock.sleep_until(parts.clock.now().ms + DISK_EVERY_MS)


async def watch_tokens(parts: Parts) -> None:
    """Close what is open with a token or a session that is over; keep when tokens were last used."""
    while True:
        await parts.clock.sleep_until(parts.clock.now().ms + TOKENS_EVERY_MS)
        is_valid = parts.authority.is_valid
        closed = parts.registry.close_invalid(is_valid) + parts.feed.close_invalid(is_valid)
        closed += parts.feed.close_over(parts.clock.now().wall_ms)
        if closed:
            logger.info("x closed sockets of expired tokens", extra={"sockets": closed})
        try:
            await parts.tokens.note_used(parts.authority.take_used())
        except StorageFull:
            continue  # when a token was last used is nice to know, no more


async def write_audit(parts: Parts) -> None:
    """Write down what was done and refused since the last look."""
    while True:
        await parts.clock.sleep_until(parts.clock.now().ms + AUDIT_EVERY_MS)
        await parts.audit.flush()


async def forget(parts: Parts) -> None:
    """Let go of what is past its age, for ever."""
    while True:
        await forget_once(parts)
        await parts.clock.sleep_until(parts.clock.now().ms + FORGET_EVERY_MS)


async def forget_once(parts: Parts) -> None:
    """Final tasks, events, logs, mail, audit and tokens, each at its own age. A full disk waits."""
    try:
        now = parts.clock.now
        kept = kept_by(parts.settings)
        retention = Retention(
            parts.ledger,
            parts.queries,
            lambda: now().wall_ms,
            kept=kept,
            on_forgotten=parts.dispatcher.forget,
        )
        await retention.sweep()
        await parts.tokens.forget_old()
    except StorageFull:
        logger.warning("! no room even to forget")
