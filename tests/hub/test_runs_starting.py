"""How a run begins for parts of the hub that ask by themselves, and how long one answers for another."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from hub.core.effects import RefusalKind
from hub.core.runs import UNIQUE_MS, RunStatus
from hub.core.task import Now, Origin
from hub.runs.starting import (
    Asked,
    RunRefused,
    RunStarted,
    Starting,
    UnfitRun,
    UnknownPlugin,
    mistakes_in,
    run_id_of,
    start_run,
)
from tests.hub.askers import DIGEST, TOPICS, ask, worked
from tests.hub.company import v2
from tests.hub.conftest import RunningHub

SHIPPED = pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",)}], indirect=True)


@dataclass
class LaterClock:
    """The hub's own, but for the wall's time."""

    hub: RunningHub
    at_wall_ms: int = 0

    def now(self) -> Now:
        return Now(self.hub.parts.clock.now().ms, self.at_wall_ms)

    async def sleep_until(self, due_ms: int) -> None:
        raise AssertionError("nobody waits here")


def starting_at(hub: RunningHub, clock: LaterClock) -> Starting:
    parts = hub.parts
    return Starting(
        settings=parts.settings,
        clock=clock,
        board=parts.board,
        dispatcher=parts.dispatcher,
        queries=parts.runs,
        plugins=parts.plugins,
        vault=parts.vault,
    )


async def start(hub: RunningHub, origin: Origin = "schedule", **more: Any) -> RunStarted:
    return await start_run(hub.parts, DIGEST, 7, dict(TOPICS), origin, **more)


@SHIPPED
async def test_a_completed_run_answers_for_half_an_hour_after_it_was_created(running_hub: RunningHub) -> None:
    peer = await v2(running_hub, plugins=[DIGEST])
    first = await start(running_hub, "api")
    await worked(peer, "news")
    task = await running_hub.parts.runs.run(first.plugin_run_id)
    assert task is not None
    clock = LaterClock(running_hub)
    starting = starting_at(running_hub, clock)
    asked = Asked(plugin=DIGEST, user_id=7, settings=dict(TOPICS), origin="api", by="test")
    clock.at_wall_ms = task.created_wall_ms + UNIQUE_MS - 1
    within = await starting.start(asked)
    clock.at_wall_ms = task.created_wall_ms + UNIQUE_MS
    after = await starting.start(asked)
    assert (within.plugin_run_id, within.is_new) == (first.plugin_run_id, False)
    assert within.status is RunStatus.COMPLETED
    assert after.is_new
    assert after.plugin_run_id != first.plugin_run_id


@SHIPPED
async def test_a_schedule_is_answered_by_a_live_run_and_not_by_one_that_is_over(
    running_hub: RunningHub,
) -> None:
    peer = await v2(running_hub, plugins=[DIGEST])
    first = await start(running_hub, once="daily 1")
    overlapping = await start(running_hub, once="daily 2")
    await worked(peer, "news")
    following = await start(running_hub, once="daily 3")
    assert (overlapping.plugin_run_id, overlapping.is_new) == (first.plugin_run_id, False)
    assert following.is_new


@SHIPPED
async def test_what_is_asked_once_makes_one_run_however_often_it_comes(running_hub: RunningHub) -> None:
    peer = await v2(running_hub, plugins=[DIGEST])
    at_once = await asyncio.gather(*(start(running_hub, once="daily 1") for _ in range(20)))
    await worked(peer, "news")
    late = await start(running_hub, once="daily 1")
    assert {one.plugin_run_id for one in (*at_once, late)} == {run_id_of("daily 1")}
    assert [one.is_new for one in at_once].count(True) == 1
    assert (late.is_new, late.status) == (False, RunStatus.COMPLETED)


@SHIPPED
async def test_what_is_asked_once_with_other_settings_keeps_the_run_that_is_there(
    running_hub: RunningHub,
) -> None:
    """A schedule whose settings were changed between a start and its repetition."""
    first = await start(running_hub, once="daily 1")
    settings = TOPICS | {"topics": ["sea"]}
    again = await start_run(running_hub.parts, DIGEST, 7, settings, "schedule", once="daily 1")
    assert (again.plugin_run_id, again.is_new) == (first.plugin_run_id, False)


@SHIPPED
async def test_a_run_says_who_has_asked_for_it(running_hub: RunningHub) -> None:
    told = await start(running_hub, by="schedule-1")
    async with running_hub.http() as http:
        run = (await http.get(f"/api/runs/{told.plugin_run_id}")).json()
    assert (run["origin"], run["route"]) == ("schedule", "fleet")
    assert (await running_hub.task(told.task_id))["submitted_by"] == "schedule-1"


@SHIPPED
async def test_who_asks_inside_the_hub_is_told_in_words_what_is_wrong(running_hub: RunningHub) -> None:
    with pytest.raises(UnknownPlugin, match="no connected agent offers it"):
        await start_run(running_hub.parts, "weekly", 7, {}, "schedule")
    with pytest.raises(UnfitRun, match=r"settings\.topics: is missing"):
        await start_run(running_hub.parts, DIGEST, 7, {}, "schedule")


@SHIPPED
@pytest.mark.parametrize("is_keyed", [True, False])
async def test_a_board_that_is_full_refuses_a_run_and_nothing_of_it_stays(
    running_hub: RunningHub, is_keyed: bool
) -> None:
    office = running_hub.parts.board._office
    office.policy = type(office.policy)(tasks_open_max=0)
    settings = TOPICS | ({"_llm_api_key": "sk-secret"} if is_keyed else {})
    with pytest.raises(RunRefused) as refused:
        await start_run(running_hub.parts, DIGEST, 7, settings, "webhook")
    async with running_hub.http() as http:
        answer = await ask(http, settings)
    assert refused.value.refusal.kind is RefusalKind.OVERLOADED
    assert (answer.status_code, answer.json()["error"]) == (503, "overloaded")
    assert len(running_hub.parts.vault) == 0


def test_every_id_of_a_run_is_a_random_uuid_or_its_own() -> None:
    assert run_id_of("") != run_id_of("")
    assert run_id_of("daily 1") == run_id_of("daily 1") != run_id_of("daily 2")
    assert {uuid.UUID(run_id_of(once)).version for once in ("", "daily 1")} == {4}


def test_each_mistake_keeps_its_member() -> None:
    said = "settings.a: is missing; settings.b[0]: must be one of x; y; and 2 more"
    assert mistakes_in(said) == [
        ("settings.a", "is missing"),
        ("settings.b[0]", "must be one of x; y; and 2 more"),
    ]
    assert mistakes_in("the schema of x cannot be used: $ref") == [
        ("settings", "the schema of x cannot be used: $ref")
    ]
