"""`hub agents`, typed against a real hub."""

from __future__ import annotations

from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.hub.typing_hands import run


async def test_agents_are_shown_and_steered(running_hub: RunningHub) -> None:
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada", capabilities=["sums", "words"])
    table = await run(running_hub, "agents", "list", "--no-json")
    assert "sums, words" in table.out
    shown = await run(running_hub, "agents", "get", "ada", "--no-json")
    assert "DURATION MS" in shown.out
    assert (await run(running_hub, "agents", "get", "ada")).records[0]["connected"] is True
    for word, status in (("pause", "paused"), ("resume", "resumed"), ("drain", "draining")):
        said = await run(running_hub, "agents", word, "ada")
        assert (said.code, said.records[0]["status"]) == (0, status)
    assert (await peer.hear("goaway"))["type"] == "goaway"
    await run(running_hub, "agents", "disconnect", "ada")
    await peer.closed()
    missing = await run(running_hub, "agents", "pause", "nobody")
    assert missing.code == 6
    assert "nobody" in missing.err
