"""Looking at agents and steering them: list, get, pause, resume, drain, disconnect.

Owns the picture of an agent: what the board knows of its seat, and what the registry remembers of its
connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from hub.api.endpoint import Call, Endpoint, Told
from hub.api.pages import PAGED, page_of_names
from hub.api.problems import Problem
from hub.api.views import AgentList, AgentView, StatusView, VisitView
from hub.auth import Scope
from hub.core.events import AgentDisconnectRequested, AgentDrainRequested, AgentPaused, AgentUnpaused
from hub.core.views import SeatView
from protocol.ids import AgentId

Steering = (
    type[AgentPaused] | type[AgentUnpaused] | type[AgentDrainRequested] | type[AgentDisconnectRequested]
)


def no_such_agent(agent_id: str) -> Problem:
    return Problem(
        404,
        "agent_not_found",
        "No agent of that name has ever connected. GET /api/agents lists them.",
        members={"agent_id": agent_id},
    )


def view_agent(call: Call, seat: SeatView) -> AgentView:
    """A seat of the board with the registry's account of its connections, newest last."""
    return AgentView(
        agent_id=seat.agent_id,
        name=seat.name,
        status=seat.status,
        state=seat.state,
        connected=seat.is_connected,
        instance_id=seat.instance_id,
        version=seat.version,
        slots=seat.slots,
        free_slots=seat.free_slots,
        slot_kinds=seat.slot_kinds,
        free_slot_kinds=seat.free_slot_kinds,
        resting=seat.resting,
        quarantine_reason=seat.quarantine_reason or None,
        quarantine_left_ms=seat.quarantine_left_ms,
        capabilities=seat.capabilities,
        labels=seat.labels,
        plugins=seat.plugins,
        plugin_versions=seat.plugin_versions,
        client_type=seat.client_type,
        sdk=seat.sdk,
        running_tasks=seat.running_tasks,
        load=seat.load,
        connected_at=seat.connected_wall_ms,
        last_seen=seat.seen_wall_ms,
        last_dispatch=seat.last_dispatch_wall_ms,
        connections=tuple(
            VisitView(
                at=visit.at,
                version=visit.version,
                code=visit.code,
                reason=visit.reason,
                side=visit.side,
                duration_ms=visit.duration_ms,
            )
            for visit in call.parts.registry.visits(seat.agent_id)
        ),
    )


async def list_agents(call: Call) -> Told:
    """All of them; with a limit, a page in the order of names."""
    seats = call.parts.board.view_agents(call.parts.clock.now())
    page, following = page_of_names(call, seats, lambda seat: seat.agent_id)
    views = tuple(view_agent(call, seat) for seat in page)
    return Told(200, AgentList(agents=views, count=len(views), next=following))


async def get_agent(call: Call) -> Told:
    name = call.path("agent_id")
    for seat in call.parts.board.view_agents(call.parts.clock.now()):
        if seat.agent_id == name:
            return Told(200, view_agent(call, seat))
    raise no_such_agent(name)


def steer(event: Steering, word: str) -> Callable[[Call], Awaitable[Told]]:
    """An endpoint that tells the board one thing about an agent."""

    async def handle(call: Call) -> Told:
        agent_id = AgentId(call.path("agent_id"))
        await call.ask(event(agent_id=agent_id, by=call.by))
        await call.note(f"agent_{word}", agent_id)
        return Told(200, StatusView(status=word, agent_id=agent_id))

    return handle


ADMIN: Final = Scope.AGENTS_ADMIN


def steering_row(path: str, summary: str, event: Steering, word: str) -> Endpoint:
    return Endpoint(
        "POST",
        f"/api/agents/{{agent_id}}/{path}",
        summary,
        steer(event, word),
        ADMIN,
        reply=StatusView,
        refusals=(404, 503),
        tag="agents",
    )


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/agents",
        "List agents",
        list_agents,
        Scope.TASKS_READ,
        reply=AgentList,
        query=PAGED,
        refusals=(422,),
        tag="agents",
    ),
    Endpoint(
        "GET",
        "/api/agents/{agent_id}",
        "Get an agent, with its last connections",
        get_agent,
        Scope.TASKS_READ,
        reply=AgentView,
        refusals=(404,),
        tag="agents",
    ),
    steering_row("pause", "Give an agent no new work", AgentPaused, "paused"),
    steering_row("resume", "Give a paused agent work again", AgentUnpaused, "resumed"),
    steering_row("drain", "Let an agent finish and leave", AgentDrainRequested, "draining"),
    steering_row("disconnect", "Close an agent's connection", AgentDisconnectRequested, "disconnected"),
)
