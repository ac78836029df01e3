"""A peer that is sent away hears why, also while it is still sending: no reset destroys the close frame."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
import websockets

from hub.guards import HEAD_BYTES_MAX, LINGER_BYTES_MAX
from tests.hub.conftest import RunningHub
from tests.hub.peers import Peer, V2Peer

GARBAGE = "x" * 200_000
ROUNDS = 10
"""Whether a reset overtakes the close frame is a race: each test runs it a few times."""


async def code_after(peer: Peer, *messages: str | bytes) -> int:
    """Say all of it, whatever comes back meanwhile, then hear the code."""
    for message in messages:
        try:
            await peer.socket.send(message)
        except websockets.ConnectionClosed:
            break
    return (await peer.closed())[0]


async def test_a_stranger_that_sends_one_huge_message_hears_the_code(running_hub: RunningHub) -> None:
    for _ in range(ROUNDS):
        peer = await Peer.dial(running_hub.ws_address)
        assert await code_after(peer, GARBAGE) == 1009


async def test_a_stranger_that_sends_much_before_it_identifies_hears_the_code(
    running_hub: RunningHub,
) -> None:
    for _ in range(ROUNDS):
        peer = await Peer.dial(running_hub.ws_address)
        assert await code_after(peer, *["{}" + " " * 2_000] * 100) == 4400


async def test_a_wrong_token_with_much_behind_it_hears_4401(running_hub: RunningHub) -> None:
    identify = json.dumps({"type": "identify", "agent_id": "ada", "token": "hubs_wrong"})
    for _ in range(2):  # each wrong token is answered later than the one before
        peer = await Peer.dial(running_hub.ws_address)
        assert await code_after(peer, identify, *["x" * 4_000] * 50) == 4401


async def test_an_agent_with_too_big_a_message_hears_4413(running_hub: RunningHub) -> None:
    token = await running_hub.token("ada")
    for number in range(1, ROUNDS + 1):
        peer = await V2Peer.dial(running_hub.ws_address, token=token, subprotocols=["hub.v2.json"])
        assert (await peer.identify("ada", connection=number))["type"] == "identified"
        assert await code_after(peer, "[" + " " * 1_060_000, *[GARBAGE] * 5) == 4413


async def test_what_is_no_websocket_hears_1002(running_hub: RunningHub) -> None:
    for _ in range(ROUNDS):
        peer = await Peer.dial(running_hub.ws_address)
        peer.socket.transport.write(GARBAGE.encode())
        assert (await peer.closed())[0] == 1002


async def test_a_head_without_end_is_answered_431_however_much_comes(running_hub: RunningHub) -> None:
    for _ in range(ROUNDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running_hub))
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * (4 * HEAD_BYTES_MAX))
        assert (await reader.readline()).startswith(b"HTTP/1.1 431")
        await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_peer_that_never_stops_is_cut_in_the_end(running_hub: RunningHub) -> None:
    """What is read for the sake of the goodbye has its bound."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running_hub))
    head = "GET /ws HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    writer.write(f"{head}Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    with pytest.raises(ConnectionError):
        for _ in range(4 * LINGER_BYTES_MAX // len(GARBAGE)):
            writer.write(GARBAGE.encode())
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def port_of(hub: RunningHub) -> int:
    return int(hub.address.rsplit(":", 1)[1])
