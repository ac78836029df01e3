"""The fleet as a whole: why agents with a free slot have nothing to do.

Owns the question and its one parameter; the answer is the board's own.
"""

from __future__ import annotations

from typing import Final

from hub.api.agents import no_such_agent
from hub.api.endpoint import Call, Endpoint, Told
from hub.auth import Scope
from hub.core.explaining import FleetExplanation
from protocol.ids import AgentId


async def explain_fleet(call: Call) -> Told:
    name = call.request.query_params.get("agent") or None
    board, now = call.parts.board, call.parts.clock.now()
    found = board.explain_fleet(now, None if name is None else AgentId(name))
    if found is None:
        raise no_such_agent(name or "")
    return Told(200, found)


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
)
