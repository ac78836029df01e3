"""A named read of how tasks ended, counted for each agent.

Owns the count and its bound. What an ending is, is the task's. Writes nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from sqlalchemy import func, select

from hub.store.queries import Queries
from hub.store.statements import TASKS

COUNTED_MAX: Final = 100_000
"""Tasks that one count looks at, the newest: a tenth of a second, on a reader's thread."""


class Tally(Struct, frozen=True, kw_only=True):
    """Final states by agent. `since_wall_ms` is later than what was asked for if there were too many."""

    since_wall_ms: int
    agents: dict[str, dict[str, int]]


class Tallies:
    """Every method is one read."""

    def __init__(self, queries: Queries, most: int = COUNTED_MAX) -> None:
        self._queries = queries
        self._most = most

    async def endings(self, since_wall_ms: int) -> Tally:
        """How the tasks that ended since then did, by the agent that had them last."""
        ended = TASKS.c.ended_wall_ms
        newest = (
            select(TASKS.c.agent_id, TASKS.c.state, ended)
            .where(ended >= since_wall_ms)
            .order_by(ended.desc())
            .limit(self._most)
            .subquery("newest")
        )
        counts = select(
            newest.c.agent_id, newest.c.state, func.count().label("count"), func.min(newest.c.ended_wall_ms)
        ).group_by(newest.c.agent_id, newest.c.state)
        found = await self._queries.read_rows(counts)
        agents: dict[str, dict[str, int]] = {}
        for agent_id, state, count, _ in found:
            if agent_id is not None:
                agents.setdefault(agent_id, {})[state] = count
        is_whole = sum(count for _, _, count, _ in found) < self._most
        since = since_wall_ms if is_whole else min(first for *_, first in found)
        return Tally(since_wall_ms=since, agents=agents)
