"""The line to the hub: dials, hands each connection to a `Link`, and dials again for ever.

Owns the dial (bearer header, subprotocol, certificate, no redirects), the number of each dial under this
boot, and the record of the last endings. What follows from an ending is decided in `redial.py`.
"""

from __future__ import annotations

import contextlib
import logging
import socket as sockets
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from protocol import limits
from protocol.close import CloseCode
from protocol.codec import Wire
from protocol.frames import AgentFrame, Heartbeat
from sidecar.clock import SidecarClock
from sidecar.errors import SettingsError
from sidecar.events import DeskEvent, LinkLost, LinkOpened
from sidecar.link import Link
from sidecar.redial import REFUSED, Ending, GiveUp, Window, next_dial

DIAL_MS: Final = 10_000
PING_S: Final = 20
"""Ping and pong of the WebSocket library; ours is the beat of the link, which also tells a deaf one."""

USER_TIMEOUT_MS: Final = 30_000
"""How long the kernel resends to a peer that does not answer: its own default is some fifteen minutes."""

WINDOW: Final = Window()
ENDINGS_KEPT: Final = 20
REASON_LENGTH_MAX: Final = 200

log = logging.getLogger("sidecar.line")


class Place(NamedTuple):
    """Where the hub is, and what opens its door."""

    url: str
    token: str
    ca_file: Path | None = None
    wire: Wire = Wire.JSON


class _Dial(connect):
    """The library's dial, without redirects: the token is for this hub and no other."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Line:
    """At most one link at a time, and always on the way to the next one."""

    def __init__(
        self,
        place: Place,
        clock: SidecarClock,
        *,
        post: Callable[[DeskEvent], None],
        has_room: Callable[[], Awaitable[None]],
        beat: Callable[[], Heartbeat],
        roll: Callable[[], float],
        window: Window = WINDOW,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.place = place
        self.dials = 0
        self.link: Link | None = None
        self.endings: deque[Ending] = deque(maxlen=ENDINGS_KEPT)
        self._clock = clock
        self._post = post
        self._has_room = has_room
        self._beat = beat
        self._roll = roll
        self._window = window
        self._changed = changed
        self._tls = tls_context(place)
        self._failures = 0

    async def run(self) -> GiveUp:
        """Dial for ever. Returns only when the hub has said that coming back is of no use."""
        while True:
            ending = await self._dial_once()
            self.endings.append(ending)
            follow = next_dial(ending, self._failures, self.dials, self._window, self._roll())
            what = {"dial": ending.dial, "code": ending.code, "reason": ending.reason, "side": ending.side}
            log.info("connection ended", extra=what | {"duration_ms": ending.duration_ms})
            self._changed()
            if isinstance(follow, GiveUp):
                return follow
            self._failures = follow.failures
            await self._clock.sleep(follow.delay_ms)

    def say(self, link_id: int, frames: Sequence[AgentFrame]) -> None:
        """Say frames over this link, if it is still the one that is up."""
        if self.link is not None and self.link.number == link_id:
            self.link.say(frames)

    def hang_up(
        self, link_id: int, reason: str, retry_in_ms: int | None = None
    ) -> Coroutine[None, None, None]:
        """Leave this link: from now on nothing is said there. Await the goodbye; `run` dials again."""
        link = self.link
        if link is None or link.number != link_id or not link.leave(reason, retry_in_ms):
            return _nothing()
        return link.close()

    @property
    def is_identified(self) -> bool:
        return self.link is not None and self.link.identified is not None

    async def _dial_once(self) -> Ending:
        self.dials += 1
        began = self._clock.now()
        try:
            socket = await dial(self.place, self._tls)
        except InvalidStatus as error:
            status = error.response.status_code
            reason = f"the hub answered the upgrade with HTTP {status}"
            retry_after = error.response.headers.get("Retry-After", "")
            return Ending(
                code=REFUSED.get(status, CloseCode.ABNORMAL),
                reason=reason,
                side="hub",
                dial=self.dials,
                retry_after_ms=int(retry_after) * 1000 if retry_after.isdecimal() else None,
                wall_ms=began.wall_ms,
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, EOFError) as error:
            reason = str(error) or type(error).__name__
            return Ending(
                code=CloseCode.ABNORMAL,
                reason=reason[:REASON_LENGTH_MAX],
                side="network",
                dial=self.dials,
                duration_ms=self._clock.now().mono_ms - began.mono_ms,
                wall_ms=began.wall_ms,
            )
        return await self._talk(socket)

    async def _talk(self, socket: ClientConnection) -> Ending:
        self.link = link = Link(
            socket, self.dials, self._clock, post=self._post, has_room=self._has_room, beat=self._beat
        )
        log.info("connected", extra={"dial": link.number, "hub": self.place.url})
        self._post(LinkOpened(link.number))
        try:
            ending = await link.talk()
        finally:
            self.link = None
            self._post(LinkLost(link.number))
        return ending._replace(reason=ending.reason[:REASON_LENGTH_MAX])


async def _nothing() -> None:
    """There is nobody to say goodbye to."""


async def dial(place: Place, tls: ssl.SSLContext | None) -> ClientConnection:
    """Connect, within the time for it; raises what the library raises."""
    socket = await _Dial(
        place.url,
        additional_headers={"Authorization": f"Bearer {place.token}"},
        subprotocols=[Subprotocol(place.wire.subprotocol)],
        compression=None,
        user_agent_header="crewhub-sidecar",
        proxy=None if is_local(place.url) else True,
        open_timeout=DIAL_MS / 1000,
        ping_interval=PING_S,
        ping_timeout=PING_S,
        close_timeout=2,
        max_size=limits.WEBSOCKET_BYTES_MAX,
        ssl=tls,
    )
    raw = socket.transport.get_extra_info("socket")
    if raw is not None and hasattr(sockets, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):
            raw.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    return socket


async def try_dial(place: Place) -> None:
    """Connect and hang up, to see whether that works."""
    await (await dial(place, tls_context(place))).close()


def is_local(url: str) -> bool:
    """The hub is on this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def is_exposed(url: str) -> bool:
    """What is said can be read by others on the way."""
    return urlsplit(url).scheme != "wss" and not is_local(url)


def tls_context(place: Place) -> ssl.SSLContext | None:
    """The hub's certificate is always verified, by the system's authorities or by the file that was named."""
    if urlsplit(place.url).scheme != "wss":
        return None
    try:
        context = ssl.create_default_context(cafile=None if place.ca_file is None else str(place.ca_file))
    except OSError as error:
        raise SettingsError(f"{place.ca_file} is not a file of certificates: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
