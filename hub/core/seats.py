"""One agent that the hub knows: its link, its seats, and why it may not be given work.

Owns what is held, which revoked seats are still taken, quarantine, pause and draining. Seats are truth: they
are derived from what tasks say, never from what a peer reports. Never changes a task; all agents together are
in `fleet.py`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from hub.core.effects import AgentRecord
from hub.core.runs import INNER_PREFIX
from hub.core.task import Holder, Task
from hub.core.words import FLEET_WORD, agent_word, capability_word, label_word, plugin_word
from protocol.frames import AckStatus, AgentCard, Resting
from protocol.ids import AgentId, Generation, InstanceId, Seq, TaskId

Run = tuple[TaskId, Generation]


ORDINARY: str = ""
"""The nameless kind of slot, which every agent has."""


class Claim(Struct, frozen=True):
    """What a run takes: a slot of a kind, and a part of what its key may have at work."""

    kind: str = ORDINARY
    key: str | None = None


def claim_of(task: Task | None) -> Claim:
    """A run of a task that is not known takes an ordinary slot."""
    return Claim() if task is None else Claim(task.spec.slot, task.spec.concurrency_key)


class Seat:
    """One seat that is taken. `accepted_seq` numbers the fact that accepted it, where this life of the hub
    heard it.
    """

    __slots__ = ("accepted_seq", "generation", "kind")

    def __init__(self, generation: Generation, kind: str = ORDINARY) -> None:
        self.generation = generation
        self.kind = kind
        self.accepted_seq = Seq(0)


class Agent:
    """One name. Everything here but `record` is forgotten when the hub ends."""

    __slots__ = (
        "accept_timeouts",
        "bit",
        "boot_id",
        "capabilities",
        "claims",
        "client_type",
        "connected_wall_ms",
        "crashed",
        "crashed_boot",
        "declined",
        "drain_due_ms",
        "has_lost_history",
        "held",
        "instance_id",
        "is_asked_to_drain",
        "is_draining",
        "is_sent_away",
        "labels",
        "last_dispatch_wall_ms",
        "link_id",
        "listed",
        "load",
        "name",
        "plugin_versions",
        "plugins",
        "quarantine_reason",
        "quarantined_until_ms",
        "record",
        "resting",
        "revoked",
        "sdk",
        "seen_wall_ms",
        "session_id",
        "slot_kinds",
        "slots",
        "status",
        "taken",
        "unheard",
        "v1_ended",
        "v1_spoken",
        "version",
    )

    def __init__(self, record: AgentRecord) -> None:  # noqa: PLR0915  a line an attribute
        self.record = record
        self.link_id = 0
        self.version = 2
        self.instance_id = record.instance_id or InstanceId("")
        self.boot_id = ""
        self.name = record.name or record.agent_id
        self.status = "offline"
        self.capabilities = frozenset(record.capabilities)
        self.plugins: frozenset[str] = frozenset()
        self.labels: dict[str, str] = {}
        self.client_type: str | None = None
        self.sdk: str | None = None
        self.plugin_versions: dict[str, str] = {}
        """As the agent says of itself: for people, never for matching."""
        self.has_lost_history = False
        """Whether the identify of this link showed that the hub has lost history."""
        self.slots = 1
        self.slot_kinds: Mapping[str, int] = {}
        """Slots of a kind, beside the ordinary ones."""
        self.resting: Resting | None = None
        """It is there and takes nothing new, by its owner's own rules."""
        self.bit = 0
        """Its place in the index, as a power of two."""
        self.listed: tuple[str, ...] = ()
        """The words under which it is in the index now."""
        self.load: float | None = None
        """As reported. Shown, and never believed: seats are derived from what is held."""
        self.session_id = ""
        self.connected_wall_ms = 0
        self.seen_wall_ms = record.seen_wall_ms
        self.last_dispatch_wall_ms: int | None = None
        self.held: dict[TaskId, Seat] = {}
        self.revoked: dict[Run, int] = {}
        """Seats of revoked runs, and until when they are kept at the latest."""
        self.claims: dict[Run, Claim] = {}
        """What the revoked runs take."""
        self.unheard: set[Run] = set()
        """Of those, the ones that were never accepted: a heartbeat may be older than their order."""
        self.taken: Counter[str] = Counter()
        """Slots of each kind that are held, or kept for revoked runs."""
        self.declined: dict[TaskId, int] = {}
        """Tasks that it declined, and until when each is not offered again."""
        self.accept_timeouts = 0
        self.crashed: dict[TaskId, None] = {}
        """Tasks that broke down on it, one after the other, without one that completed between."""
        self.crashed_boot: str | None = None
        """The boot that has reported what died with the one before it."""
        self.quarantined_until_ms = 0
        self.quarantine_reason = ""
        self.is_draining = False
        self.is_asked_to_drain = False
        """By a person: then it outlives the link."""
        self.drain_due_ms: int | None = None
        """Until then it may finish what it has; then `goaway` follows all the same."""
        self.is_sent_away = False
        self.v1_spoken: OrderedDict[TaskId, Generation] = OrderedDict()
        """For a v1 link: the generation last accepted or resumed on this connection."""
        self.v1_ended: OrderedDict[Run, tuple[str, AckStatus]] = OrderedDict()
        """For a v1 link: the fact that ended a run, and its ack, to be said again."""

    @property
    def agent_id(self) -> AgentId:
        return self.record.agent_id

    @property
    def is_connected(self) -> bool:
        return self.link_id != 0

    @property
    def is_v1(self) -> bool:
        return self.version < 2

    @property
    def is_inner(self) -> bool:
        """A part of the hub itself."""
        return self.agent_id.startswith(INNER_PREFIX)

    # --- seats -------------------------------------------------------------------------------------------

    @property
    def free_slots(self) -> int:
        """Ordinary ones."""
        return self.free_of(ORDINARY)

    def slots_of(self, kind: str) -> int:
        return self.slots if kind == ORDINARY else self.slot_kinds.get(kind, 0)

    def free_of(self, kind: str) -> int:
        return self.slots_of(kind) - self.taken[kind]

    def kinds(self) -> Iterable[str]:
        yield ORDINARY
        yield from self.slot_kinds

    def seat(self, task_id: TaskId, seat: Seat) -> None:
        self.held[task_id] = seat
        self.taken[seat.kind] += 1

    def unseat(self, task_id: TaskId) -> None:
        seat = self.held.pop(task_id, None)
        if seat is not None:
            self._free(seat.kind)

    def keep(self, run: Run, claim: Claim, until_ms: int) -> bool:
        """A revoked run takes its seat until it is known to be over. False when it is kept already."""
        if run in self.revoked:
            return False
        self.revoked[run] = until_ms
        self.claims[run] = claim
        self.taken[claim.kind] += 1
        return True

    def release(self, run: Run) -> Claim | None:
        """The revoked run is over; what it took, when there was one."""
        if self.revoked.pop(run, None) is None:
            return None
        claim = self.claims.pop(run)
        self.unheard.discard(run)
        self._free(claim.kind)
        return claim

    def _free(self, kind: str) -> None:
        self.taken[kind] -= 1
        if not self.taken[kind]:
            del self.taken[kind]

    # --- may it be given work? ---------------------------------------------------------------------------

    @property
    def card(self) -> AgentCard:
        return AgentCard(
            agent_id=self.agent_id,
            name=self.name,
            status=self.status,
            capabilities=tuple(sorted(self.capabilities)),
            connected_at=self.connected_wall_ms,
        )

    @property
    def holder(self) -> Holder:
        return Holder(self.agent_id, self.instance_id)

    def takes_work(self, now_ms: int) -> bool:
        """Whether it could be given anything now, if it has a slot for that."""
        may = self.link_id != 0 and not self.record.is_paused and not self.is_draining
        return may and self.resting is None and self.quarantined_until_ms <= now_ms

    def due_ms(self) -> int | None:
        """When its seats, its quarantine, its drain or its declines next need a look."""
        dues = [*self.revoked.values(), *self.declined.values()]
        if self.quarantined_until_ms:
            dues.append(self.quarantined_until_ms)
        if self.drain_due_ms is not None:
            dues.append(self.drain_due_ms)
        return min(dues, default=None)

    def words(self) -> Iterable[str]:
        """What it is found by: its name, and each label, capability and plugin."""
        yield agent_word(self.agent_id)
        if not self.is_inner:
            yield FLEET_WORD
        yield from (label_word(name, value) for name, value in self.labels.items())
        yield from (capability_word(name) for name in self.capabilities)
        yield from (plugin_word(name) for name in self.plugins)
