"""The only map from what went wrong to what HTTP says of it.

Owns `Problem`, the one exception of the API, its body (the v1 members and the problem+json members in one
object), and which status each `Refusal` has. Never decides that something is wrong: endpoints, the board
and the ports do.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from starlette.responses import Response

from hub.core.effects import Refusal, RefusalKind
from protocol.limits import ANSWERS_BYTES_MAX, KIB

RETRY_AFTER_S: Final = 2
"""What a 503 asks for: long enough for a commit to come back, short enough for a person."""

TITLES: Final = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Validation failed",
    429: "Too many requests",
    500: "Internal error",
    503: "Service unavailable",
}

STATUSES: Final[dict[RefusalKind, int]] = {
    RefusalKind.AGENT_NOT_CONNECTED: 404,
    RefusalKind.AGENT_NOT_FOUND: 404,
    RefusalKind.TASK_NOT_FOUND: 404,
    RefusalKind.INVALID_STATE: 409,
    RefusalKind.KEY_REUSED: 409,
    RefusalKind.NO_SUCH_QUESTION: 404,
    RefusalKind.ANSWER_CONFLICT: 409,
    RefusalKind.ANSWERS_TOO_BIG: 413,
    RefusalKind.OVERLOADED: 503,
    RefusalKind.UNIQUE_KEY_HELD: 409,
    RefusalKind.DEPENDENCY_NOT_FOUND: 422,
}

assert set(STATUSES) == set(RefusalKind), "every refusal has its status"

DETAILS: Final[dict[RefusalKind, str]] = {
    RefusalKind.AGENT_NOT_CONNECTED: 'The agent takes no work now. With "queue": true the task waits for it.',
    RefusalKind.AGENT_NOT_FOUND: "No agent of that name has ever connected. GET /api/agents lists them.",
    RefusalKind.TASK_NOT_FOUND: "There is no task with that id. GET /api/tasks lists them.",
    RefusalKind.INVALID_STATE: "The task is not in a state that allows this.",
    RefusalKind.KEY_REUSED: "That idempotency key was used with another body. A new task needs a new key.",
    RefusalKind.NO_SUCH_QUESTION: "The task has asked no question with that request_id.",
    RefusalKind.ANSWER_CONFLICT: "That question has been answered already, with another value.",
    RefusalKind.ANSWERS_TOO_BIG: (
        f"All answers of a task together may have {ANSWERS_BYTES_MAX // KIB} KiB, and no deep nesting. "
        "Answer shorter, or name a place where the rest can be found."
    ),
    RefusalKind.OVERLOADED: "The hub has too much in hand at this moment. Try again.",
    RefusalKind.UNIQUE_KEY_HELD: (
        "An open task has that unique key: it is free again when that task has ended, however it ends."
    ),
    RefusalKind.DEPENDENCY_NOT_FOUND: "There is no task with that id to wait for.",
}

PATH_AT_END: Final = re.compile(r" - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`$")


class FieldProblem(msgspec.Struct, frozen=True):
    field: str
    error: str
    detail: str


class Problem(Exception):
    """Raised by endpoints and answered by `respond`; members beyond `error` are the v1 body's."""

    def __init__(
        self,
        status: int,
        error: str,
        detail: str,
        *,
        members: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {error}: {detail}")
        self.status = status
        self.error = error
        self.detail = detail
        self.members = members or {}
        self.headers = headers or {}

    def body(self) -> dict[str, object]:
        return {
            "error": self.error,
            **self.members,
            "type": "about:blank",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
        }


def respond(problem: Problem) -> Response:
    """One body for both kinds of reader: v1 clients read `error`, others the problem+json members."""
    return Response(
        msgspec.json.encode(problem.body()),
        status_code=problem.status,
        media_type="application/json",
        headers=problem.headers,
    )


def from_refusal(refusal: Refusal) -> Problem:
    """What the board declined, as HTTP says it."""
    if refusal.kind is RefusalKind.DEPENDENCY_NOT_FOUND:
        return invalid_field("depends_on", "not_found", f"There is no task {refusal.task_id} to wait for.")
    members: dict[str, object] = {
        name: value
        for name in ("agent_id", "task_id", "state", "reason")
        if (value := getattr(refusal, name)) is not None
    }
    status = STATUSES[refusal.kind]
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return Problem(status, refusal.kind.value, DETAILS[refusal.kind], members=members, headers=headers)


def unauthorized() -> Problem:
    return Problem(
        401,
        "unauthorized",
        "This needs a token.",
        members={"hint": "provide Authorization: Bearer <token>"},
        headers={"WWW-Authenticate": "Bearer"},
    )


def forbidden(needs: str) -> Problem:
    return Problem(403, "forbidden", f"This needs the role {needs}.", members={"needs": needs})


def not_found() -> Problem:
    return Problem(
        404, "not_found", "There is nothing at this address. GET /openapi.json lists what there is."
    )


def invalid(errors: list[FieldProblem], status: int = 422) -> Problem:
    said = "; ".join(f"{e.field}: {e.detail}" for e in errors)
    return Problem(
        status,
        "validation_failed",
        said,
        members={"errors": [msgspec.to_builtins(e) for e in errors]},
    )


def invalid_field(field: str, error: str, detail: str, status: int = 422) -> Problem:
    return invalid([FieldProblem(field, error, detail)], status)


def storage_full() -> Problem:
    return Problem(
        503,
        "storage_full",
        "The hub's disk is full: results are still accepted, new tasks are not. Free some space.",
        headers={"Retry-After": "30"},
    )


def overloaded() -> Problem:
    return Problem(
        503,
        "overloaded",
        DETAILS[RefusalKind.OVERLOADED],
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def rate_limited(wait_ms: int) -> Problem:
    return Problem(
        429,
        "rate_limited",
        "Too many of these in a short time. Wait and try again.",
        members={"retry_after_ms": wait_ms},
        headers={"Retry-After": str(-(-wait_ms // 1000))},
    )


def from_validation(error: msgspec.ValidationError) -> Problem:
    """msgspec names the place at the end of its sentence; readers want it as a field."""
    text = str(error)
    found = PATH_AT_END.search(text)
    field = found["path"] if found else ""
    detail = text[: found.start()] if found else text
    missing = re.match(r"Object missing required field `(?P<name>[^`]+)`", detail)
    if missing:
        field = f"{field}.{missing['name']}" if field else missing["name"]
        return invalid_field(field, "missing", "This field is required.")
    return invalid_field(field or "body", "invalid", detail)
