"""Every agent the hub knows: its link, its seats, and why it may not be given work.

Owns what is held, which revoked seats are still taken, quarantine, pause and draining, and the index of
agents with a free seat. Seats are truth: they are derived from what tasks say, never from what a peer
reports. Never changes a task.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from hub.core.effects import AgentRecord
from hub.core.task import Holder
from protocol.frames import AckStatus, AgentCard
from protocol.ids import AgentId, Generation, InstanceId, Seq, TaskId

Run = tuple[TaskId, Generation]


class Seat:
    """One seat that is taken. `accepted_seq` numbers the fact that accepted it, where this life of the hub
    heard it.
    """

    __slots__ = ("accepted_seq", "generation")

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.accepted_seq = Seq(0)


class Agent:
    """One name. Everything here but `record` is forgotten when the hub ends."""

    __slots__ = (
        "accept_timeouts",
        "boot_id",
        "capabilities",
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
        "load",
        "name",
        "plugin_versions",
        "plugins",
        "quarantined_until_ms",
        "record",
        "revoked",
        "sdk",
        "seen_wall_ms",
        "session_id",
        "slots",
        "status",
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
        self.load: float | None = None
        """As reported. Shown, and never believed: seats are derived from what is held."""
        self.session_id = ""
        self.connected_wall_ms = 0
        self.seen_wall_ms = record.seen_wall_ms
        self.last_dispatch_wall_ms: int | None = None
        self.held: dict[TaskId, Seat] = {}
        self.revoked: dict[Run, int] = {}
        """Seats of revoked runs, and until when they are kept at the latest."""
        self.declined: dict[TaskId, int] = {}
        """Tasks that it declined, and until when each is not offered again."""
        self.accept_timeouts = 0
        self.crashed: dict[TaskId, None] = {}
        """Tasks that broke down on it, one after the other, without one that completed between."""
        self.crashed_boot: str | None = None
        """The boot that has reported what died with the one before it."""
        self.quarantined_until_ms = 0
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
    def free_slots(self) -> int:
        return self.slots - len(self.held) - len(self.revoked)

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
        """Whether any task at all could be given to it now."""
        may = self.link_id != 0 and not self.record.is_paused and not self.is_draining
        return may and self.quarantined_until_ms <= now_ms and self.free_slots > 0

    def due_ms(self) -> int | None:
        """When its seats, its quarantine, its drain or its declines next need a look."""
        dues = [*self.revoked.values(), *self.declined.values()]
        if self.quarantined_until_ms:
            dues.append(self.quarantined_until_ms)
        if self.drain_due_ms is not None:
            dues.append(self.drain_due_ms)
        return min(dues, default=None)

    def words(self) -> Iterable[str]:
        """What it is found by: each capability and each plugin."""
        yield from (capability_word(name) for name in self.capabilities)
        yield from (plugin_word(name) for name in self.plugins)


def capability_word(name: str) -> str:
    return "c:" + name


def plugin_word(name: str) -> str:
    return "p:" + name


class Fleet:
    """All agents, and those with a free seat, by what they can do, least recently given work first."""

    __slots__ = ("_by_word", "agents", "by_link", "free", "touched")

    def __init__(self) -> None:
        self.agents: dict[AgentId, Agent] = {}
        self.by_link: dict[int, Agent] = {}
        self.free: dict[AgentId, Agent] = {}
        self._by_word: dict[str, dict[AgentId, Agent]] = {}
        self.touched: dict[AgentId, Agent] = {}
        """Agents whose seats or state changed since the last match."""

    def get(self, agent_id: AgentId) -> Agent | None:
        return self.agents.get(agent_id)

    def enter(self, record: AgentRecord) -> Agent:
        """A name that is new to this life of the hub."""
        agent = self.agents[record.agent_id] = Agent(record)
        return agent

    def touch(self, agent: Agent) -> None:
        self.touched[agent.agent_id] = agent

    def settle(self, agent: Agent, now_ms: int) -> bool:
        """Bring the index up to date; True when the agent has a free seat."""
        agent_id = agent.agent_id
        if agent.takes_work(now_ms):
            if agent_id not in self.free:
                self.free[agent_id] = agent
                for word in agent.words():
                    self._by_word.setdefault(word, {})[agent_id] = agent
            return True
        if self.free.pop(agent_id, None) is not None:
            self.forget_words(agent)
        return False

    def withdraw(self, agent: Agent) -> None:
        """Out of the index before what it can do changes."""
        if self.free.pop(agent.agent_id, None) is not None:
            self.forget_words(agent)
        self.touch(agent)

    def forget_words(self, agent: Agent) -> None:
        for word in agent.words():
            found = self._by_word[word]
            del found[agent.agent_id]
            if not found:
                del self._by_word[word]

    def to_the_end(self, agent: Agent) -> None:
        """It was given work: others come first now."""
        lists = (self.free, *(self._by_word[word] for word in agent.words()))
        for found in lists:
            del found[agent.agent_id]
            found[agent.agent_id] = agent

    def free_with(self, words: tuple[str, ...]) -> Iterable[Agent]:
        """Free agents that may fit: those with the rarest of the words."""
        if not words:
            return self.free.values()
        none: dict[AgentId, Agent] = {}
        return min((self._by_word.get(word, none) for word in words), key=len).values()
