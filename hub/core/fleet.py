"""All agents together, and an index that finds those who may be given a task.

Owns who has which word and who has a free slot of which kind, as sets of bits: whom a task may go to is the
AND of a few integers, whatever the size of the fleet. Never changes an agent's seats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hub.core.effects import AgentRecord
from hub.core.line import Rank
from hub.core.seats import Agent
from hub.core.stickiness import Sticky
from protocol.ids import AgentId, TaskId

Bits = int
"""A set of agents."""

BEGINNING: Rank = (-1, -1, -1)
"""Before every line."""


class Fleet:
    """Every agent that this life of the hub has heard of."""

    __slots__ = (
        "_at",
        "_declined",
        "_free",
        "_turn",
        "_with_word",
        "agents",
        "by_link",
        "hungry",
        "sticky",
        "touched",
    )

    def __init__(self) -> None:
        self.agents: dict[AgentId, Agent] = {}
        self.by_link: dict[int, Agent] = {}
        self.touched: dict[AgentId, Agent] = {}
        """Agents whose seats or state changed since the last match."""
        self.hungry: dict[AgentId, Rank] = {}
        """Agents that got a free slot, and the line up to which nothing was found for them."""
        self.sticky = Sticky()
        self._at: list[Agent] = []
        self._with_word: dict[str, Bits] = {}
        """Connected agents by what they can do."""
        self._free: dict[str, Bits] = {}
        """Agents that may be given something, by the kinds of their free slots."""
        self._declined: dict[TaskId, Bits] = {}
        self._turn = 0
        """Whose turn it is among those that are alike."""

    def get(self, agent_id: AgentId) -> Agent | None:
        return self.agents.get(agent_id)

    def enter(self, record: AgentRecord) -> Agent:
        """A name that is new to this life of the hub."""
        agent = self.agents[record.agent_id] = Agent(record)
        agent.bit = 1 << len(self._at)
        self._at.append(agent)
        return agent

    def touch(self, agent: Agent) -> None:
        self.touched[agent.agent_id] = agent

    # --- the index ---------------------------------------------------------------------------------------

    def settle(self, agent: Agent, now_ms: int) -> None:
        """Bring the index up to date. An agent with a slot that was not free before is hungry."""
        if agent.link_id and not agent.listed:
            agent.listed = tuple(agent.words())
            for word in agent.listed:
                self._with_word[word] = self._with_word.get(word, 0) | agent.bit
        may = agent.takes_work(now_ms)
        for kind in agent.kinds():
            free = self._free.get(kind, 0)
            if not may or agent.free_of(kind) <= 0:
                self._not_free(kind, agent)
            elif not free & agent.bit:
                self._free[kind] = free | agent.bit
                self.hungry[agent.agent_id] = BEGINNING

    def settle_touched(self, now_ms: int) -> None:
        for agent in self.touched.values():
            self.settle(agent, now_ms)
        self.touched.clear()

    def withdraw(self, agent: Agent) -> None:
        """Out of the index before what it can do changes."""
        for kind in agent.kinds():
            self._not_free(kind, agent)
        for word in agent.listed:
            rest = self._with_word[word] & ~agent.bit
            if rest:
                self._with_word[word] = rest
            else:
                del self._with_word[word]
        agent.listed = ()
        self.hungry.pop(agent.agent_id, None)
        self.touch(agent)

    def _not_free(self, kind: str, agent: Agent) -> None:
        free = self._free.get(kind, 0)
        if free & agent.bit:
            rest = free & ~agent.bit
            if rest:
                self._free[kind] = rest
            else:
                del self._free[kind]

    # --- declines ----------------------------------------------------------------------------------------

    def decline(self, agent: Agent, task_id: TaskId, until_ms: int) -> None:
        """It is not offered this task again before then."""
        agent.declined[task_id] = until_ms
        self._declined[task_id] = self._declined.get(task_id, 0) | agent.bit

    def forgive(self, agent: Agent, task_id: TaskId) -> None:
        """It may be offered the task again."""
        if agent.declined.pop(task_id, None) is not None:
            rest = self._declined.pop(task_id) & ~agent.bit
            if rest:
                self._declined[task_id] = rest

    def is_declined(self, task_id: TaskId) -> bool:
        return task_id in self._declined

    def decliners(self, task_id: TaskId) -> Bits:
        return self._declined.get(task_id, 0)

    # --- finding -----------------------------------------------------------------------------------------

    def with_word(self, word: str) -> Bits:
        return self._with_word.get(word, 0)

    def number_with(self, word: str) -> int:
        """How many connected agents this word finds."""
        return self._with_word.get(word, 0).bit_count()

    def free_for(self, kind: str, words: Iterable[str], task_id: TaskId | None = None) -> Bits:
        """Agents with a free slot of the kind and all of the words, which have not declined the task."""
        found = self._free.get(kind, 0)
        if task_id is not None:
            found &= ~self.decliners(task_id)
        for word in words:
            if not found:
                break
            found &= self._with_word.get(word, 0)
        return found

    def free_kinds(self, agent: Agent) -> list[str]:
        """The kinds of which it may be given a slot."""
        return [kind for kind in agent.kinds() if self._free.get(kind, 0) & agent.bit]

    def in_turn(self, bits: Bits) -> Iterator[Agent]:
        """Those agents, beginning behind the one that was given work last."""
        later = bits >> self._turn << self._turn
        for part in (later, bits ^ later):
            left = part
            while left:
                lowest = left & -left
                left ^= lowest
                yield self._at[lowest.bit_length() - 1]

    def given(self, agent: Agent) -> None:
        """It was given work: others come first now."""
        self._turn = agent.bit.bit_length()
