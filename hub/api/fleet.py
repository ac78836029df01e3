"""The fleet as a whole: why agents with a free slot have nothing to do, and how each one's tasks ended.

Owns the questions and the span that is counted; the answers are the board's and the ledger's.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from hub.api.agents import no_such_agent
from hub.api.endpoint import Call, Endpoint, Told
from hub.auth import Scope
from hub.core.explaining import FleetExplanation
from hub.store.tallies import Tallies
from protocol.ids import AgentId

COUNTED_MS: Final = 24 * 3_600_000
"""A day: quiet nights and busy mornings are both in it."""


class EndingsView(Struct, frozen=True, kw_only=True):
    """How many tasks ended in which state, by the agent that had them last, since a moment: a day ago, or
    later if more tasks ended in a day than are counted."""

    since: int
    agents: dict[str, dict[str, int]]


async def explain_fleet(call: Call) -> Told:
    name = call.request.query_params.get("agent") or None
    board, now = call.parts.board, call.parts.clock.now()
    found = board.explain_fleet(now, None if name is None else AgentId(name))
    if found is None:
        raise no_such_agent(name or "")
    return Told(200, found)


async def count_endings(call: Call) -> Told:
    since = call.parts.clock.now().wall_ms - COUNTED_MS
    tally = await Tallies(call.parts.queries).endings(since)
    return Told(200, EndingsView(since=tally.since_wall_ms, agents=tally.agents))


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/fleet/explain",
        "Say why agents with a free slot idle",
        explain_fleet,
        Scope.TASKS_READ,
        reply=FleetExplanation,
        refusals=(404,),
        query=("agent",),
        tag="agents",
    ),
    Endpoint(
        "GET",
        "/api/fleet/endings",
        "Count how each agent's tasks of the last day ended",
        count_endings,
        Scope.TASKS_READ,
        reply=EndingsView,
        tag="agents",
    ),
)
