"""`hub runs schedule` in a process of its own against a real hub."""

from __future__ import annotations

import pytest

from tests.hub.askers import DIGEST
from tests.hub.conftest import RunningHub
from tests.hub.typing_hands import run

pytestmark = pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",)}], indirect=True)

MAKE = (
    *("runs", "schedule", DIGEST, "--cron", "0 7 * * 1-5", "--tz", "Europe/Berlin", "--user", "7"),
    *("--input", 'topics=["space"]'),
)


async def test_a_schedule_is_made_paused_resumed_and_deleted(running_hub: RunningHub) -> None:
    made = await run(running_hub, *MAKE, "--missed", "once")
    assert made.code == 0, made.err
    (schedule,) = made.records
    name = schedule["schedule_id"]
    said = [await run(running_hub, "runs", "schedule", verb, name) for verb in ("pause", "get", "resume")]
    quiet = await run(running_hub, "runs", "schedule", "list", "-q")
    deleted = await run(running_hub, "runs", "schedule", "delete", name)
    listed = await run(running_hub, "runs", "schedule", "list")
    assert (schedule["cron"], schedule["zone"], schedule["missed"]) == (
        "0 7 * * 1-5",
        "Europe/Berlin",
        "once",
    )
    assert [one.records[0]["status"] for one in said] == ["paused", "paused", "active"]
    assert quiet.out.split() == [name]
    assert deleted.records == [{"status": "deleted", "schedule_id": name}]
    assert (listed.code, listed.out) == (0, "")


async def test_a_person_sees_when_it_is_due(running_hub: RunningHub) -> None:
    made = await run(running_hub, *MAKE, "--no-json")
    listed = await run(running_hub, "runs", "schedule", "list", "--no-json")
    for said in (made, listed):
        assert said.code == 0, said.err
        assert "Europe/Berlin" in said.out
        assert "sched-" in said.out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ((DIGEST, "--cron", "0 25 * * *", "--user", "7", "--input", 'topics=["a"]'), 2, "cron: hour: '25'"),
        (
            (DIGEST, "--cron", "@daily", "--tz", "Mars/X", "--user", "7", "--input", 'topics=["a"]'),
            2,
            "zone:",
        ),
        ((DIGEST, "--user", "7"), 2, "--cron"),
        (("list", "--cron", "@daily"), 2, "--cron"),
        (("make", "list", "--cron", "@daily", "--user", "7"), 6, "There is no plugin list here."),
        (("pause", "sched-none"), 6, "There is no schedule sched-none. See: hub runs schedule list"),
    ],
)
async def test_what_cannot_be_done_is_a_sentence_and_a_number(
    running_hub: RunningHub, words: tuple[str, ...], code: int, sentence: str
) -> None:
    said = await run(running_hub, "runs", "schedule", *words)
    assert (said.code, said.out) == (code, "")
    assert sentence in said.err
