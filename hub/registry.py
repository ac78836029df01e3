"""Which link reaches whom, and what became of the links before it.

Owns the table of links, the account of dials and closes of each agent, the counts by which failed
identifies are held longer and longer, and the sweep that finds dead sockets. Carries effects to links, one
flush for each link and turn. Never decides who may stay: the board does, and says so with `HangUp`.
"""

from __future__ import annotations

import itertools
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from hub.audit import Jotter, NoAudit
from hub.census import Cap
from hub.clock import HubClock
from hub.core.effects import HangUp, Tell, TellOthers
from hub.core.events import Event
from hub.ladder import Quarantine
from hub.metrics import Metrics
from hub.runs.forms import FormsTold
from hub.settings import Settings
from protocol.close import CloseCode, close_rule
from protocol.codec import Announcement
from protocol.frames import HubFrame, Identify
from protocol.ids import TokenId

if TYPE_CHECKING:
    from hub.auth import Authority
    from hub.link import Link

SWEEP_MS: Final = 1_000
"""How often silent links are looked for: a fraction of the shortest silence that anybody may set."""

VISITS_MAX: Final = 20
"""Dials and closes kept of an agent."""

AGENTS_REMEMBERED_MAX: Final = 10_000
"""Agents whose visits are kept; the longest unseen is forgotten first."""

FAILURES_REMEMBERED_MAX: Final = 10_000
HOLD_MS_MAX: Final = 60_000
HOLD_DOUBLINGS_MAX: Final = 6

WAVE_LINKS: Final = 100
WAVE_PAUSE_MS: Final = 100
"""A drained hub lets go of its agents in waves, so that the next hub meets them one wave at a time."""

logger = logging.getLogger(__name__)


class Inbox(Protocol):
    """Where letters go: the dispatcher."""

    def post(self, events: Sequence[Event]) -> bool:
        """Take letters in; whether there is room for more. They are taken in any case."""

    def when_room(self, link: Link) -> None:
        """Resume that link's reading as soon as there is room."""


class InnerLine(Protocol):
    """The way to an agent inside the hub: no socket, nobody to introduce, nothing to look after."""

    link_id: int

    def say(self, frame: HubFrame) -> None: ...

    def hang_up(self, reason: str) -> None: ...


class Visit(Struct, frozen=True, kw_only=True):
    """One connection of an agent. `code` and the rest are None while it lasts."""

    at: int
    version: int
    address: str
    code: int | None = None
    reason: str | None = None
    side: str | None = None
    duration_ms: int | None = None


class Registry:
    def __init__(
        self,
        *,
        settings: Settings,
        clock: HubClock,
        metrics: Metrics,
        authority: Authority,
        strangers: Cap,
        audit: Jotter | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self.authority = authority
        self.strangers = strangers
        self.audit: Jotter = audit or NoAudit()
        self.quarantine = Quarantine()
        self.forms = FormsTold()
        self.is_draining = False
        self._agents_connected = 0
        self._inbox: Inbox | None = None
        self._links: dict[int, Link] = {}
        self._inner: dict[int, InnerLine] = {}
        self._link_ids = itertools.count(1)
        self._unflushed: dict[int, Link] = {}
        self._visits: OrderedDict[str, deque[Visit]] = OrderedDict()
        self._failures: OrderedDict[tuple[str, str], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._links)

    def bind(self, inbox: Inbox) -> None:
        """Registry and dispatcher know each other: links post letters, the dispatcher tells effects."""
        self._inbox = inbox

    @property
    def agents_connected(self) -> int:
        """Links whose agent has shown a good token."""
        return self._agents_connected

    # --- what links call -------------------------------------------------------------------------------

    def number(self) -> int:
        """The id of the next link; unique in this hub's life."""
        return next(self._link_ids)

    def add(self, link: Link) -> None:
        self._links[link.link_id] = link

    def attach(self, line: InnerLine) -> None:
        """An agent inside the hub. It counts as no connected agent, and hears no gossip about others."""
        self._inner[line.link_id] = line

    def detach(self, line: InnerLine) -> None:
        del self._inner[line.link_id]

    def introduced(self, link: Link, frame: Identify) -> None:
        """The token was good: whether the name may be had is up to the board."""
        assert link.agent_id is not None
        if link.version >= 2:
            self.forms.tell(frame.plugins, frame.plugin_schemas)
        self.strangers.leave(link.address)
        self._failures.pop((link.address, link.agent_id), None)
        self._agents_connected += 1
        self.metrics.agents_connected.set(self._agents_connected)
        visits = self._visits.setdefault(link.agent_id, deque(maxlen=VISITS_MAX))
        self._visits.move_to_end(link.agent_id)
        visits.append(Visit(at=link.wall_ms, version=link.version, address=link.address))
        while len(self._visits) > AGENTS_REMEMBERED_MAX:
            self._visits.popitem(last=False)

    def closed(self, link: Link) -> None:
        """The socket is gone: keep the account of it (L61)."""
        ended = link.ended
        assert ended is not None
        del self._links[link.link_id]
        self._unflushed.pop(link.link_id, None)
        self.metrics.closes.labels(str(int(ended.code)), ended.side).inc()
        duration_ms = self.clock.now_ms() - link.born_ms
        extra = {
            "link_id": link.link_id,
            "agent_id": link.agent_id,
            "code": int(ended.code),
            "reason": ended.reason,
            "side": ended.side,
            "duration_ms": duration_ms,
        }
        logger.info("x link closed", extra=extra)
        if link.agent_id is None:
            self.strangers.leave(link.address)
            return
        self._agents_connected -= 1
        self.metrics.agents_connected.set(self._agents_connected)
        visits = self._visits.get(link.agent_id)
        if visits is None:
            return
        for index, visit in enumerate(visits):
            if visit.code is None and visit.at == link.wall_ms and visit.address == link.address:
                visits[index] = Visit(
                    at=visit.at,
                    version=visit.version,
                    address=visit.address,
                    code=int(ended.code),
                    reason=ended.reason,
                    side=ended.side,
                    duration_ms=duration_ms,
                )
                return

    def post(self, link: Link, letters: Sequence[Event]) -> None:
        assert self._inbox is not None, "a link was opened before the dispatcher was there"
        if not self._inbox.post(letters) and link.ended is None:
            link.pause("inbox")
            self._inbox.when_room(link)

    def hold_ms(self, address: str, name: str) -> int:
        """How long to hold a socket whose identify failed: 1 s, 2 s, 4 s … a minute (contracts §1.1)."""
        key = (address, name)
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._failures.move_to_end(key)
        while len(self._failures) > FAILURES_REMEMBERED_MAX:
            self._failures.popitem(last=False)
        return min(1_000 << min(failures, HOLD_DOUBLINGS_MAX), HOLD_MS_MAX)

    def flooded(self, link: Link) -> None:
        """A link is closed because it said too much."""
        assert link.identity is not None
        is_out = self.quarantine.note_close(link.identity.token_id, self.clock.now_ms())
        if is_out:
            self.audit.jot(
                "agent_quarantined", link.identity.token_id, str(link.agent_id), address=link.address
            )
        extra = {"agent_id": link.agent_id, "is_quarantined": is_out}
        logger.warning("! an agent says too much", extra=extra)

    # --- what the dispatcher calls ---------------------------------------------------------------------

    def tell(self, effect: Tell) -> None:
        link = self._links.get(effect.link_id)
        if link is not None:
            link.say(effect.frame)
            self._unflushed[link.link_id] = link
        elif effect.link_id in self._inner:
            self._inner[effect.link_id].say(effect.frame)

    def tell_others(self, effect: TellOthers) -> None:
        """Encoded once for each kind of wire, however many hear it."""
        announcement: Announcement[HubFrame] = Announcement(effect.frame)
        for link in self._links.values():
            if link.link_id != effect.link_id and link.is_identified:
                link.say(announcement)
                self._unflushed[link.link_id] = link

    def hang_up(self, effect: HangUp) -> None:
        link = self._links.get(effect.link_id)
        if link is not None and link.agent_id is not None:
            hold_ms = self.hold_ms(link.address, link.agent_id) if effect.hold else 0
            link.hang_up(effect.code, effect.reason, hold_ms=hold_ms)
        elif effect.link_id in self._inner:
            self._inner[effect.link_id].hang_up(effect.reason)

    def flush(self) -> None:
        """The turn is told: one message for each link that has something to hear."""
        if self._unflushed:
            links, self._unflushed = self._unflushed, {}
            for link in links.values():
                link.flush()

    def link(self, link_id: int) -> Link | None:
        """This link, if it is still there."""
        return self._links.get(link_id)

    def links(self) -> list[Link]:
        """All open links, the oldest first."""
        return list(self._links.values())

    # --- what the API calls ----------------------------------------------------------------------------

    def visits(self, agent_id: str) -> tuple[Visit, ...]:
        """The last dials and closes of an agent, oldest first."""
        return tuple(self._visits.get(agent_id, ()))

    def close_by_token(self, token_ids: Collection[str]) -> int:
        """Close the live sockets of revoked tokens (L33); how many there were."""
        gone = [
            link for link in self._links.values() if link.identity and link.identity.token_id in token_ids
        ]
        for link in gone:
            link.hang_up(CloseCode.INVALID_TOKEN, "the token was revoked")
        return len(gone)

    def close_invalid(self, is_valid: Callable[[TokenId], bool]) -> int:
        """Close sockets whose token has expired or was revoked elsewhere."""
        tokens = {link.identity.token_id for link in self._links.values() if link.identity is not None}
        return self.close_by_token([token_id for token_id in tokens if not is_valid(token_id)])

    # --- time and the end ------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Look after all links for ever."""
        while True:
            await self.clock.sleep_until(self.clock.now_ms() + SWEEP_MS)
            now_ms = self.clock.now_ms()
            for link in self.links():
                link.check(now_ms)

    async def drain(self) -> None:
        """Close all links, wave by wave; the board has told them that the hub leaves."""
        self.is_draining = True
        links = self.links()
        for first in range(0, len(links), WAVE_LINKS):
            for link in links[first : first + WAVE_LINKS]:
                code = CloseCode.DRAINING if link.version >= 2 else CloseCode.SERVICE_RESTART
                link.hang_up(code, close_rule(code).sentence)
            await self.clock.sleep_until(self.clock.now_ms() + WAVE_PAUSE_MS)
        deadline_ms = self.clock.now_ms() + self.settings.send_ms
        while self._links and self.clock.now_ms() < deadline_ms:
            await self.clock.sleep_until(self.clock.now_ms() + WAVE_PAUSE_MS)
