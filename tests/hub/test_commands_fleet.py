"""Steering a fleet from the command line: by name, by label, all; counted first, one by one to the end."""

from __future__ import annotations

from typing import Any

from tests.hub.company import v2
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.hub.typing_hands import Said, run

SITES = {"ada": "north", "bob": "north", "cleo": "south"}


async def fleet(hub: RunningHub) -> dict[str, V2Peer]:
    return {name: await v2(hub, name, labels={"site": site, "os": "linux"}) for name, site in SITES.items()}


def told(said: Said) -> dict[str, Any]:
    return {record["agent_id"]: record["status"] for record in said.records}


async def states(hub: RunningHub) -> dict[str, str]:
    return {name: (await hub.agent(name))["state"] for name in SITES}


async def test_many_are_counted_first_and_nothing_is_done_without_a_yes(running_hub: RunningHub) -> None:
    await fleet(running_hub)
    looked = await run(running_hub, "agents", "pause", "--label", "site=north", "--dry-run")
    assert told(looked) == {"ada": "would pause", "bob": "would pause"}
    unsure = await run(running_hub, "agents", "pause", "--label", "site=north")
    assert unsure.code == 2
    assert "Pause 2 agents (ada, bob)? Nothing was done" in unsure.err
    assert set((await states(running_hub)).values()) == {"online"}


async def test_a_label_means_all_that_carry_it_and_several_labels_all_that_carry_each(
    running_hub: RunningHub,
) -> None:
    await fleet(running_hub)
    said = await run(running_hub, "agents", "pause", "--label", "site=north", "--yes")
    assert (said.code, told(said)) == (0, {"ada": "paused", "bob": "paused"})
    assert await states(running_hub) == {"ada": "paused", "bob": "paused", "cleo": "online"}
    both = ("--label", "os=linux", "--label", "site=south", "--yes")
    assert told(await run(running_hub, "agents", "pause", *both)) == {"cleo": "paused"}
    assert told(await run(running_hub, "agents", "pause", "--label", "site=moon", "--yes")) == {}
    said = await run(running_hub, "agents", "resume", "--all", "--yes")
    assert told(said) == dict.fromkeys(SITES, "resumed")
    assert set((await states(running_hub)).values()) == {"online"}


async def test_named_agents_are_steered_at_once_and_one_that_is_not_there_holds_up_no_other(
    running_hub: RunningHub,
) -> None:
    peers = await fleet(running_hub)
    said = await run(running_hub, "agents", "drain", "ada", "nobody", "cleo")
    assert (said.code, told(said)) == (1, {"ada": "draining", "nobody": "refused", "cleo": "draining"})
    for name in ("ada", "cleo"):
        assert (await peers[name].hear("goaway"))["reason"] == "drained"


async def test_it_must_be_said_who_is_meant_and_only_in_one_way(running_hub: RunningHub) -> None:
    for words in ((), ("ada", "--all"), ("--all", "--label", "a=b"), ("--label", "north")):
        assert (await run(running_hub, "agents", "pause", *words)).code == 2


async def test_the_table_shows_why_an_agent_rests_and_what_runs_there(running_hub: RunningHub) -> None:
    await v2(
        running_hub,
        "ada",
        plugins=["digest", "plain"],
        plugin_versions={"digest": "1.2.0"},
        sdk="crewhub/9",
        slots=2,
        slot_kinds={"gpu": 1},
        resting={"reason": "quiet_hours", "until": 1_900_000_000_000},
    )
    table = (await run(running_hub, "agents", "list", "--no-json")).out
    for words in ("resting", "quiet_hours until 2030-03-1", "crewhub/9", "digest 1.2.0, plain", "2 gpu=1"):
        assert words in table, table
    (record,) = (await run(running_hub, "agents", "list")).records
    assert record["resting"] == {"reason": "quiet_hours", "until": 1_900_000_000_000}
    assert record["plugin_versions"] == {"digest": "1.2.0"}
