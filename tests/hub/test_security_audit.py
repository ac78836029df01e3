"""Who did what, from where: one row for each thing a person may later ask about (Z5)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from hub.api.session import CSRF_HEADER
from hub.audit import REFUSALS_BURST, WAITING_MAX, Audit
from hub.auth import Authority, Role
from hub.clock import HubClock
from hub.firststart import believe
from hub.ladder import CLOSES_MAX
from hub.life import Life
from hub.store.database import open_database
from hub.store.ledger import SqliteLedger
from hub.store.tokens import Tokens
from tests.hub.conftest import RunningHub
from tests.hub.peers import V1Peer, V2Peer

OWN_PAGE = {CSRF_HEADER: "1"}

Row = tuple[str, str, str, str]


def rows_in(database: Path) -> list[Row]:
    """(action, actor, address, detail), oldest first."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as look:
        return look.execute("SELECT action, actor, address, detail FROM audit ORDER BY number").fetchall()


async def rows(hub: RunningHub) -> list[Row]:
    await hub.parts.audit.flush()
    return rows_in(hub.parts.settings.database_file)


def token_id_of(hub: RunningHub, **wanted: Any) -> str:
    """The public id of the one token that has these members."""
    found = [r for r in hub.parts.authority.records() if all(getattr(r, k) == v for k, v in wanted.items())]
    assert len(found) == 1
    return found[0].token_id


async def test_work_that_is_pushed_cancelled_retried_and_answered_has_its_rows(
    running_hub: RunningHub,
) -> None:
    dispatcher = await running_hub.token(role=Role.DISPATCHER)
    agent = await running_hub.token("ada")
    peer = await V2Peer.dial(running_hub.ws_address, token=agent)
    await peer.identify("ada")
    async with running_hub.http(dispatcher) as http:
        pushed = (
            await http.post("/api/admin/push-task", json={"agent_id": "ada", "description": "x"})
        ).json()
        assigned = await peer.hear("task_assign")
        request_id = f"{assigned['task_id']}-1"
        await peer.say(
            peer.fact("task_accepted", assigned),
            peer.fact("input_required", assigned, request_id=request_id, prompt="which?"),
        )
        await running_hub.becomes(pushed["task_id"], "input_required")
        answered = await http.post(
            f"/api/tasks/{pushed['task_id']}/input", json={"request_id": request_id, "value": "this"}
        )
        assert answered.status_code == 200, answered.text
        queued = (await http.post("/api/tasks", json={"description": "y"})).json()
        await http.post(f"/api/tasks/{queued['task_id']}/cancel")
        again = (await http.post(f"/api/tasks/{queued['task_id']}/retry")).json()
        batch = {"tasks": [{"description": "a"}, {"description": "b"}, {}]}
        items = (await http.post("/api/tasks/batch", json=batch)).json()["items"]
    actor = token_id_of(running_hub, role=Role.DISPATCHER)
    assert await rows(running_hub) == [
        ("task_pushed", actor, "127.0.0.1", f"{pushed['task_id']} ada"),
        ("task_answered", actor, "127.0.0.1", f"{pushed['task_id']} {request_id}"),
        ("task_pushed", actor, "127.0.0.1", queued["task_id"]),
        ("task_cancelled", actor, "127.0.0.1", queued["task_id"]),
        ("task_retried", actor, "127.0.0.1", f"{queued['task_id']} as {again['task_id']}"),
        (
            "task_pushed",
            actor,
            "127.0.0.1",
            f"2 tasks, from {items[0]['task_id']} to {items[1]['task_id']}",
        ),
    ]


async def test_who_logs_in_and_out_has_a_row(running_hub: RunningHub) -> None:
    viewer = await running_hub.token(role=Role.VIEWER)
    async with httpx.AsyncClient(base_url=running_hub.address, headers=OWN_PAGE) as browser:
        await browser.post("/api/session", json={"token": viewer})
        await browser.delete("/api/session")
    actor = token_id_of(running_hub, role=Role.VIEWER)
    assert [row[:2] for row in await rows(running_hub)] == [("logged_in", actor), ("logged_out", actor)]


async def test_whoever_is_refused_has_a_row_and_no_secret_is_in_it(running_hub: RunningHub) -> None:
    viewer, agent = await running_hub.token(role=Role.VIEWER), await running_hub.token("ada")
    async with running_hub.http(viewer) as http:
        await http.post("/api/tasks", json={"description": "x"})
    async with running_hub.http("wrong-token") as http:
        await http.get("/api/tasks")
        await http.post("/api/session", json={"token": "wrong-token"}, headers=OWN_PAGE)
        await http.get("/api/feed")
    for token, origin in (("wrong-token", None), (viewer, None), (agent, "https://elsewhere.example")):
        with pytest.raises(InvalidStatus):
            await V2Peer.dial(running_hub.ws_address, token=token, origin=origin)
    old = await V1Peer.dial(running_hub.ws_address)
    await old.identify("bob", agent)
    watcher_id, agent_id = (
        token_id_of(running_hub, role=Role.VIEWER),
        token_id_of(running_hub, agent_id="ada"),
    )
    found = await rows(running_hub)
    assert {row[0] for row in found} == {"refused"}
    assert [(row[1], row[3]) for row in found] == [
        (watcher_id, "POST /api/tasks forbidden"),
        ("nobody", "GET /api/tasks unauthorized"),
        ("nobody", "POST /api/session unauthorized"),
        ("nobody", "GET /api/feed unauthorized"),
        ("nobody", "/ws unauthorized"),
        (watcher_id, "/ws forbidden"),
        (agent_id, "/ws forbidden"),
        (agent_id, "/ws token_agent_mismatch bob"),
    ]
    assert all(secret not in str(found) for secret in ("wrong-token", viewer, agent))


@pytest.mark.parametrize("running_hub", [{"trusted_proxies": ("127.0.0.1",)}], indirect=True)
async def test_a_row_names_the_caller_and_not_the_proxy(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        await http.post("/api/tasks", json={"description": "x"}, headers={"X-Forwarded-For": "203.0.113.9"})
    assert [row[2] for row in await rows(running_hub)] == ["203.0.113.9"]


async def test_an_agent_that_is_kept_out_for_flooding_has_a_row(running_hub: RunningHub) -> None:
    """W8: three closes in ten minutes."""
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    registry = running_hub.parts.registry
    for _ in range(CLOSES_MAX):
        registry.flooded(registry.links()[0])
    await peer.hang_up()
    assert [(row[0], row[3]) for row in await rows(running_hub)] == [("agent_quarantined", "ada")]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "hub" / "hub.db"


async def test_a_flood_of_refusals_is_counted_and_fills_no_disk(database: Path) -> None:
    ledger = SqliteLedger(open_database(database, "full"))
    audit = Audit(ledger, HubClock(lambda: 0))
    for _ in range(REFUSALS_BURST + 50):
        audit.refused("nobody", "GET / unauthorized")
    await audit.flush()
    await ledger.close()
    assert len(rows_in(database)) == REFUSALS_BURST


async def test_rows_that_found_no_place_are_counted_in_a_row(database: Path) -> None:
    ledger = SqliteLedger(open_database(database, "full"))
    audit = Audit(ledger, HubClock())
    for _ in range(WAITING_MAX + 3):
        audit.jot("task_pushed", "tok-1", "t")
    await audit.flush()
    await audit.flush()
    await ledger.close()
    found = rows_in(database)
    assert len(found) == WAITING_MAX + 1
    assert found[-1][0] == "audit_lost"
    assert found[-1][3] == "3 rows"


async def test_an_admin_that_a_start_of_the_hub_lets_in_again_has_a_row(database: Path) -> None:
    ledger = SqliteLedger(open_database(database, "full"))
    clock, life = HubClock(), Life()
    audit, tokens = Audit(ledger, clock), Tokens(ledger)
    authority = Authority(b"p" * 32, lambda: clock.now().wall_ms)
    life.operator_token = "lost"
    for _ in range(2):
        await believe(tokens, authority, life, clock, audit)
    await audit.flush()
    await ledger.close()
    assert life.renewed_token is not None
    (row,) = rows_in(database)
    assert row[:2] == ("token_renewed", "hub serve")
    assert life.renewed_token not in row[3]
