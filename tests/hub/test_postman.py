"""Kept messages are handed over when their agent is back: in order, once it has read them not again."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from hub.core.effects import MailKept
from hub.postman import PIECE_BYTES_MAX, PIECE_MESSAGES_MAX, first_piece
from hub.store.mail import MAILBOX_MAX
from hub.store.queries import MailLine
from protocol.ids import AgentId, MessageId
from tests.hub.company import link_of, v1, v2
from tests.hub.conftest import HubProcess, Reachable, RunningHub
from tests.hub.peers import V1Peer, V2Peer
from tests.waiting import until


async def keep(hub: Reachable, count: int, to: str = "ada", first: int = 0, text: str = "") -> list[str]:
    async with hub.http() as http:
        ids = []
        for n in range(first, first + count):
            sent = await http.post("/api/message", json={"to": to, "payload": {"n": n, "text": text}})
            ids.append(sent.json()["id"])
    return ids


async def read(peer: V1Peer | V2Peer, count: int) -> list[dict[str, Any]]:
    return [await peer.hear("message") for _ in range(count)]


async def is_told(hub: RunningHub, agent_id: str, seq: int) -> None:
    box = AgentId(agent_id)
    for _ in range(1_000):
        if await hub.parts.mailboxes.told(box) == seq:
            return
        await hub.parts.queries.stats()  # a read takes its turn: no clock is needed
    raise AssertionError(f"{agent_id} was told up to {await hub.parts.mailboxes.told(box)}, not {seq}")


@pytest.mark.parametrize("version", [1, 2])
async def test_mail_that_was_kept_comes_in_order_after_identified_and_stays_until_acknowledged(
    running_hub: RunningHub, version: int
) -> None:
    ids = await keep(running_hub, 2 * PIECE_MESSAGES_MAX + 1)
    peer = await (v1(running_hub) if version == 1 else v2(running_hub))
    messages = await read(peer, len(ids))
    assert [message["id"] for message in messages] == ids
    assert [message["payload"]["n"] for message in messages] == list(range(len(ids)))
    assert messages[0]["from"] == "admin"
    assert messages[0]["timestamp"] <= messages[-1]["timestamp"]
    await is_told(running_hub, "ada", len(ids))
    async with running_hub.http() as http:
        assert (await http.get("/api/mailbox/ada")).json()["count"] == len(ids)


async def test_what_was_read_is_not_told_again_and_what_came_since_is(running_hub: RunningHub) -> None:
    await keep(running_hub, 2)
    peer = await v2(running_hub)
    await read(peer, 2)
    await is_told(running_hub, "ada", 2)
    await peer.hang_up()
    await until(lambda: not running_hub.parts.board.is_connected(AgentId("ada")), "the hub has noticed")
    (new,) = await keep(running_hub, 1, first=2)
    again = await v2(running_hub)
    assert (await again.hear("message"))["id"] == new
    await is_told(running_hub, "ada", 3)
    await again.hear_nothing_but("agent_joined")


async def test_mail_that_nobody_is_known_to_have_read_comes_again_with_the_same_id(
    running_hub: RunningHub,
) -> None:
    """A socket that dies takes what was said on it with it: twice is better than never."""
    (message_id,) = await keep(running_hub, 1)
    peer = await v2(running_hub)
    assert (await peer.hear("message"))["id"] == message_id
    link_of(running_hub, "ada")._proofs.give_up()
    await peer.hang_up()
    again = await v2(running_hub)
    first = await again.hear("message")
    assert first["id"] == message_id


async def test_mail_outlives_the_hub_that_kept_it(hub_process: HubProcess) -> None:
    """Killed with mail in a box, and killed after a part of it was read: nothing is lost, order is kept."""
    hub_process.start()
    ids = await keep(hub_process, 3)
    hub_process.kill()
    hub_process.start()
    token = await hub_process.token("ada")
    peer = await V2Peer.dial(hub_process.ws_address, token=token)
    await peer.identify("ada")
    assert [message["id"] for message in await read(peer, 3)] == ids
    hub_process.kill()
    hub_process.start()
    ids += await keep(hub_process, 1, first=3)
    peer = await V2Peer.dial(hub_process.ws_address, token=token)
    await peer.identify("ada", connection=2)
    heard: list[str] = []
    while not heard or heard[-1] != ids[-1]:
        heard.append((await peer.hear("message"))["id"])
    assert heard == ids[-len(heard) :], "from where it was sure, in order, to the newest"


async def test_acknowledged_mail_is_not_told(running_hub: RunningHub) -> None:
    await keep(running_hub, 3)
    async with running_hub.http() as http:
        await http.post("/api/mailbox/ada/ack", json={"up_to": 2})
    peer = await v2(running_hub)
    assert (await peer.hear("message"))["payload"]["n"] == 2
    await is_told(running_hub, "ada", 3)


async def test_a_full_box_of_great_messages_does_not_count_as_a_peer_that_does_not_read(
    running_hub: RunningHub,
) -> None:
    ids = await keep(running_hub, MAILBOX_MAX, text="x" * 60_000)
    peer = await v2(running_hub)
    assert [message["id"] for message in await read(peer, len(ids))] == ids
    await is_told(running_hub, "ada", len(ids))


def test_a_piece_ends_at_its_bound_and_never_before_its_first_message() -> None:
    def lines(*sizes: int) -> tuple[MailLine, ...]:
        return tuple(
            MailLine(
                seq=n,
                message_id="m",
                sender="s",
                message_type="chat",
                payload=Raw(b"x" * size),
                reply_to=None,
                wall_ms=0,
            )
            for n, size in enumerate(sizes)
        )

    half = PIECE_BYTES_MAX // 2
    assert len(first_piece(lines(half, half, 1))) == 2
    assert len(first_piece(lines(half, half + 1, 1))) == 1
    assert len(first_piece(lines(PIECE_BYTES_MAX + 1, 1))) == 1
    assert first_piece(()) == ()


def test_whoever_has_no_mail_costs_nothing_on_the_way_in(running_hub: RunningHub) -> None:
    postman = running_hub.parts.postman
    postman.see([], [])
    kept = MailKept(
        message_id=MessageId("m"),
        to=AgentId("bob"),
        sender="s",
        message_type="chat",
        payload=Raw(b"{}"),
        reply_to=None,
        wall_ms=0,
    )
    postman.see([kept], [])
    assert postman._waiting == {"bob": 1}
