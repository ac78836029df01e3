"""Agents that have already come in: what most tests of a running hub begin with.

Owns the short ways to an identified client and to its link inside the hub.
"""

from __future__ import annotations

from typing import Any

from hub.link import Link
from tests.hub.conftest import RunningHub
from tests.hub.peers import V1Peer, V2Peer


def link_of(hub: RunningHub, agent_id: str) -> Link:
    """The newest link of an agent."""
    return next(link for link in reversed(hub.parts.registry.links()) if link.agent_id == agent_id)


def code_of(link: Link) -> int | None:
    """With which code it has ended; None while it lives."""
    return None if link.ended is None else link.ended.code


async def v2(hub: RunningHub, agent_id: str = "ada", **more: Any) -> V2Peer:
    """An identified v2 client with a token of its own."""
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(agent_id))
    assert (await peer.identify(agent_id, **more))["type"] == "identified"
    return peer


async def v1(hub: RunningHub, agent_id: str = "ada") -> V1Peer:
    peer = await V1Peer.dial(hub.ws_address)
    assert await peer.identify(agent_id, await hub.token(agent_id)) == {
        "type": "identified",
        "agent_id": agent_id,
    }
    return peer
