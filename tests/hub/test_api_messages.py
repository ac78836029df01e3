"""Messages between agents: delivered when there, kept when not, read by their owner alone."""

from __future__ import annotations

from hub.auth import Role
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer


async def test_a_message_for_an_absent_agent_waits_in_its_box(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        for n in range(3):
            sent = await http.post("/api/message", json={"to": "ada", "payload": {"n": n}})
            assert (sent.status_code, sent.json()["status"]) == (200, "sent")
            assert len(sent.json()["id"]) == 16
        box = (await http.get("/api/mailbox/ada")).json()
        rest = (await http.get("/api/mailbox/ada", params={"since": box["messages"][0]["seq"]})).json()
        first = (await http.get("/api/mailbox/ada", params={"limit": 1})).json()
        acked = await http.post("/api/mailbox/ada/ack", json={"up_to": box["messages"][1]["seq"]})
        left = (await http.get("/api/mailbox/ada")).json()
    assert [m["payload"]["n"] for m in box["messages"]] == [0, 1, 2]
    assert (box["count"], box["last_seq"]) == (3, box["messages"][-1]["seq"])
    assert [m["payload"]["n"] for m in rest["messages"]] == [1, 2]
    assert [m["payload"]["n"] for m in first["messages"]] == [0]
    assert acked.json() == {"status": "acked", "up_to": box["messages"][1]["seq"]}
    assert [m["payload"]["n"] for m in left["messages"]] == [2]


async def test_limit_with_since_returns_the_oldest_first(running_hub: RunningHub) -> None:
    """L59: `limit` with `since` returned the wrong end."""
    async with running_hub.http() as http:
        for n in range(5):
            await http.post("/api/message", json={"to": "ada", "payload": {"n": n}})
        first = (await http.get("/api/mailbox/ada", params={"limit": 2})).json()
        second = (await http.get("/api/mailbox/ada", params={"limit": 2, "since": first["last_seq"]})).json()
    assert [m["payload"]["n"] for m in first["messages"]] == [0, 1]
    assert [m["payload"]["n"] for m in second["messages"]] == [2, 3]


async def test_a_message_reaches_a_live_agent_and_not_its_sender(running_hub: RunningHub) -> None:
    ada_token, bob_token = await running_hub.token("ada"), await running_hub.token("bob")
    ada = await V2Peer.dial(running_hub.ws_address, token=ada_token)
    await ada.identify("ada")
    bob = await V2Peer.dial(running_hub.ws_address, token=bob_token)
    await bob.identify("bob")
    async with running_hub.http(ada_token) as http:
        to_all = await http.post("/api/message", json={"to": "broadcast", "payload": {"hi": 1}})
    heard = await bob.hear("message")
    assert (heard["id"], heard["from"], heard["payload"]) == (to_all.json()["id"], "ada", {"hi": 1})
    assert heard["message_type"] == "chat"
    await ada.hear_nothing_but("agent_joined")


async def test_nobody_reads_or_writes_for_another_agent(running_hub: RunningHub) -> None:
    ada = await running_hub.token("ada")
    viewer = await running_hub.token(role=Role.VIEWER)
    async with running_hub.http(ada) as http:
        other_box = await http.get("/api/mailbox/bob")
        other_name = await http.post("/api/message", json={"from": "bob", "to": "x", "payload": {}})
        own = await http.get("/api/mailbox/ada")
    async with running_hub.http(viewer) as http:
        looked = await http.get("/api/mailbox/ada")
    assert [a.status_code for a in (other_box, other_name, own, looked)] == [403, 403, 200, 403]


async def test_a_payload_is_an_object(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        for payload in ([1], "x", 1, None):
            answer = await http.post("/api/message", json={"to": "ada", "payload": payload})
            assert answer.status_code == 422, payload
