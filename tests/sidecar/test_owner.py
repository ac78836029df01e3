"""The owner's switch and rules with real processes: pause, resume, status, limits that outlive a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.options import OptionError, choose
from protocol import frames as f
from protocol import limits
from sidecar.clock import SidecarClock
from sidecar.errors import SettingsError
from sidecar.events import OwnerLooked, Pause
from sidecar.house_rules import LOAD_MAX, RUN_MINUTES_MAX, RUNS_MAX, HouseRules, OnTheWall
from sidecar.owner import CORES, Owner
from sidecar.settings import Settings
from sidecar.state import StateFolder
from sidecar.wall import rules_of
from tests.sidecar.dialogue import raw
from tests.sidecar.hubdouble import Caller, HubDouble, hub_double
from tests.sidecar.process import sidecar_of, sidecar_process
from tests.waiting import until

YEAR_MS = 365 * 24 * 3_600_000


@pytest.fixture
async def hub() -> AsyncIterator[HubDouble]:
    async with hub_double() as double:
        yield double


async def run(*arguments: str) -> tuple[int, str, str]:
    async with sidecar_process(*arguments) as process:
        return await process.end()


def reasons(caller: Caller) -> list[str | None]:
    """What the beats of a connection said, without repeats."""
    rests = [frame.resting for frame in caller.heard if isinstance(frame, f.Heartbeat)]
    words = [None if rest is None else rest.reason for rest in rests]
    return [word for n, word in enumerate(words) if n == 0 or words[n - 1] != word]


async def rejected(hub: HubDouble, n: int) -> str:
    fact = await hub.fact(f.TaskRejected, n)
    assert isinstance(fact, f.TaskRejected)
    return fact.reason


async def test_the_switch_of_the_owner_works_on_a_running_sidecar_and_holds_over_its_restart(
    hub: HubDouble, tmp_path: Path
) -> None:
    here = ("--state-dir", str(tmp_path), "--agent-id", "porter")
    token = tmp_path.parent / "token"
    token.write_text("t")
    connect = ("connect", hub.url, *here, "--token-file", str(token), "--slot-kind", "gpu=2")
    async with sidecar_process(*connect) as process:
        caller = await hub.caller()
        assert (caller.identify.slot_kinds, caller.identify.resting) == ({"gpu": 2}, None)
        code, _, err = await run("pause", *here)
        assert (code, err) == (0, "sidecar `porter` takes no new work until `sidecar resume`\n")
        await until(lambda: reasons(caller) == ["paused"], "the hub hears of it at once")
        await hub.assign(1, slot="gpu")
        assert await rejected(hub, 1) == "policy"
        _, out, _ = await run("status", *here, "--json")
        status = json.loads(out)
        assert (status["state"], status["reason"]) == ("resting", "paused")
        assert status["slot_kinds"] == {"gpu": 2}
        process.process.terminate()
        assert (await process.end())[0] == 0
    async with sidecar_process(*connect) as process:
        caller = await hub.caller(2)
        assert caller.identify.resting == f.Resting(reason="paused")
        code, _, err = await run("resume", *here)
        assert (code, err) == (0, "sidecar `porter` takes work again\n")
        await until(lambda: reasons(caller) == [None], "the hub hears of that, too")
        await hub.assign(2, slot="gpu")
        await hub.fact(f.TaskComplete, 2)
    _, _, err = await run("resume", *here)
    assert err == "sidecar `porter` was not paused\n"


async def test_a_pause_has_an_end_within_a_year(tmp_path: Path) -> None:
    here = ("--state-dir", str(tmp_path), "--agent-id", "porter")
    folder = StateFolder(tmp_path)
    before = SidecarClock().now().wall_ms
    assert (await run("pause", "--for", "365d", *here))[0] == 0
    pause = folder.kept_pause()
    assert pause is not None
    assert pause.until is not None
    assert before + YEAR_MS <= pause.until <= SidecarClock().now().wall_ms + YEAR_MS
    for wrong in ("366d", "0s"):
        code, _, err = await run("pause", "--for", wrong, *here)
        assert (code, "at most a year" in err) == (2, True)
    assert folder.kept_pause() == pause


async def test_runs_of_the_last_hour_count_in_the_next_process(hub: HubDouble, tmp_path: Path) -> None:
    async with sidecar_of(hub, tmp_path, runs_per_hour=2) as sidecar:
        await hub.caller()
        await hub.assign(1)
        await hub.fact(f.TaskComplete, 1)
        assert sidecar.readiness().members.get("resting") is None
    async with sidecar_of(hub, tmp_path, runs_per_hour=2) as sidecar:
        caller = await hub.caller(2)
        await hub.assign(2)
        await hub.fact(f.TaskComplete, 2)
        await until(lambda: reasons(caller) == ["runs_per_hour"], "the hub hears that the limit is reached")
        ready = sidecar.readiness()
        assert ready.is_ready, "nothing that a probe should mend"
        assert ready.members["resting"].startswith("runs_per_hour until ")
        await hub.assign(3)
        assert await rejected(hub, 3) == "policy"
    async with sidecar_of(hub, tmp_path, runs_per_hour=2):
        caller = await hub.caller(3)
        assert caller.identify.resting is not None
        assert caller.identify.resting.reason == "runs_per_hour"


async def test_a_run_ends_when_the_owner_wants_it_to(hub: HubDouble, tmp_path: Path) -> None:
    async with sidecar_of(hub, tmp_path) as sidecar:
        await hub.caller()
        sidecar.owner.house.rules = HouseRules(run_ms_max=50)  # a minute is too long for a test
        await hub.assign(1, deadline_ms=600_000, metadata=raw('{"echo": {"sleep_ms": 600000}}'))
        fact = await hub.fact(f.TaskFailed, 1)
        assert isinstance(fact, f.TaskFailed)
        assert (fact.reason, fact.fault) == ("timeout", "policy")


# --- looking ------------------------------------------------------------------------------------------------


async def test_the_load_is_measured_per_core_and_only_where_a_rule_asks_for_it(tmp_path: Path) -> None:
    load = [3.0 * CORES]
    told: list[OwnerLooked] = []
    clock = SidecarClock()

    def owner(rules: HouseRules) -> Owner:
        return Owner(StateFolder(tmp_path), rules, clock, told.append, lambda: (load[0], 0.0, 0.0))

    assert owner(rules_of()).resting is None
    loaded = owner(rules_of(load_max=2.0))
    assert loaded.resting == "load"
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(loaded.watch())
        load[0] = 1.0 * CORES
        await until(lambda: told == [OwnerLooked(None, 1.0)], "the desk is told of a change")
        watching.cancel()


def test_a_switch_that_cannot_be_read_is_still_a_wish_for_peace(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    assert folder.kept_pause() is None
    folder.keep_pause(Pause(7))
    assert folder.kept_pause() == Pause(7)
    (tmp_path / "pause.json").write_text("rubbish")
    assert folder.kept_pause() == Pause()
    assert (folder.forget_pause(), folder.forget_pause()) == (True, False)


def test_starts_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    assert folder.kept_starts() == []
    folder.keep_starts([1, 2])
    assert folder.kept_starts() == [1, 2]
    (tmp_path / "starts.json").write_text("{}")
    assert folder.kept_starts() == []


# --- settings -----------------------------------------------------------------------------------------------


def chosen(**environ: str) -> Settings:
    return choose(
        Settings, prefix="SIDECAR_", environ={f"SIDECAR_{name}": word for name, word in environ.items()}
    ).settings


def test_rules_and_kinds_of_slots_may_stand_in_the_environment() -> None:
    found = chosen(
        SLOT_KINDS="gpu=1,big=3",
        QUIET_HOURS="22:00-07:00, sat+sun 00:00-24:00",
        RUNS_PER_HOUR="5",
        RUN_MINUTES_MAX="2",
        LOAD_MAX="1.5",
        TIME_ZONE="Europe/Berlin",
    )
    assert found.seats_by_kind == {"gpu": 1, "big": 3}
    rules = found.rules
    assert (len(rules.quiet), rules.runs_per_hour, rules.run_ms_max, rules.load_max) == (2, 5, 120_000, 1.5)
    assert rules.local is not None
    assert rules.local(0) == OnTheWall(3, 60), "Thursday, one in the morning"
    with pytest.raises(OptionError, match="name=value"):
        chosen(SLOT_KINDS="gpu")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"runs_per_hour": RUNS_MAX}, {"runs_per_hour": RUNS_MAX + 1}),
        ({"runs_per_day": RUNS_MAX}, {"runs_per_day": -1}),
        ({"run_minutes_max": RUN_MINUTES_MAX}, {"run_minutes_max": RUN_MINUTES_MAX + 1}),
        ({"load_max": LOAD_MAX}, {"load_max": LOAD_MAX + 0.1}),
        ({"load_max": 0.0}, {"load_max": float("nan")}),
        ({"quiet_hours": ("22:00-07:00",)}, {"quiet_hours": ("22-7",)}),
        ({"time_zone": "Asia/Kolkata"}, {"time_zone": "Kolkata time"}),
        ({"slot_kinds": {"gpu": "1"}}, {"slot_kinds": {"gpu": "0"}}),
        ({"slot_kinds": {"gpu": "1"}}, {"slot_kinds": {"gpu": "many"}}),
        (
            {"slot_kinds": {"gpu": str(limits.SLOTS_MAX - 1)}},
            {"slot_kinds": {"gpu": str(limits.SLOTS_MAX)}},
        ),
        (
            {"slot_kinds": {"k" * limits.SLOT_KIND_LENGTH_MAX: "1"}},
            {"slot_kinds": {"k" * (limits.SLOT_KIND_LENGTH_MAX + 1): "1"}},
        ),
        (
            {"slot_kinds": {f"k{n}": "1" for n in range(limits.SLOT_KINDS_MAX)}},
            {"slot_kinds": {f"k{n}": "1" for n in range(limits.SLOT_KINDS_MAX + 1)}},
        ),
    ],
)
def test_every_rule_has_bounds(good: dict[str, object], bad: dict[str, object]) -> None:
    Settings(**good)  # type: ignore[arg-type]  # a test names any setting
    with pytest.raises(SettingsError):
        Settings(**bad)  # type: ignore[arg-type]  # a test names any setting
