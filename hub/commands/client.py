"""How a command reaches a hub: where it is, with which token, and what its errors mean for the exit code.

Owns the HTTP client of the commands. Every failure becomes a sentence that says what to do, and an exit
code. It always verifies a certificate and never follows a redirect: the token goes to nobody else.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import httpx

from console.output import CommandFailed, Exit

TIMEOUT_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 5.0
FEED_SILENCE_S: Final = 45.0
"""The hub says at least a comment every 15 s; three missing ones mean that the stream is dead."""

EXIT_OF_STATUS: Final = {
    400: Exit.USAGE,
    401: Exit.NOT_AUTHORISED,
    403: Exit.NOT_AUTHORISED,
    404: Exit.NOT_FOUND,
    409: Exit.FAILED,
    413: Exit.USAGE,
    422: Exit.USAGE,
    429: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
}

PUSH_PATH: Final = "/api/admin/push-task"

NOT_THERE: Final = {
    "task_not_found": ("task", "task_id", "hub tasks list"),
    "agent_not_found": ("agent", "agent_id", "hub agents list"),
    "run_not_found": ("run", "plugin_run_id", "hub runs list"),
    "schedule_not_found": ("schedule", "schedule_id", "hub runs schedule list"),
    "webhook_not_found": ("webhook", "webhook_id", "hub webhooks list"),
    "delivery_not_found": ("delivery", "delivery_id", "hub webhooks deliveries WEBHOOK"),
}


@dataclass(frozen=True, slots=True)
class HubEvent:
    """One event of the feed as it came: its word, its object, and its cursor if it has one."""

    event: str
    body: dict[str, Any]
    cursor: str | None


class HubClient:
    """One hub, one token."""

    def __init__(self, url: str, token: str | None, *, ca_file: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            verify=trusting(ca_file),
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> HubClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        params = {name: value for name, value in query.items() if value is not None}
        return self._object("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        return self._object("POST", path, json=body or {}, headers=headers)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._object("PATCH", path, json=body)

    def delete(self, path: str) -> dict[str, Any]:
        return self._object("DELETE", path)

    def _object(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **arguments)
        except UnicodeEncodeError as error:
            raise CommandFailed("What you gave is not text in UTF-8.", Exit.USAGE) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._unreachable(error)
        if answer.status_code >= 400:
            self._refused(answer)
        found = object_of(answer)
        if answer.status_code >= 300 or found is None:
            raise CommandFailed(f"What answers at {self.url} is not a hub.", Exit.UNREACHABLE)
        return found

    def _unreachable(self, error: Exception) -> NoReturn:
        if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout | httpx.PoolTimeout):
            raise CommandFailed(
                f"The hub at {self.url} has not answered for {TIMEOUT_S:g} s.", Exit.UNREACHABLE
            )
        raise CommandFailed(
            f"No hub answers at {self.url} ({str(error) or type(error).__name__})."
            " Start one with: hub serve   or name another with --hub URL",
            Exit.UNREACHABLE,
        )

    def _refused(self, answer: httpx.Response) -> NoReturn:
        code = EXIT_OF_STATUS.get(answer.status_code, Exit.FAILED)
        raise CommandFailed(sentence_of(answer), code)

    def lines(self, path: str, **query: str | int | None) -> Iterator[str]:
        """JSON lines as they come, to the end; one that was cut off is a failure, not an end."""
        params = {name: value for name, value in query.items() if value is not None}
        try:
            with self._http.stream("GET", path, params=params) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    self._refused(answer)
                rest = b""
                for chunk in answer.iter_bytes():  # `iter_lines` would part lines at U+2028 too
                    *whole, rest = (rest + chunk).split(b"\n")
                    yield from (line.decode() for line in whole)
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            raise CommandFailed("The hub broke off in the middle: ask again.", Exit.UNREACHABLE) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._unreachable(error)

    def feed(
        self, *, since: str | None = None, task: str | None = None, agent: str | None = None
    ) -> Iterator[HubEvent]:
        """The live feed until the hub ends it; the caller resumes from the last cursor."""
        params = {name: value for name, value in (("task", task), ("agent", agent)) if value}
        headers = {"Last-Event-ID": since} if since else {}
        timeout = httpx.Timeout(FEED_SILENCE_S, connect=CONNECT_TIMEOUT_S)
        try:
            with self._http.stream(
                "GET", "/api/feed", params=params, headers=headers, timeout=timeout
            ) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    self._refused(answer)
                yield from events_of(answer.iter_lines())
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL) as error:
            self._unreachable(error)
        except httpx.TransportError:
            return


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """The system's certificates, or those of one file."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise CommandFailed(f"{ca_file} cannot be read as certificates: {error}", Exit.USAGE) from error


def object_of(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def sentence_of(answer: httpx.Response) -> str:
    """What the hub said is wrong, and where it knows better than a page of the API, what to type."""
    body = object_of(answer)
    if body is None:
        return f"The hub answered {answer.status_code} without a reason."
    error = str(body.get("error", "error"))
    if error == "unauthorized":
        return "The hub does not know this token. Name a file with a valid one: --token-file FILE"
    if error == "forbidden":
        return f"This token may not do that: it needs {body.get('needs', 'another role')}."
    if error == "agent_not_connected" and "agent_id" in body:
        why = f" ({body['reason']})" if body.get("reason") else ""
        hint = " With --queue the task waits for it." if answer.request.url.path.endswith(PUSH_PATH) else ""
        return f"Agent {body['agent_id']} is not connected{why}.{hint}"
    if error == "unique_key_held":
        return f"The open task {body.get('task_id')} has that unique key. See: hub tasks get TASK"
    if error in NOT_THERE:
        name, member, command = NOT_THERE[error]
        return f"There is no {name} {body.get(member, 'of that name')}. See: {command}"
    if error == "plugin_not_found":
        return f"There is no plugin {body.get('plugin', 'of that name')} here. {body.get('detail', '')}"
    faults = "; ".join(f"{one['field']}: {one['detail']}" for one in body.get("errors", ()))
    return f"{error}: {faults or body.get('detail', '')}"


def events_of(lines: Iterator[str]) -> Iterator[HubEvent]:
    """Server-sent events from their lines: `event`, `data`, `id`; comments only keep the stream alive."""
    event, data, cursor = "message", "", None
    for line in lines:
        if line == "":
            if data:
                yield HubEvent(event, json.loads(data), cursor)
            event, data, cursor = "message", "", None
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data = f"{data}\n{value}" if data else value
        elif name == "id":
            cursor = value
