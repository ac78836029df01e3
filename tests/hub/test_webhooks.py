"""Webhooks in both directions against a real hub: who is believed, and that a repeat is no second task."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.options import OptionError, choose
from hub.errors import ConfigurationError
from hub.settings import Settings
from hub.webhooks.calls import CALLS_AGENT, failure_in
from hub.webhooks.config import TABLES_MAX, read_calls, read_hooks
from hub.webhooks.posting import Answered, Unanswered
from hub.webhooks.switchboard import address_of_hub
from tests.hub.caller import OTHER_SECRET, SECRET, Place, placed, signed
from tests.hub.conftest import HubProcess, RunningHub
from tests.waiting import until

Start = Callable[..., Any]


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "hook.secret"
    path.write_text(f"{SECRET}\n{OTHER_SECRET}\n")
    return str(path)


def hooks(secret: str, **more: Any) -> dict[str, Any]:
    return {"flow": {"secret_file": secret, "plugin": "digest", **more}}


def calls_to(place: Place, secret: str) -> dict[str, Any]:
    calls = {"invoice": {"url": place.url, "secret_file": secret}}
    return {"calls": calls, "hooks_allow_private": True}


async def hook(hub: RunningHub, body: object, headers: dict[str, str] | None = None, **said: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx.AsyncClient(base_url=hub.address) as http:
        return await http.post(
            "/api/hooks/flow",
            content=raw,
            headers=signed(raw, "msg_1", **said) if headers is None else headers,
        )


# --- in -----------------------------------------------------------------------------------------------------


async def test_a_signed_call_starts_a_task_with_inputs_from_its_body(start_hub: Start, secret: str) -> None:
    table = hooks(secret, description="Read {issue.title}", inputs={"topics": "{issue.labels}", "n": 3})
    hub = await start_hub(hooks=table)
    answer = await hook(hub, {"issue": {"title": "the news", "labels": ["ai", "law"]}})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    task = await hub.task(answer.json()["task_id"])
    assert task["description"] == "Read the news"
    assert task["inputs"] == {"topics": ["ai", "law"], "n": 3}
    assert (task["plugin"], task["submitted_by"]) == ("digest", "hook:flow")


async def test_a_call_sent_again_is_the_task_of_the_first_time(start_hub: Start, secret: str) -> None:
    hub = await start_hub(hooks=hooks(secret))
    first = await hook(hub, {"a": 1})
    again = await hook(hub, {"a": 1}, age_s=60)  # a sender that repeats signs anew
    other = await hook(hub, {"a": 2})
    assert first.json()["task_id"] == again.json()["task_id"]
    assert other.status_code == 409
    async with hub.http() as http:
        assert (await http.get("/api/tasks")).json()["count"] == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"secret": OTHER_SECRET}, 202),  # the old key, while they are exchanged
        ({"secret": "whsec_" + "QUFB" * 12}, 401),
        ({"age_s": 290}, 202),
        ({"age_s": 310}, 401),
        ({"age_s": -310}, 401),
    ],
)
async def test_only_a_fresh_signature_of_a_known_secret_is_believed(
    start_hub: Start, secret: str, change: dict[str, Any], status: int
) -> None:
    """H2."""
    hub = await start_hub(hooks=hooks(secret))
    assert (await hook(hub, {"a": 1}, **change)).status_code == status


async def test_one_good_signature_among_several_is_enough(start_hub: Start, secret: str) -> None:
    hub = await start_hub(hooks=hooks(secret))
    raw = b'{"a":1}'
    headers = signed(raw, "msg_2")
    headers["webhook-signature"] = f"v1,bm90aGluZw== v1a,abc {headers['webhook-signature']}"
    assert (await hook(hub, raw, headers)).status_code == 202


async def test_a_changed_body_and_a_missing_header_are_not_believed(start_hub: Start, secret: str) -> None:
    hub = await start_hub(hooks=hooks(secret))
    headers = signed(b'{"a":1}', "msg_3")
    changed = await hook(hub, b'{"a":2}', headers)
    assert (changed.status_code, changed.json()["error"]) == (401, "unauthorized")
    for name in headers:
        less = {key: value for key, value in headers.items() if key != name}
        assert (await hook(hub, b'{"a":1}', less)).status_code == 401
    async with hub.http() as http:
        assert (await http.get("/api/tasks")).json()["count"] == 0


async def test_a_hook_refuses_what_it_cannot_make_a_task_of(start_hub: Start, secret: str) -> None:
    hub = await start_hub(hooks=hooks(secret, inputs={"topics": "{topics}"}))
    missing = await hook(hub, {"other": 1})
    assert missing.status_code == 422
    assert missing.json()["errors"][0]["field"] == "topics"
    assert (await hook(hub, b"not json")).status_code == 400
    assert (await hook(hub, b'"' + b"x" * (256 * 1024) + b'"')).status_code == 413
    async with httpx.AsyncClient(base_url=hub.address) as http:
        assert (await http.post("/api/hooks/nobody")).status_code == 404


async def test_credentials_do_not_come_in_by_a_hook(start_hub: Start, secret: str) -> None:
    """L40."""
    hub = await start_hub(hooks=hooks(secret))
    answer = await hook(hub, {"_llm_api_key": "sk-canary"})
    assert answer.status_code == 422
    assert "sk-canary" not in answer.text


# --- out ----------------------------------------------------------------------------------------------------


async def called(hub: RunningHub, place: Place, **more: Any) -> dict[str, Any]:
    """A task that goes out as a call."""
    async with hub.http() as http:
        body = {"description": "bill it", "plugin": "invoice", "inputs": {"n": 1}, **more}
        task: dict[str, Any] = (await http.post("/api/tasks", json=body)).json()
    return task


async def report(hub: RunningHub, task_id: str, body: object, headers: dict[str, str]) -> httpx.Response:
    raw = json.dumps(body).encode()
    async with httpx.AsyncClient(base_url=hub.address) as http:
        return await http.post(f"/api/callbacks/{task_id}", content=raw, headers=headers)


def bearer(place: Place) -> dict[str, str]:
    return {"Authorization": f"Bearer {place.calls[-1].body['callback_token']}"}


async def test_a_task_is_done_by_a_call_and_its_callback(start_hub: Start, secret: str) -> None:
    async with placed() as place:
        hub = await start_hub(**calls_to(place, secret), public_url="http://hub.example:4000")
        task_id = (await called(hub, place))["task_id"]
        await hub.becomes(task_id, "running")
        call = place.calls[0]
        assert call.is_signed()
        assert call.path == "/flow?from=hub"
        assert call.headers["host"] == f"127.0.0.1:{place.port}"
        assert call.body["description"] == "bill it"
        assert call.body["inputs"] == {"n": 1}
        assert call.body["callback_url"] == f"http://hub.example:4000/api/callbacks/{task_id}"
        noted = await report(hub, task_id, {"progress": 40, "message": "half"}, bearer(place))
        assert noted.status_code == 202
        assert (await hub.task(task_id))["progress"] == 40
        ended = await report(hub, task_id, {"result": {"paid": True}}, bearer(place))
        assert (ended.status_code, ended.json()["status"]) == (200, "complete")
        task = await hub.task(task_id)
        assert (task["state"], task["result"]) == ("completed", {"paid": True})
        assert len(place.calls) == 1


async def test_a_callback_may_be_signed_instead_and_may_come_twice(start_hub: Start, secret: str) -> None:
    async with placed() as place:
        hub = await start_hub(**calls_to(place, secret))
        task_id = (await called(hub, place))["task_id"]
        await hub.becomes(task_id, "running")
        raw = json.dumps({"result": 1}).encode()
        statuses = [(await report(hub, task_id, {"result": 1}, signed(raw, "cb"))).status_code for _ in "ab"]
        assert statuses == [200, 200]
        other = await report(hub, task_id, {"error": "no"}, bearer(place))
        assert (other.status_code, other.json()["error"]) == (409, "invalid_state")
        assert (await hub.task(task_id))["result"] == 1


async def test_nobody_else_reports_on_a_call(start_hub: Start, secret: str) -> None:
    """Not the token of another call, not an agent's, and nobody for a task that no call was made for."""
    async with placed() as place:
        hub = await start_hub(**calls_to(place, secret))
        task_id = (await called(hub, place))["task_id"]
        await hub.becomes(task_id, "running")
        token = bearer(place)
        other = (await called(hub, place))["task_id"]
        await hub.becomes(other, "running")
        stranger = {"Authorization": f"Bearer {await hub.token('ada')}"}
        for headers in (bearer(place), stranger, {}, signed(b"{}", "cb")):
            assert (await report(hub, task_id, {"result": 1}, headers)).status_code == 401
        async with hub.http() as http:
            waiting = (await http.post("/api/tasks", json={"description": "x"})).json()["task_id"]
        for unknown in (waiting, "task-0000000000000000"):
            assert (await report(hub, unknown, {"result": 1}, token)).status_code == 401
        assert (await report(hub, task_id, {"result": 1}, token)).status_code == 200


async def test_an_error_is_tried_again_with_another_id_unless_it_says_not_to(
    start_hub: Start, secret: str
) -> None:
    async with placed() as place:
        hub = await start_hub(**calls_to(place, secret))
        task_id = (await called(hub, place))["task_id"]
        await hub.becomes(task_id, "running")
        first = bearer(place)
        again = await report(hub, task_id, {"error": "later"}, first)
        assert again.json()["status"] == "retried"
        await until(lambda: len(place.calls) == 2, "it is called again")
        await hub.becomes(task_id, "running")
        assert place.calls[0].headers["webhook-id"] != place.calls[1].headers["webhook-id"]
        assert (await report(hub, task_id, {"result": 1}, first)).status_code == 401
        ended = await report(hub, task_id, {"error": "never", "retryable": False}, bearer(place))
        assert ended.json()["status"] == "failed"
        task = await hub.task(task_id)
        assert (task["state"], task["error"], task["attempt"]) == ("failed", "never", 2)


async def test_a_place_that_is_wrong_fails_the_task_and_one_that_is_busy_is_called_again(
    start_hub: Start, secret: str
) -> None:
    async with placed("503 Busy\r\nRetry-After: 0", "302 Moved\r\nLocation: /other") as place:
        hub = await start_hub(**calls_to(place, secret))
        task_id = (await called(hub, place))["task_id"]
        task = await hub.becomes(task_id, "failed")
        assert task["error"] == "the webhook answered 302"
        assert [call.path for call in place.calls] == ["/flow?from=hub"] * 2


async def test_a_cancelled_call_is_over_and_its_callback_too_late(start_hub: Start, secret: str) -> None:
    async with placed() as place:
        hub = await start_hub(**calls_to(place, secret))
        task_id = (await called(hub, place))["task_id"]
        await hub.becomes(task_id, "running")
        async with hub.http() as http:
            await http.post(f"/api/tasks/{task_id}/cancel")
        await hub.becomes(task_id, "cancelled")
        late = await report(hub, task_id, {"result": 1}, bearer(place))
        assert (late.status_code, late.json()["state"]) == (409, "cancelled")


@pytest.mark.parametrize("point", ["fact.before_commit", "fact.after_commit", "fact.after_tell"])
async def test_a_call_survives_the_death_of_the_hub(hub_process: HubProcess, secret: str, point: str) -> None:
    """Accepted: it waits on. Not accepted: it is made again, under the same id, and the far side knows it."""
    async with placed() as place:
        table = calls_to(place, secret)["calls"]
        said = {"HUB_CALLS": json.dumps(table), "HUB_HOOKS_ALLOW_PRIVATE": "true"}
        hub_process.start(**said, HUB_CRASH_AT=point)
        async with hub_process.http() as http:
            body = {"description": "bill it", "plugin": "invoice"}
            task_id = (await http.post("/api/tasks", json=body)).json()["task_id"]
        await asyncio.to_thread(hub_process.wait)  # it has died at the acceptance
        hub_process.start(**said)
        await hub_process.becomes(task_id, "running")
        async with httpx.AsyncClient(base_url=hub_process.address) as http:
            url = f"/api/callbacks/{task_id}"
            ended = await http.post(url, json={"result": 7}, headers=bearer(place))
        assert ended.status_code == 200, ended.text
        assert (await hub_process.task(task_id))["result"] == 7
        assert len({call.headers["webhook-id"] for call in place.calls}) == 1
        assert (await hub_process.task(task_id))["generation"] == 1


async def test_the_hub_does_not_call_this_machine_unless_it_is_told_that_it_may(
    start_hub: Start, secret: str
) -> None:
    """H1: a name that leads home is refused when it is called, not when it is written down."""
    hub = await start_hub(calls={"invoice": {"url": "https://localhost/flow", "secret_file": secret}})
    async with placed() as place:
        task_id = (await called(hub, place))["task_id"]
        task = await hub.becomes(task_id, "failed")
    assert "on this machine or in a private network" in task["error"]


async def test_no_agent_calls_where_nothing_is_to_be_called(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        assert (await http.get(f"/api/agents/{CALLS_AGENT}")).status_code == 404


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "needs one of plugin, agent_id and capability"),
        ({"plugin": "a", "agent_id": "b"}, "needs one of"),
        ({"plugin": "a"}, "needs secret_file or secret_env"),
        ({"plugin": "a", "secret_env": "GONE"}, "GONE is not in the environment"),
        ({"plugin": "a", "secret_env": "SHORT"}, "has at least 32 bytes"),
        ({"plugin": "a", "secret_file": "/nowhere/secret"}, "cannot be read"),
        ({"plugin": "a", "colour": "red"}, "colour"),
        ({"plugin": "a", "timeout_ms": 0}, "timeout_ms"),
    ],
)
def test_a_mistake_in_a_hook_is_named_and_its_secret_is_not(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        read_hooks({"flow": table}, {"SHORT": "hush-hush"})
    assert says in str(wrong.value)
    assert "hooks.flow" in str(wrong.value)
    assert "hush-hush" not in str(wrong.value)


def test_tables_come_from_the_environment_as_json() -> None:
    environ = {"HUB_HOOKS": '{"flow": {"plugin": "digest"}}', "HUB_CALLS": ""}
    settings = choose(Settings, prefix="HUB_", environ=environ).settings
    assert (settings.hooks, settings.calls) == ({"flow": {"plugin": "digest"}}, {})
    for wrong in ("flow=digest", "[]", "1"):
        with pytest.raises(OptionError, match="HUB_HOOKS: this is no table"):
            choose(Settings, prefix="HUB_", environ={"HUB_HOOKS": wrong})


def test_a_hub_has_so_many_hooks_and_no_more(secret: str) -> None:
    table = {"secret_file": secret, "plugin": "a"}
    assert len(read_hooks({f"h{n}": table for n in range(TABLES_MAX)})) == TABLES_MAX
    with pytest.raises(ConfigurationError, match="may have 100"):
        read_hooks({f"h{n}": table for n in range(TABLES_MAX + 1)})


def test_a_place_that_may_not_be_called_is_refused_at_the_start(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="scheme must be https"):
        read_calls({"a": {"url": "http://example.com", "secret_file": secret}}, allow_private=False)
    found = read_calls({"a": {"url": "http://example.com", "secret_file": secret}}, allow_private=True)
    assert SECRET not in repr(found)


def test_a_hub_names_itself_by_what_it_is_reached_at() -> None:
    assert address_of_hub(Settings(host="::1", port=4000)) == "http://[::1]:4000"
    assert address_of_hub(Settings(public_url="https://hub.example")) == "https://hub.example"


@pytest.mark.parametrize("status", [200, 202, 299])
def test_a_call_is_taken_by_any_2xx(status: int) -> None:
    assert failure_in(Answered(status=status)) is None


@pytest.mark.parametrize(
    ("answer", "is_retryable"),
    [
        (Answered(status=500), True),
        (Answered(status=429, retry_after_ms=5_000), True),
        (Answered(status=404), False),
        (Answered(status=301), False),
        (Unanswered("nobody there"), True),
    ],
)
def test_what_may_be_otherwise_in_a_moment_is_tried_again(
    answer: Answered | Unanswered, is_retryable: bool
) -> None:
    failure = failure_in(answer)
    assert failure is not None
    assert failure.is_retryable is is_retryable
