"""What each role may not: every row of the API, asked by everybody who has no business there (A4)."""

from __future__ import annotations

import httpx
import pytest

from hub.api.routes import ENDPOINTS
from hub.auth import LIFETIME_MS, SCOPES, SECRET_BYTES, Role, mint
from hub.settings import Settings
from tests.hub.conftest import HubProcess, RunningHub


async def asked(http: httpx.AsyncClient, method: str, path: str) -> int:
    """The status of a bare request; no path is a real one, so whoever may pass harms nothing."""
    for name in ("task_id", "agent_id", "token_id", "message_id"):
        path = path.replace(f"{{{name}}}", "nobody")
    content = None if method == "GET" else b"{"
    return (await http.request(method, path, content=content)).status_code


@pytest.mark.parametrize("role", [None, *Role])
async def test_every_row_is_closed_to_roles_without_its_scope(
    running_hub: RunningHub, role: Role | None
) -> None:
    token = await running_hub.token("ada", role) if role is not None else "nothing"
    wrong = []
    async with running_hub.http(token) as http:
        for endpoint in ENDPOINTS:
            if endpoint.needs is None:
                continue
            status = await asked(http, endpoint.method, endpoint.path)
            if role is None:
                is_right = status == 401
            elif endpoint.needs in SCOPES[role]:
                is_right = status != 401
            else:
                is_right = status == 403
            if not is_right:
                wrong.append((endpoint.method, endpoint.path, status))
    assert not wrong


async def test_a_limited_dispatcher_steers_only_what_it_might_have_pushed(running_hub: RunningHub) -> None:
    """L34's cousin: the limit held for pushing only, and any task could be cancelled or run again."""
    async with running_hub.http() as http:
        body = {"role": "dispatcher", "agent_patterns": ["build-*"]}
        limited = (await http.post("/admin/tokens", json=body)).json()["token"]
        ids = [
            (await http.post("/api/tasks", json={"description": "x", "assign_to": name})).json()["task_id"]
            for name in ("build-1", "deploy")
        ]
    statuses = {}
    async with running_hub.http(limited) as http:
        for what, task_id in zip(("own", "foreign"), ids, strict=True):
            answer = {"request_id": f"{task_id}-1", "value": 1}
            statuses[what] = [
                (await http.post(f"/api/tasks/{task_id}/input", json=answer)).status_code,
                (await http.post(f"/api/tasks/{task_id}/cancel")).status_code,
                (await http.post(f"/api/tasks/{task_id}/retry")).status_code,
            ]
        unknown = await http.post("/api/tasks/nobody/cancel")
        anybody = await http.post("/api/tasks", json={"description": "for whoever can"})
    assert statuses == {"own": [404, 200, 200], "foreign": [403, 403, 403]}
    assert (unknown.status_code, anybody.status_code) == (404, 403)
    assert (await running_hub.task(ids[1]))["state"] == "queued"


async def test_the_first_token_is_made_once_and_never_taken_from_the_environment(
    hub_process: HubProcess,
) -> None:
    """A7."""
    wanted = mint(Role.ADMIN, b"s" * SECRET_BYTES)
    for _ in range(2):
        hub_process.start(HUB_TOKEN=wanted, HUB_ADMIN_TOKEN=wanted)
        async with hub_process.http(wanted) as http:
            assert (await http.get("/admin/tokens")).status_code == 401
        async with hub_process.http() as http:
            assert len((await http.get("/admin/tokens")).json()["tokens"]) == 1
        assert hub_process.stop() == 0


def test_no_token_is_for_ever() -> None:
    """A5."""
    days = {role: LIFETIME_MS[role] / 86_400_000 for role in Role}
    assert days.pop(Role.AGENT) == 90
    assert days.pop(Role.JOIN) * 24 * 60 == 10
    assert set(days.values()) == {30}


def test_the_caps_are_as_promised_unless_somebody_changes_them() -> None:
    """W3, W9."""
    settings = Settings()
    assert (settings.strangers_max, settings.strangers_per_address_max) == (256, 16)
    assert (settings.sockets_per_address_max, settings.watchers_per_token_max) == (64, 20)
    assert (settings.head_ms, settings.identify_ms) == (5_000, 10_000)
    assert not settings.open_onboarding
    assert not settings.insecure
    assert settings.trusted_proxies == settings.allowed_origins == ()
