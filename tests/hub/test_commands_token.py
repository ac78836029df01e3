"""`hub token`, typed against a real hub."""

from __future__ import annotations

import json

from hub.commands.places import write_local
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.hub.typing_hands import local_file, run


async def test_a_token_is_shown_once_and_listed_by_its_first_characters(running_hub: RunningHub) -> None:
    made = await run(
        *(running_hub, "token", "create", "--role", "dispatcher", "--agents", "build-*"),
        *("--label", "ci", "--expires", "1h"),
    )
    assert made.code == 0, made.err
    token = made.records[0]["token"]
    assert (await run(running_hub, "push", "other", "work", "--queue", HUB_TOKEN=token)).code == 4
    assert (await run(running_hub, "push", "build-1", "work", "--queue", HUB_TOKEN=token)).code == 0
    listed = await run(running_hub, "token", "list")
    assert token not in listed.out
    assert {one["label"]: one["agent_patterns"] for one in listed.records}["ci"] == ["build-*"]
    gone = await run(running_hub, "token", "revoke", made.records[0]["token_id"])
    assert gone.records[0]["status"] == "revoked"
    assert (await run(running_hub, "push", "build-1", "work", "--queue", HUB_TOKEN=token)).code == 4
    assert (await run(running_hub, "token", "revoke", "tok-none")).code == 6


async def test_a_token_of_no_agent_is_refused_with_the_field_that_is_missing(running_hub: RunningHub) -> None:
    said = await run(running_hub, "token", "create")
    assert said.code == 2
    assert "agent_id" in said.err


async def test_a_join_code_comes_with_the_command_that_uses_it(running_hub: RunningHub) -> None:
    said = await run(running_hub, "token", "create", "--role", "join", "--agent-id", "build-*", "--no-json")
    code = next(line.split()[-1] for line in said.out.splitlines() if line.startswith("token "))
    assert f"sidecar join {running_hub.address} {code}" in said.err
    quiet = await run(running_hub, "token", "create", "--role", "join", "--agent-id", "b", "-q")
    assert (quiet.out.startswith("hubj_"), quiet.err) == (True, "")


async def test_a_rotated_token_may_do_what_the_old_one_may_until_that_is_revoked(
    running_hub: RunningHub,
) -> None:
    old = await running_hub.token("ada")
    rotated = await run(running_hub, "token", "rotate", "ada")
    assert rotated.code == 0, rotated.err
    new = rotated.records[0]
    assert (new["role"], new["agent_id"]) == ("agent", "ada")
    assert "hub token revoke tok-" in rotated.err
    for token in (old, new["token"]):
        peer = await V2Peer.dial(running_hub.ws_address, token=token)
        assert (await peer.identify("ada"))["type"] == "identified"
        await peer.hang_up()
    narrow = await run(running_hub, "token", "create", "--role", "dispatcher", "--plugins", "digest")
    again = await run(running_hub, "token", "rotate", narrow.records[0]["token_id"], "--expires", "2h")
    token_id = again.records[0]["token_id"]
    listed = {one["token_id"]: one for one in (await run(running_hub, "token", "list")).records}
    assert listed[token_id]["plugin_patterns"] == ["digest"]
    assert listed[token_id]["expires_at"] - listed[token_id]["created_at"] == 7_200_000
    assert (await run(running_hub, "token", "rotate", "nobody")).code == 6


async def test_rotating_the_token_of_this_machine_goes_on_with_the_new_one(running_hub: RunningHub) -> None:
    write_local(running_hub.address, running_hub.admin_token)
    [mine] = (await run(None, "token", "list")).records
    rotated = await run(None, "token", "rotate", mine["token_id"])
    assert rotated.code == 0, rotated.err
    kept = json.loads(local_file().read_text())
    assert kept["admin_token"] == rotated.records[0]["token"]
    assert local_file().stat().st_mode & 0o777 == 0o600
    assert (await run(None, "token", "revoke", mine["token_id"])).code == 0
    assert (await run(None, "tasks", "list")).code == 0
