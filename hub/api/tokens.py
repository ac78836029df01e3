"""Tokens and onboarding: make, list, revoke, and trade a join code for an agent's token.

Owns the order of things: durable first, then believed (or no longer), then live sockets closed, then
answered. The token itself is in exactly one answer and nowhere else.
"""

from __future__ import annotations

import secrets
from fnmatch import fnmatchcase
from typing import Final

from starlette.requests import Request

from hub.api import problems
from hub.api.bodies import OnboardBody, TokenBody
from hub.api.endpoint import Call, Endpoint, Told, bearer_of, not_believed
from hub.api.pages import PAGED, page_of_names
from hub.api.problems import Problem
from hub.api.views import NewTokenView, OnboardView, StatusView, TokenList, TokenView
from hub.auth import LIFETIME_MS, SECRET_BYTES, Role, Scope, TokenRecord, is_reserved, mint
from hub.core.runs import INNER_PREFIX
from protocol.ids import AgentId, TokenId

TOKEN_ID_BYTES: Final = 8
PREFIX_LENGTH: Final = 11
"""`hub`, the letter, `_` and six digits: enough to tell tokens apart, far too little to guess one."""


def new_token(
    call: Call,
    role: Role,
    *,
    agent_id: AgentId | None,
    label: str,
    by: str,
    lifetime_ms: int | None = None,
    agent_patterns: tuple[str, ...] = (),
    plugin_patterns: tuple[str, ...] = (),
) -> tuple[str, TokenRecord]:
    token = mint(role, secrets.token_bytes(SECRET_BYTES))
    now = call.parts.clock.now().wall_ms
    record = TokenRecord(
        token_id=TokenId("tok-" + secrets.token_hex(TOKEN_ID_BYTES)),
        digest=call.parts.authority.digest(token),
        role=role,
        agent_id=agent_id,
        label=label,
        prefix=token[:PREFIX_LENGTH],
        agent_patterns=agent_patterns,
        plugin_patterns=plugin_patterns,
        created_wall_ms=now,
        expires_wall_ms=now + (lifetime_ms or LIFETIME_MS[role]),
        created_by=by,
    )
    return token, record


def refuse_reserved(agent_id: str | None) -> None:
    """Agents inside the hub have no token, and nobody gets one that could speak for them."""
    if agent_id is not None and is_reserved(agent_id):
        raise problems.invalid_field(
            "agent_id", "not_allowed", f"Names that begin with {INNER_PREFIX} are the hub's own."
        )


async def create_token(call: Call) -> Told:
    body = await call.body(TokenBody)
    role = body.role or Role.AGENT
    if role in (Role.AGENT, Role.JOIN) and body.agent_id is None:
        raise problems.invalid_field("agent_id", "missing", "Say which agent may connect with this token.")
    refuse_reserved(body.agent_id)
    token, record = new_token(
        call,
        role,
        agent_id=AgentId(body.agent_id) if body.agent_id is not None else None,
        label=body.label or "",
        by=call.by,
        lifetime_ms=body.expires_in_ms,
        agent_patterns=body.agent_patterns or (),
        plugin_patterns=body.plugin_patterns or (),
    )
    await call.parts.tokens.add(record)
    call.parts.authority.add(record)
    await call.note("token_created", f"{record.token_id} {role.value} {record.agent_id or ''}")
    return Told(
        201,
        NewTokenView(
            token_id=record.token_id,
            token=token,
            role=role.value,
            agent_id=record.agent_id,
            expires_at=record.expires_wall_ms,
        ),
    )


def view_token(record: TokenRecord) -> TokenView:
    return TokenView(
        token_id=record.token_id,
        role=record.role.value,
        agent_id=record.agent_id,
        label=record.label,
        prefix=record.prefix,
        created_at=record.created_wall_ms,
        expires_at=record.expires_wall_ms,
        last_used_at=record.used_wall_ms or None,
        agent_patterns=record.agent_patterns,
        plugin_patterns=record.plugin_patterns,
    )


async def list_tokens(call: Call) -> Told:
    """All of them; with a limit, a page in the order of their ids."""
    records, following = page_of_names(call, call.parts.authority.records(), lambda r: r.token_id)
    return Told(200, TokenList(tokens=tuple(map(view_token, records)), next=following))


async def revoke_token(call: Call) -> Told:
    """By token id, or by agent id for all of its tokens; live sockets of it close at once (L33)."""
    name = call.path("token_id")
    records = call.parts.authority.records()
    gone = [
        r.token_id for r in records if r.token_id == name or (r.agent_id == name and r.role is Role.AGENT)
    ]
    if not gone:
        raise Problem(404, "not_found", "No valid token has that id, and no agent of that name has one.")
    await call.parts.tokens.revoke(gone)
    call.parts.authority.drop(gone)
    call.parts.registry.close_by_token(gone)
    call.parts.feed.close_by_token(gone)
    await call.note("token_revoked", " ".join(gone))
    return Told(200, StatusView(status="revoked"))


def join_code_of(request: Request, body: OnboardBody) -> str | None:
    return body.code or bearer_of(request)


async def onboard(call: Call) -> Told:
    """A one-time code (or an operator's open door) becomes an agent's own token; the code is burnt."""
    body = await call.body(OnboardBody)
    parts = call.parts
    refuse_reserved(body.agent_id)
    agent_id = AgentId(body.agent_id)
    code = join_code_of(call.request, body)
    identity = parts.authority.check(code) if code is not None else None
    may_join = identity is not None and identity.may(Scope.ENROL)
    if may_join and identity is not None and not fnmatchcase(agent_id, identity.agent_id or "*"):
        raise problems.forbidden(f"a join code for {agent_id}")
    if not may_join and not parts.settings.open_onboarding:
        raise not_believed(call.request, parts, is_joining=True)
    if any(r.agent_id == agent_id and r.role is Role.AGENT for r in parts.authority.records()):
        raise Problem(409, "agent_id already registered", "Choose another name, or ask for its token.")
    burnt = identity.token_id if may_join and identity is not None else None
    token, record = new_token(call, Role.AGENT, agent_id=agent_id, label="", by=str(burnt or "onboarding"))
    if not await parts.tokens.exchange(burnt, record):
        raise problems.unauthorized()
    if burnt is not None:
        parts.authority.drop([burnt])
    parts.authority.add(record)
    await call.note("agent_enrolled", agent_id, actor=str(burnt or "open door"))
    http = parts.settings.public_url or str(call.request.base_url).rstrip("/")
    return Told(
        201,
        OnboardView(
            agent_id=agent_id,
            token=token,
            hub_ws_url=f"ws{http.removeprefix('http')}/ws",
            hub_api_url=http,
        ),
    )


ADMIN: Final = Scope.TOKENS_ADMIN
ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/admin/tokens",
        "Make a token; it is shown once",
        create_token,
        ADMIN,
        reply=NewTokenView,
        status=201,
        body=TokenBody,
        refusals=(422,),
        tag="tokens",
    ),
    Endpoint(
        "GET",
        "/admin/tokens",
        "List tokens, prefixes only",
        list_tokens,
        ADMIN,
        reply=TokenList,
        query=PAGED,
        refusals=(422,),
        tag="tokens",
    ),
    Endpoint(
        "DELETE",
        "/admin/tokens/{token_id}",
        "Revoke a token, or all of an agent",
        revoke_token,
        ADMIN,
        reply=StatusView,
        refusals=(404,),
        tag="tokens",
    ),
    Endpoint(
        "POST",
        "/api/onboard/register",
        "Trade a join code for an agent's token",
        onboard,
        None,
        reply=OnboardView,
        status=201,
        body=OnboardBody,
        refusals=(401, 403, 409, 422, 429),
        tag="tokens",
    ),
)
