"""One connection to the hub: bytes ⇄ conversation, frames ⇄ the desk's events, a beat that nothing blocks.

Owns the socket, its queue of what is to be said, the heartbeat, and noticing that the hub has gone deaf or
the machine has slept. Never decides about tasks, and never dials again (`line.py` does).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from protocol import limits
from protocol.badframe import BadFrame
from protocol.close import CloseCode
from protocol.codec import Message
from protocol.conversation import AgentConversation
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    AgentFrame,
    ErrorFrame,
    Heartbeat,
    Identified,
    Ping,
    TaskLog,
    TaskProgress,
    TaskUsage,
)
from sidecar.clock import SidecarClock
from sidecar.events import HubSaid, TalkDropped
from sidecar.redial import Ending

UNSENT_TALK_BYTES_MAX: Final = 1 * limits.MIB
"""Above it passing talk is dropped and counted. Facts are queued always: they are in memory anyway, and their
number is bounded at the desk.
"""

SEND_MS: Final = 30_000
"""A hub that has not taken a byte for so long is left; every fact is in the journal and is said again."""

TICK_MS: Final = 1_000
"""How often the link looks whether the machine has slept; a shorter beat is kept all the same."""

SLEPT_MS: Final = 5_000
"""A sleep above this has cost us the connection, whether the socket knows it or not."""

SILENT_BEATS_MAX: Final = 2
"""Beats in a row without a single frame from the hub, although each beat carries a ping: it no longer hears
us, or we no longer hear it."""

CLOSE_MS: Final = 2_000
"""For a polite goodbye; after it the socket is thrown away."""

log = logging.getLogger("sidecar.link")


class Link:
    """One connection from its opening to its ending. `talk` returns when it is over."""

    def __init__(
        self,
        socket: ClientConnection,
        number: int,
        clock: SidecarClock,
        *,
        post: Callable[[HubSaid | TalkDropped], None],
        has_room: Callable[[], Awaitable[None]],
        beat: Callable[[], Heartbeat],
    ) -> None:
        self.number = number
        self.is_over = False
        self.identified: Identified | None = None
        self._socket = socket
        self._clock = clock
        self._post = post
        self._has_room = has_room
        self._beat = beat
        self._conversation = AgentConversation(socket.subprotocol)
        self._unsent: deque[Message] = deque()
        self._unsent_bytes = 0
        self._something_unsent = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._was_heard = True
        self._retry_after_ms: int | None = None
        self._opened_ms = clock.now().mono_ms
        self._own_reason: str | None = None
        self._is_waking = False

    # --- saying -------------------------------------------------------------------------------------------

    def say(self, frames: Sequence[AgentFrame]) -> None:
        """Queue frames as few messages; never waits. What cannot be sent is said on the next link."""
        if self.is_over or self._own_reason is not None:
            return
        if self._unsent_bytes > UNSENT_TALK_BYTES_MAX:
            frames = self._without_talk(frames)
        try:
            messages = self._conversation.say(*frames)
        except LocalProtocolError:
            log.exception("said out of turn", extra={"dial": self.number})
            self.abort("we were about to break the protocol")
            return
        self._unsent.extend(messages)
        self._unsent_bytes += sum(map(len, messages))
        if messages:
            self._something_unsent.set()
            self._all_sent.clear()

    def leave(self, reason: str, retry_after_ms: int | None = None) -> bool:
        """From now on nothing more is said here; `close` must follow if this is True."""
        if self.is_over or self._own_reason is not None:
            return False
        self._own_reason, self._retry_after_ms = reason, retry_after_ms
        return True

    async def close(self) -> None:
        """Send what is queued, then say goodbye; `talk` returns."""
        reason = self._own_reason or ""
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(CLOSE_MS / 1000):
                await self._all_sent.wait()
                await self._socket.close(CloseCode.NORMAL, reason[:100])
        self._socket.transport.abort()

    def abort(self, reason: str, *, is_waking: bool = False) -> None:
        """Throw the socket away: a peer that is not there cannot answer a goodbye."""
        if self._own_reason is None:
            self._own_reason, self._is_waking = reason, is_waking
        self.is_over = True
        self._socket.transport.abort()

    def _without_talk(self, frames: Sequence[AgentFrame]) -> list[AgentFrame]:
        """A gap is said: progress by its count, lines of a log by their numbers."""
        for frame in frames:
            if isinstance(frame, TaskProgress) and frame.generation is not None:
                self._post(TalkDropped(frame.task_id, frame.generation, 1 + frame.dropped))
        return [frame for frame in frames if not isinstance(frame, TaskProgress | TaskLog | TaskUsage)]

    # --- being ----------------------------------------------------------------------------------------------

    async def talk(self) -> Ending:
        """Hear and say until the connection is over, and tell how it ended."""
        async with asyncio.TaskGroup() as tasks:
            others = (tasks.create_task(self._write()), tasks.create_task(self._watch()))
            try:
                await self._read()
            finally:
                self.is_over = True
                for other in others:
                    other.cancel()
                self._socket.transport.abort()
        return self._ending()

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await self._socket.recv()
                self._was_heard = True
                try:
                    heard = self._conversation.receive(message)
                except RemoteProtocolError as error:
                    log.warning(
                        "the hub broke the protocol", extra={"dial": self.number, "detail": str(error)}
                    )
                    await self._refuse(error)
                    return
                for item in heard:
                    if isinstance(item, BadFrame):
                        log.warning(
                            "frame not understood", extra={"dial": self.number, "frame": item.message_type}
                        )
                        continue
                    if isinstance(item, Identified):
                        self.identified = item
                    elif isinstance(item, ErrorFrame):
                        self._retry_after_ms = item.retry_after_ms
                    self._post(HubSaid(self.number, item))
                await self._has_room()

    async def _refuse(self, error: RemoteProtocolError) -> None:
        self._own_reason = str(error)
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(CLOSE_MS / 1000):
                await self._socket.close(error.close or CloseCode.BAD_FRAME, error.code.value)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._something_unsent.wait()
                while self._unsent:
                    message = self._unsent.popleft()
                    try:
                        async with asyncio.timeout(SEND_MS / 1000):
                            await self._socket.send(message)
                    except TimeoutError:
                        self.abort("the hub does not read what we say")
                        return
                    self._unsent_bytes -= len(message)
                self._something_unsent.clear()
                self._all_sent.set()

    async def _watch(self) -> None:
        """Beat, and notice what no frame tells: that we slept, were not identified, or are not heard."""
        asleep_ms = self._clock.asleep_ms()
        beat_at_ms: int | None = None
        silent_beats = 0
        while True:
            await self._clock.sleep(min(TICK_MS, self._heartbeat_ms))
            now_ms, heartbeat_ms = self._clock.now().mono_ms, self._heartbeat_ms
            if self._clock.asleep_ms() - asleep_ms > SLEPT_MS:
                self.abort("the machine slept", is_waking=True)
            elif self.identified is None:
                if now_ms - self._opened_ms > limits.IDENTIFY_TIMEOUT_MS:
                    self.abort(f"not identified within {limits.IDENTIFY_TIMEOUT_MS // 1000} s")
            elif beat_at_ms is None:
                beat_at_ms = self._opened_ms + heartbeat_ms
            elif now_ms >= beat_at_ms:
                # Counted in beats and not in time: after a stop of our own process the hub gets its chance.
                silent_beats = 0 if self._was_heard else silent_beats + 1
                self._was_heard = False
                if silent_beats >= SILENT_BEATS_MAX:
                    self.abort(f"deaf: nothing heard for {silent_beats} beats")
                self.say((self._beat(), Ping()))
                beat_at_ms = now_ms + heartbeat_ms

    @property
    def _heartbeat_ms(self) -> int:
        agreed = None if self.identified is None else self.identified.heartbeat_ms
        return agreed or limits.HEARTBEAT_MS

    def _ending(self) -> Ending:
        now = self._clock.now()
        side: Literal["hub", "us", "network"]
        if self._own_reason is not None:
            side, code, reason = "us", int(CloseCode.NORMAL), self._own_reason
        elif self._socket.protocol.close_rcvd is not None:
            side, code = "hub", self._socket.protocol.close_rcvd.code
            reason = self._socket.protocol.close_rcvd.reason
        else:
            own = self._socket.protocol.close_sent
            side, code = "network", int(CloseCode.ABNORMAL)
            reason = "lost without a goodbye" if own is None else f"{own.code} {own.reason}".strip()
        return Ending(
            code=code,
            reason=reason,
            side=side,
            dial=self.number,
            duration_ms=now.mono_ms - self._opened_ms,
            identified=self.identified is not None,
            retry_after_ms=self._retry_after_ms,
            wall_ms=now.wall_ms,
            is_waking=self._is_waking,
        )
