"""What every endpoint has in common: authorise, read, answer.

Owns `Endpoint` (a row of the table of routes), `Call` (one request as an endpoint sees it) and the fold
that turns a row into a Starlette route. Never knows a resource. Errors are raised as `Problem` and
answered here, once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from hub.api import problems
from hub.api.problems import Problem
from hub.api.session import renew, session_identity
from hub.audit import NOBODY
from hub.auth import LEAST_ROLE, Identity, Scope
from hub.core.effects import Granted, Refusal, Reply
from hub.core.events import Event
from hub.errors import Closing, Overloaded
from hub.ports import StorageFull
from protocol import limits

if TYPE_CHECKING:
    from hub.parts import Parts

B = TypeVar("B")

BODY_BYTES_MAX: Final = 1 * limits.MIB
BATCH_BYTES_MAX: Final = 16 * limits.MIB
PAGE_ROWS_MAX: Final = 500
PAGE_ROWS: Final = 50


@dataclass(frozen=True, slots=True)
class Told:
    """What an endpoint answers: a status and a value that msgspec can encode."""

    status: int
    body: object
    headers: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the API. `needs` None means anyone; the documents are made from `body` and `reply`."""

    method: str
    path: str
    summary: str
    handle: Callable[[Call], Awaitable[Told | Response]]
    needs: Scope | None
    reply: object = None
    status: int = 200
    body: type[Any] | None = None
    body_bytes_max: int = BODY_BYTES_MAX
    refusals: tuple[int, ...] = ()
    query: tuple[str, ...] = ()
    tag: str = "tasks"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, what for, and the parts of the hub it may use."""

    request: Request
    parts: Parts
    endpoint: Endpoint
    who: Identity | None

    @property
    def identity(self) -> Identity:
        assert self.who is not None, "an endpoint without a scope asked who is calling"
        return self.who

    @property
    def by(self) -> str:
        """How the caller is named in rows and events: the public half of the token."""
        return self.identity.label or str(self.identity.token_id)

    async def note(self, action: str, detail: str, *, actor: str | None = None) -> None:
        """For the audit: who did this, from where. Durable when it returns."""
        await self.parts.audit(action, actor or self.actor, detail, address=address_of(self.request))

    def jot(self, action: str, detail: str) -> None:
        """The same for what the log of the tasks has durably: nobody waits for it."""
        self.parts.audit.jot(action, self.actor, detail, address=address_of(self.request))

    @property
    def actor(self) -> str:
        """The caller for the audit: labels are chosen by people, and two tokens may have the same."""
        return str(self.identity.token_id)

    def path(self, name: str) -> str:
        value = self.request.path_params[name]
        assert isinstance(value, str)
        return value

    async def body(self, kind: type[B]) -> B:
        """The body as `kind`, or a Problem that says what is wrong. An absent body is an empty object."""
        assert kind is self.endpoint.body, f"{self.endpoint.path} reads another body than it documents"
        return decode(await read_body(self.request, self.endpoint.body_bytes_max), kind)

    async def ask(self, event: Event) -> Granted:
        """Tell the board, wait for the receipt; a refusal becomes its Problem."""
        return granted((await self.ask_all((event,)))[0])

    async def ask_all(self, events: Sequence[Event]) -> list[Reply]:
        """The same for many in one commit; each reply stands alone."""
        problem: Problem
        try:
            return await self.parts.dispatcher.ask_all(events)
        except StorageFull:
            problem = problems.storage_full()
        except (Overloaded, Closing):
            problem = problems.overloaded()
        raise problem

    def page_rows(self) -> int:
        return self.integer("limit", PAGE_ROWS, least=1, most=PAGE_ROWS_MAX)

    def integer(self, name: str, default: int, *, least: int = 0, most: int = limits.INTEGER_MAX) -> int:
        """A number in the query string; anything else is 422, never a 500 and never silence (L58)."""
        said = self.request.query_params.get(name)
        if said is None or said == "":
            return default
        is_number = said.isascii() and said.isdigit() and len(said) <= len(str(most))
        if not is_number or not least <= int(said) <= most:  # of thousands of digits int() makes an error
            raise problems.invalid_field(name, "invalid", f"Expected a whole number from {least} to {most}.")
        return int(said)


def granted(reply: Reply) -> Granted:
    """What was granted, or the Problem of what was refused."""
    if isinstance(reply, Refusal):
        raise problems.from_refusal(reply)
    assert reply is not None, "every question of the API has a reply"
    return reply


def decode(raw: bytes, kind: type[B]) -> B:
    """Bytes to a body type; the errors name the field."""
    problem: Problem
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        problem = problems.from_validation(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = Problem(400, "invalid_json", f"The body is not JSON: {error}")
    raise problem


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The whole body, refused as soon as it is known to be too big."""
    too_big = Problem(413, "too_big", f"The body may have {bytes_max} bytes.")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > bytes_max:
        raise too_big
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bytes_max:
            raise too_big
        chunks.append(chunk)
    return b"".join(chunks)


def bearer_of(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


def address_of(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client is not None else ""


def note_refusal(request: Request, parts: Parts, error: str) -> None:
    """For the audit: which token wanted what it may not, if it was one of ours."""
    who = parts.authority.check(bearer_of(request) or "")
    actor = str(who.token_id) if who is not None else NOBODY
    parts.audit.refused(actor, f"{request.method} {request.url.path} {error}", address=address_of(request))


def who_calls(request: Request, parts: Parts) -> Identity | None:
    """The bearer token decides; only without one does the page's cookie count (security B2)."""
    token = bearer_of(request)
    if token is not None:
        return parts.authority.check(token)
    return session_identity(request, parts)


def not_believed(request: Request, parts: Parts, *, is_joining: bool = False) -> Problem:
    """401, and after too many of them from one address 429: guessing must not be cheap."""
    parts.metrics.refused_tokens.inc()
    count = parts.throttle.failed_to_join if is_joining else parts.throttle.failed
    wait_ms = count(address_of(request), parts.clock.now().ms)
    if wait_ms is None:
        note_refusal(request, parts, "unauthorized")
    return problems.unauthorized() if wait_ms is None else problems.rate_limited(wait_ms)


def authorise(request: Request, parts: Parts, needs: Scope | None) -> Identity | None:
    """Deny by default: no valid identity is 401, one without the scope is 403."""
    who = who_calls(request, parts)
    if needs is None:
        return who
    if who is None:
        raise not_believed(request, parts)
    if not who.may(needs):
        raise problems.forbidden(LEAST_ROLE[needs])
    return who


def respond(told: Told | Response) -> Response:
    if isinstance(told, Response):
        return told
    return Response(
        msgspec.json.encode(told.body),
        status_code=told.status,
        media_type="application/json",
        headers=told.headers,
    )


def as_route(endpoint: Endpoint, parts: Parts) -> Route:
    """A row of the table as a route of Starlette."""

    async def serve(request: Request) -> Response:
        try:
            who = authorise(request, parts, endpoint.needs)
            answer = respond(await endpoint.handle(Call(request, parts, endpoint, who)))
            renew(answer, request, parts)
            return answer
        except Problem as problem:
            if problem.status == 403:
                note_refusal(request, parts, problem.error)
            return problems.respond(problem)
        except ClientDisconnect:
            return Response(status_code=499)

    return Route(endpoint.path, serve, methods=[endpoint.method], name=f"{endpoint.method} {endpoint.path}")
