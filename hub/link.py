"""One agent's WebSocket: bytes to frames to letters, and frames to bytes.

Owns the socket's side of a conversation: who it says it is, the identify deadline, rates, the bounded out-
queue, how it is closed and why. Answers a ping by itself; everything else is the board's to decide, so
nothing here asks about a task. Nothing here waits: what arrives is posted to the dispatcher, what is to be
said is written at once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hub.audit import NOBODY
from hub.auth import Identity
from hub.core.events import AgentIdentified, BadFactHeard, Event, FrameHeard, LinkLost, Sender
from hub.guards import GuardedWebSocket
from hub.introduction import introduced
from hub.ladder import PAUSE_MS, RETRY_AFTER_MS, Ladder, Step
from hub.manners import MANNERS, Manner
from hub.proofs import Proofs
from protocol.badframe import BadFrame, reply_to_bad
from protocol.close import CloseCode, close_rule
from protocol.codec import Announcement
from protocol.conversation import HubConversation, Phase, reply_to_end
from protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    AgentFrame,
    ErrorFrame,
    FieldError,
    Frame,
    HubFrame,
    Identify,
    Message,
    Ping,
    Pong,
    frame_type,
)
from protocol.ids import InstanceId, MessageId
from protocol.limits import MIB

if TYPE_CHECKING:
    from hub.registry import Registry

OUT_MESSAGES_MAX: Final = 64
OUT_BYTES_MAX: Final = 1 * MIB
"""What may wait for a peer that does not read. Above either it is too slow, and comes back with a fresh
mind."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a link ended: on whose side, with which code and reason."""

    code: int
    reason: str
    side: str


class Link:
    """One WebSocket on `/ws`, from its acceptance to its end. Implements `guards.Ear`."""

    def __init__(
        self,
        registry: Registry,
        socket: GuardedWebSocket,
        *,
        link_id: int,
        address: str,
        subprotocol: str | None,
        identity: Identity | None,
    ) -> None:
        self.link_id = link_id
        self.address = address
        self.identity = identity
        self.sender: Sender | None = None
        self.ended: Ended | None = None
        self.wall_ms = registry.clock.now().wall_ms
        self.born_ms = self.heard_ms = self.pinged_ms = registry.clock.now_ms()
        self.clogged_ms: int | None = None
        self._registry = registry
        self._socket = socket
        self._conversation = HubConversation(subprotocol, is_trusted=identity is not None)
        self._ladder = Ladder(
            frames_per_second=registry.settings.frames_per_second,
            frames_burst=registry.settings.frames_burst,
            slots=1,
            now_ms=self.born_ms,
        )
        self._pending: list[HubFrame | Announcement[HubFrame]] = []
        self._unsent: deque[str | bytes] = deque()
        self._unsent_bytes = 0
        self._pauses: set[str] = set()
        self._proofs = Proofs()
        self._timer: asyncio.TimerHandle | None = None
        self._after_ms(registry.settings.identify_ms, self._identify_overdue)

    @property
    def agent_id(self) -> str | None:
        return self.sender.agent_id if self.sender is not None else None

    @property
    def is_identified(self) -> bool:
        """Whether the board has taken it in: from then on it hears what others hear."""
        return self._conversation.phase is Phase.OPEN and self.ended is None

    @property
    def version(self) -> int:
        return self._conversation.version

    # --- hearing ---------------------------------------------------------------------------------------

    def hear(self, message: bytes, is_text: bool) -> None:
        if self.ended is not None:
            return
        self.heard_ms = self._registry.clock.now_ms()
        try:
            frames = self._conversation.receive(message.decode() if is_text else message)
        except UnicodeDecodeError:
            self.hang_up(CloseCode.INVALID_DATA, "a text message was not UTF-8")
            return
        except RemoteProtocolError as error:
            self._registry.metrics.bad_frames.labels(error.code.value).inc()
            if self._conversation.wire.text or error.close is not CloseCode.UNSUPPORTED_DATA:
                self.say(reply_to_end(error))
            self.hang_up(error.close or CloseCode.BAD_FRAME, error.detail)
            return
        self._registry.metrics.frames_heard.inc(len(frames))
        share = len(message) // len(frames) if frames else 0
        letters = [letter for frame in frames if (letter := self._letter(frame, share)) is not None]
        if letters:
            self._registry.post(self, letters)
        if self._pending:
            self.flush()

    def hear_control(self, pong: bytes = b"") -> None:
        self.heard_ms = self._registry.clock.now_ms()
        self._proofs.hear(pong)

    def _letter(self, frame: AgentFrame | BadFrame, frame_bytes: int) -> Event | None:
        """What a frame is to the board; None for what the link answers itself or does not take."""
        if self.ended is not None:
            return None
        if isinstance(frame, BadFrame):
            return self._bad(frame)
        if isinstance(frame, Identify):
            return self._introduce(frame)
        assert self.sender is not None, "the conversation lets nothing pass before identify"
        manner = MANNERS[type(frame)]
        if manner is not Manner.FACT and not self._takes(frame, manner, frame_bytes):
            self._ladder.note_gap(frame)
            return None
        frame = self._ladder.with_gap(frame)
        if isinstance(frame, Ping):
            self.say(Pong(timestamp=self._registry.clock.now().wall_ms))
            return None
        if isinstance(frame, Message):
            return FrameHeard(sender=self.sender, frame=frame, message_id=MessageId(secrets.token_hex(8)))
        return FrameHeard(sender=self.sender, frame=frame)

    def _bad(self, bad: BadFrame) -> BadFactHeard | None:
        self._registry.metrics.bad_frames.labels(bad.code.value).inc()
        if self._ladder.weigh(0, self.heard_ms) is Step.HEAR or bad.seq is not None:
            self.say(reply_to_bad(bad))
        if bad.seq is None or self.sender is None or self.version < 2:
            return None
        return BadFactHeard(sender=self.sender, seq=bad.seq, task_id=bad.task_id)

    # --- who is it? ------------------------------------------------------------------------------------

    def _introduce(self, frame: Identify) -> AgentIdentified | None:
        identity = self.identity
        if identity is None and frame.token is not None:
            identity = self.identity = self._registry.authority.check(frame.token)
        if identity is None:
            self._registry.metrics.refused_tokens.inc()
            self._refuse(frame, ErrorCode.INVALID_TOKEN, CloseCode.INVALID_TOKEN)
        elif not identity.may_connect_as(frame.agent_id, frame.instance_id):
            self._refuse(frame, ErrorCode.TOKEN_AGENT_MISMATCH, CloseCode.TOKEN_OF_ANOTHER_AGENT)
        elif self.version >= 2 and frame.instance_id is None:
            missing = FieldError(
                field="instance_id", error="missing", detail="a v2 client says which journal it has"
            )
            self._refuse(frame, ErrorCode.VALIDATION_FAILED, CloseCode.BAD_FRAME, errors=(missing,))
        elif left_ms := self._registry.quarantine.left_ms(identity.token_id, self.heard_ms):
            self._refuse(frame, ErrorCode.RATE_LIMITED, CloseCode.TOO_MANY_VIOLATIONS, retry_after_ms=left_ms)
        else:
            return self._introduced(frame, identity)
        return None

    def _introduced(self, frame: Identify, identity: Identity) -> AgentIdentified:
        self.identity = identity
        is_v1 = self.version < 2
        instance_id = (
            frame.instance_id if not is_v1 and frame.instance_id else InstanceId(f"v1:{identity.token_id}")
        )
        self.sender = Sender(self.link_id, frame.agent_id, instance_id, self.version)
        slots = 1 if is_v1 else frame.slots
        settings = self._registry.settings
        self._ladder = Ladder(
            frames_per_second=settings.frames_per_second,
            frames_burst=settings.frames_burst,
            slots=slots if is_v1 else slots + sum(frame.slot_kinds.values()),
            now_ms=self.heard_ms,
        )
        self._socket.trust()
        self._no_timer()
        self._registry.introduced(self, frame)
        return introduced(frame, self.sender, slots=slots)

    def _refuse(
        self,
        frame: Identify,
        error: ErrorCode,
        close: CloseCode,
        *,
        retry_after_ms: int | None = None,
        errors: tuple[FieldError, ...] | None = None,
    ) -> None:
        """A failed identify: say why, wait, close. v1 clients come back a second later, for ever (contracts
        §1.1)."""
        self.say(
            ErrorFrame(
                error=error.value, message_type="identify", retry_after_ms=retry_after_ms, errors=errors
            )
        )
        actor = self.identity.token_id if self.identity is not None else NOBODY
        self._registry.audit.refused(actor, f"/ws {error.value} {frame.agent_id}", address=self.address)
        hold_ms = self._registry.hold_ms(self.address, frame.agent_id)
        self.hang_up(close, close_rule(close).sentence, hold_ms=hold_ms)

    def _identify_overdue(self) -> None:
        self.hang_up(CloseCode.IDENTIFY_DEADLINE, close_rule(CloseCode.IDENTIFY_DEADLINE).sentence)

    # --- how much does it say? -------------------------------------------------------------------------

    def _takes(self, frame: Frame, manner: Manner, frame_bytes: int) -> bool:
        now_ms = self.heard_ms
        step = (
            self._ladder.weigh_life(now_ms)
            if manner is Manner.LIFE
            else self._ladder.weigh(frame_bytes, now_ms)
        )
        if step is Step.HEAR:
            return True
        self._registry.metrics.rate_limited.inc()
        limited = ErrorFrame(
            error=ErrorCode.RATE_LIMITED.value,
            message_type=frame_type(frame),
            retry_after_ms=RETRY_AFTER_MS if step is Step.CLOSE else PAUSE_MS,
        )
        if step is not Step.DROP or manner is Manner.TALK:
            self.say(limited)
        if step is Step.PAUSE:
            self.pause("rate")
            asyncio.get_running_loop().call_later(PAUSE_MS / 1000, self.resume, "rate")
        elif step is Step.CLOSE:
            self._registry.flooded(self)
            self.hang_up(CloseCode.TOO_MANY_VIOLATIONS, f"{self._ladder.dropped} frames too many")
        return False

    def pause(self, why: str) -> None:
        """Stop reading; what the peer says waits in its own buffers."""
        self._pauses.add(why)
        self._socket.stop_hearing()

    def resume(self, why: str) -> None:
        self._pauses.discard(why)
        if not self._pauses:
            self._socket.hear_again()

    # --- saying ----------------------------------------------------------------------------------------

    def say(self, frame: HubFrame | Announcement[HubFrame]) -> None:
        """Goes out with the next `flush`, in one message with all that is said until then (v2)."""
        if self.ended is None:
            self._pending.append(frame)

    def flush(self) -> None:
        if not self._pending:
            return
        frames, self._pending = self._pending, []
        try:
            messages = self._conversation.say(*frames)
        except LocalProtocolError:
            logger.exception("said what may not be said", extra={"link_id": self.link_id})
            self.hang_up(CloseCode.INTERNAL_ERROR, "the hub failed")
            return
        self._registry.metrics.frames_said.inc(len(frames))
        for message in messages:
            self._send(message)

    def _send(self, message: str | bytes) -> None:
        if self._socket.is_read and not self._unsent:
            self._socket.say(message)
            return
        self._unsent.append(message)
        self._unsent_bytes += len(message)
        if self.clogged_ms is None:
            self.clogged_ms = self._registry.clock.now_ms()
            self.pause("clogged")
        if len(self._unsent) > OUT_MESSAGES_MAX or self._unsent_bytes > OUT_BYTES_MAX:
            self.abort(CloseCode.TOO_SLOW_OR_TOO_BIG, f"{len(self._unsent)} messages unread")

    def drained(self) -> None:
        while self._unsent and self._socket.is_read:
            message = self._unsent.popleft()
            self._unsent_bytes -= len(message)
            self._socket.say(message)
        self._ask_for_proof()
        if not self._unsent and self.clogged_ms is not None:
            self.clogged_ms = None
            self.resume("clogged")

    async def is_heard(self) -> bool:
        """Say what is to be said, and wait until the peer has read all of it; False when it is gone first."""
        self.flush()
        proof = self._proofs.due(is_over=self.ended is not None)
        self._ask_for_proof()
        return await proof

    def _ask_for_proof(self) -> None:
        """A ping behind all that was said: its pong comes when the peer has read what was before it."""
        if self._proofs.unasked and not self._unsent and self._socket.is_read:
            self._socket.ping(self._proofs.ask())

    # --- watching over it ------------------------------------------------------------------------------

    def check(self, now_ms: int) -> None:
        """Called every few seconds: is it alive, does it read? Any frame counts as life (L11)."""
        if self.ended is not None:
            return
        settings = self._registry.settings
        silence_ms = now_ms - self.heard_ms
        allowed_ms = settings.silence_ms if self.version >= 2 else settings.v1_silence_ms
        if self.clogged_ms is not None and now_ms - self.clogged_ms > settings.send_ms:
            self.abort(CloseCode.TOO_SLOW_OR_TOO_BIG, f"nothing read for {settings.send_ms // 1000} s")
        elif silence_ms > allowed_ms and not self._pauses:
            self.abort(CloseCode.ABNORMAL, f"silent for {silence_ms // 1000} s")
        elif min(silence_ms, now_ms - self.pinged_ms) > min(settings.ping_ms, allowed_ms // 2):
            self.pinged_ms = now_ms
            self._socket.ping()

    # --- ending ----------------------------------------------------------------------------------------

    def hang_up(self, code: CloseCode, reason: str, *, hold_ms: int = 0) -> None:
        """Close with what was said before going out first; nothing more is heard."""
        if self.ended is not None:
            return
        self.flush()
        self._ended(code, reason, "hub")
        if hold_ms:
            self.pause("held")
            self._after_ms(hold_ms, self._close)
        else:
            self._close()

    def _close(self) -> None:
        assert self.ended is not None
        if self._unsent:
            self._socket.abort()
        else:
            self._socket.hang_up(CloseCode(self.ended.code), self.ended.reason)

    def abort(self, code: CloseCode, reason: str) -> None:
        """Throw the socket away: whoever does not read or speak would not answer a close either."""
        self._ended(code, reason, "hub")
        self._socket.abort()

    def gone(self, code: int, reason: str, side: str) -> None:
        """The socket is no more; the last thing that is called."""
        self._no_timer()
        self._ended(code, reason, side)

    def _ended(self, code: int, reason: str, side: str) -> None:
        """Whoever was first ends it; the board hears of it at once, not when the socket is gone."""
        if self.ended is not None:
            return
        self.ended = Ended(code, reason, side)
        self._proofs.give_up()
        self._no_timer()
        if self.sender is not None:
            self._registry.post(self, [LinkLost(link_id=self.link_id, reason=reason)])

    def _after_ms(self, delay_ms: int, call: Callable[[], None]) -> None:
        self._no_timer()
        self._timer = asyncio.get_running_loop().call_later(delay_ms / 1000, call)

    def _no_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
