"""Tokens, onboarding, log-in: who may come in, what is shown, and what ends when a token does."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from hub.api.session import CSRF_HEADER
from hub.auth import Role
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer

OWN_PAGE = {CSRF_HEADER: "1"}


def everything_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_token_is_shown_once_and_stored_nowhere(running_hub: RunningHub) -> None:
    """L32: tokens stored in plain text, written non-atomically."""
    async with running_hub.http() as http:
        made = await http.post("/admin/tokens", json={"agent_id": "ada"})
        listed = await http.get("/admin/tokens")
    assert made.status_code == 201
    token = made.json()["token"]
    assert token.startswith("hubs_")
    assert token not in listed.text
    assert made.json()["token_id"] in listed.text
    folder = running_hub.parts.settings.state_dir
    assert token.encode() not in everything_on_disk(folder)
    with sqlite3.connect(f"file:{folder}/hub.db?mode=ro", uri=True) as database:
        assert token not in "\n".join(database.iterdump())


async def test_a_revoked_token_closes_its_live_socket(running_hub: RunningHub) -> None:
    """L33: revoking a token left its socket open."""
    async with running_hub.http() as http:
        made = (await http.post("/admin/tokens", json={"agent_id": "ada"})).json()
        peer = await V2Peer.dial(running_hub.ws_address, token=made["token"])
        await peer.identify("ada")
        revoked = await http.delete(f"/admin/tokens/{made['token_id']}")
        assert (revoked.status_code, revoked.json()) == (200, {"status": "revoked"})
        assert (await peer.closed())[0] == 4401
        with pytest.raises(InvalidStatus):
            await V2Peer.dial(running_hub.ws_address, token=made["token"])
        gone = await http.delete(f"/admin/tokens/{made['token_id']}")
    assert gone.status_code == 404


async def test_all_tokens_of_an_agent_can_be_revoked_by_its_name(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        for _ in range(2):
            await http.post("/admin/tokens", json={"agent_id": "ada"})
        await http.post("/admin/tokens", json={"agent_id": "bob"})
        await http.delete("/admin/tokens/ada")
        left = (await http.get("/admin/tokens")).json()["tokens"]
    assert sorted(str(token["agent_id"]) for token in left) == ["None", "bob"]


async def test_an_agents_token_is_for_one_agent_and_gives_no_power(running_hub: RunningHub) -> None:
    """L34: one agent connected as another by a set-up mistake. L30: registration gave admin power."""
    token = await running_hub.token("ada")
    peer = await V2Peer.dial(running_hub.ws_address, token=token)
    refused = await peer.identify("bob")
    assert (refused["type"], refused["error"]) == ("error", "token_agent_mismatch")
    assert (await peer.closed())[0] == 4403
    async with running_hub.http(token) as http:
        answers = [
            await http.get("/api/tasks"),
            await http.get("/admin/tokens"),
            await http.post("/api/tasks", json={"description": "x"}),
            await http.get("/api/feed"),
        ]
    assert {answer.status_code for answer in answers} == {403}


@pytest.mark.parametrize("body", [{}, {"role": "join"}, {"role": "god", "agent_id": "x"}, {"role": "agent"}])
async def test_a_token_for_nobody_in_particular_is_422(running_hub: RunningHub, body: dict[str, str]) -> None:
    async with running_hub.http() as http:
        answer = await http.post("/admin/tokens", json=body)
    assert answer.status_code == 422


async def test_a_join_code_is_good_once_and_for_its_pattern(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        code = (await http.post("/admin/tokens", json={"role": "join", "agent_id": "build-*"})).json()[
            "token"
        ]
    async with httpx.AsyncClient(base_url=running_hub.address) as stranger:
        nobody = await stranger.post("/api/onboard/register", json={"agent_id": "build-1"})
        wrong_name = await stranger.post("/api/onboard/register", json={"agent_id": "other", "code": code})
        joined = await stranger.post("/api/onboard/register", json={"agent_id": "build-1", "code": code})
        again = await stranger.post("/api/onboard/register", json={"agent_id": "build-2", "code": code})
    assert (nobody.status_code, wrong_name.status_code, again.status_code) == (401, 403, 401)
    assert joined.status_code == 201, joined.text
    assert joined.json()["hub_ws_url"] == f"{running_hub.ws_address}/ws"
    assert joined.json()["hub_api_url"] == running_hub.address
    peer = await V2Peer.dial(running_hub.ws_address, token=joined.json()["token"])
    assert (await peer.identify("build-1"))["type"] == "identified"


@pytest.mark.parametrize("running_hub", [{"open_onboarding": True}], indirect=True)
async def test_an_open_door_gives_each_name_once(running_hub: RunningHub) -> None:
    async with httpx.AsyncClient(base_url=running_hub.address) as stranger:
        first = await stranger.post("/api/onboard/register", json={"agent_id": "ada"})
        second = await stranger.post("/api/onboard/register", json={"agent_id": "ada"})
    assert (first.status_code, second.status_code) == (201, 409)
    assert second.json()["error"] == "agent_id already registered"


async def test_the_page_logs_in_with_a_token_and_out_again(running_hub: RunningHub) -> None:
    viewer = await running_hub.token(role=Role.VIEWER)
    async with httpx.AsyncClient(base_url=running_hub.address) as browser:
        assert (await browser.get("/api/session")).status_code == 401
        foreign = await browser.post("/api/session", json={"token": viewer})
        wrong = await browser.post("/api/session", json={"token": viewer[:-1] + "!"}, headers=OWN_PAGE)
        entered = await browser.post("/api/session", json={"token": viewer}, headers=OWN_PAGE)
        cookie = entered.headers["set-cookie"]
        assert (foreign.status_code, wrong.status_code, entered.status_code) == (403, 401, 200)
        assert viewer not in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert (await browser.get("/api/session")).json()["role"] == "viewer"
        assert (await browser.get("/api/tasks")).status_code == 200
        kept = browser.cookies["hub"]
        await browser.delete("/api/session", headers=OWN_PAGE)
        browser.cookies.set("hub", kept, domain="127.0.0.1")
        assert (await browser.get("/api/session")).status_code == 401


async def test_another_sites_request_cannot_use_the_pages_cookie(running_hub: RunningHub) -> None:
    async with httpx.AsyncClient(base_url=running_hub.address) as browser:
        await browser.post("/api/session", json={"token": running_hub.admin_token}, headers=OWN_PAGE)
        body = {"description": "x"}
        without_header = await browser.post("/api/tasks", json=body)
        from_elsewhere = await browser.post(
            "/api/tasks", json=body, headers=OWN_PAGE | {"Origin": "https://elsewhere.example"}
        )
        own = await browser.post("/api/tasks", json=body, headers=OWN_PAGE | {"Origin": running_hub.address})
    assert [a.status_code for a in (without_header, from_elsewhere, own)] == [403, 403, 201]


@pytest.mark.parametrize("spoilt", ["", ".", "a.b.c.d.e", "tok.1.2.x.ff", "é"])
async def test_a_cookie_that_is_not_ours_is_nobody(running_hub: RunningHub, spoilt: str) -> None:
    async with httpx.AsyncClient(base_url=running_hub.address) as browser:
        answer = await browser.get("/api/session", headers={b"cookie": f"hub={spoilt}".encode()})
    assert answer.status_code == 401


async def test_a_session_ends_with_its_token(running_hub: RunningHub) -> None:
    async with running_hub.http() as http, httpx.AsyncClient(base_url=running_hub.address) as browser:
        made = (await http.post("/admin/tokens", json={"role": "viewer"})).json()
        await browser.post("/api/session", json={"token": made["token"]}, headers=OWN_PAGE)
        assert (await browser.get("/api/session")).status_code == 200
        await http.delete(f"/admin/tokens/{made['token_id']}")
        assert (await browser.get("/api/session")).status_code == 401


async def test_who_made_and_revoked_tokens_is_in_the_audit(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        made = (await http.post("/admin/tokens", json={"agent_id": "ada"})).json()
        await http.delete(f"/admin/tokens/{made['token_id']}")
    database = running_hub.parts.settings.state_dir / "hub.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as look:
        rows = look.execute("SELECT action, detail, address FROM audit ORDER BY number").fetchall()
    assert [row[0] for row in rows] == ["token_created", "token_revoked"]
    assert all(made["token_id"] in row[1] for row in rows)
    assert made["token"] not in json.dumps(rows)


@pytest.mark.parametrize("running_hub", [{"pushes_per_second": 1}], indirect=True)
async def test_a_token_that_pushes_too_fast_is_told_to_wait(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        answers = [await http.post("/api/tasks", json={"description": "x"}) for _ in range(7)]
    late = [answer for answer in answers if answer.status_code == 429]
    assert answers[0].status_code == 201
    assert late
    assert late[0].json()["error"] == "rate_limited"
    assert int(late[0].headers["retry-after"]) >= 1
