"""Runs of plugins over HTTP, from the asking to the end: bodies and statuses as contracts §2 and §3 have
them."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from hub.auth import Role
from tests.hub.askers import DIGEST, TOPICS, ask, failed, run_becomes, run_of, worked
from tests.hub.company import v2
from tests.hub.conftest import RunningHub

pytestmark = pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",)}], indirect=True)

ASKERS = 200


async def test_a_run_is_asked_for_done_and_read_as_the_contract_has_it(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        asked = await ask(http, plugin_id="digest-of-mondays")
        assert asked.status_code == 202, asked.text
        told = asked.json()
        assert set(told) == {"plugin_run_id", "task_id", "status"}
        assert told["status"] == "pending"
        assert uuid.UUID(told["plugin_run_id"]).version == 4
        pending = await run_of(http, told["plugin_run_id"])
        assert (pending["status"], pending["started_at"], pending["completed_at"]) == ("pending", None, None)

        peer = await v2(running_hub, plugins=[DIGEST])
        assigned = await peer.hear("task_assign")
        assert (assigned["task_id"], assigned["plugin"]) == (told["task_id"], DIGEST)
        assert (assigned["inputs"], assigned["attempts_max"]) == (TOPICS, 3)
        assert 0 < assigned["deadline_ms"] <= 600_000
        await peer.say(peer.fact("task_accepted", assigned))
        assert (await peer.hear("task_ack"))["status"] == "accepted"
        processing = await run_becomes(http, told["plugin_run_id"], "processing")
        assert processing["started_at"] >= processing["created_at"]
        assert processing["completed_at"] is None

        await peer.say(peer.fact("task_complete", assigned, result={"output": "done"}))
        assert (await peer.hear("task_ack"))["status"] == "complete"
        run = await run_of(http, told["plugin_run_id"])
    assert run["completed_at"] >= run["started_at"]
    assert run == run | {
        "plugin_run_id": told["plugin_run_id"],
        "task_id": told["task_id"],
        "user_id": 7,
        "plugin_id": "digest-of-mondays",
        "plugin_name": DIGEST,
        "status": "completed",
        "input": TOPICS,
        "output": "done",
        "error_message": None,
        "attempts": 1,
    }


async def test_two_hundred_who_ask_at_once_get_one_run(running_hub: RunningHub) -> None:
    """L87: the run is one until it has ended, whoever asks and however many."""
    async with running_hub.http() as http:
        answers = await asyncio.gather(*(ask(http) for _ in range(ASKERS)))
        listed = (await http.get("/api/runs")).json()
    assert sorted(answer.status_code for answer in answers) == [200] * (ASKERS - 1) + [202]
    assert len({answer.json()["plugin_run_id"] for answer in answers}) == 1
    assert listed["count"] == 1
    assert not running_hub.parts.starting._turns, "who waited has left nothing behind"


async def test_the_same_is_the_same_user_plugin_and_settings(running_hub: RunningHub) -> None:
    turned = dict(reversed(TOPICS.items()))
    async with running_hub.http() as http:
        first = await ask(http)
        again = await ask(http, turned)
        other_user = await ask(http, user_id=8)
        other_settings = await ask(http, TOPICS | {"topics": ["sea"]})
    assert (again.status_code, again.json()) == (200, first.json())
    assert (other_user.status_code, other_settings.status_code) == (202, 202)


async def test_a_run_stays_the_one_until_it_has_ended_and_when_it_has_succeeded(
    running_hub: RunningHub,
) -> None:
    """L87: not until its order has gone out, but until its end is here."""
    peer = await v2(running_hub, plugins=[DIGEST])
    async with running_hub.http() as http:
        first = (await ask(http)).json()
        assigned = await peer.hear("task_assign")
        await peer.say(peer.fact("task_accepted", assigned))
        await peer.hear("task_ack")
        live = await ask(http)
        await peer.say(peer.fact("task_complete", assigned, result="news"))
        await peer.hear("task_ack")
        over = await ask(http)
    assert [one.status_code for one in (live, over)] == [200, 200]
    assert live.json() == first | {"status": "processing"}
    assert over.json() == first | {"status": "completed"}


async def test_a_run_that_has_failed_may_be_asked_for_again_at_once(running_hub: RunningHub) -> None:
    peer = await v2(running_hub, plugins=[DIGEST])
    async with running_hub.http() as http:
        first = (await ask(http)).json()
        await failed(peer, "the model is on holiday")
        run = await run_of(http, first["plugin_run_id"])
        again = await ask(http)
    assert (run["status"], run["output"]) == ("failed", None)
    assert run["error_message"] == "the model is on holiday"
    assert again.status_code == 202
    assert again.json()["plugin_run_id"] != first["plugin_run_id"]


async def test_a_retry_keeps_the_id_of_its_run(running_hub: RunningHub) -> None:
    """L86: a retry made a new run id."""
    peer = await v2(running_hub, plugins=[DIGEST])
    async with running_hub.http() as http:
        told = (await ask(http)).json()
        first = await failed(peer, "a hiccup", retryable=True)
        between = await run_of(http, told["plugin_run_id"])
        second = await worked(peer, "news")
        run = await run_of(http, told["plugin_run_id"])
        listed = (await http.get("/api/runs")).json()
    assert first["task_id"] == second["task_id"] == told["task_id"]
    assert between["status"] == "processing", "what has been at work is not pending again"
    assert (run["status"], run["attempts"], listed["count"]) == ("completed", 2, 1)


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ('not {"json', 'not {"json'),
        ("", ""),
        ("line\nline \u2028 \U0001f4f0", "line\nline \u2028 \U0001f4f0"),
        ({"output": "text of a crew"}, "text of a crew"),
        ({"summary": "s", "sections": []}, {"summary": "s", "sections": []}),
        ([1, 2.5, None], [1, 2.5, None]),
    ],
)
async def test_whatever_a_run_has_made_is_kept_as_text(
    running_hub: RunningHub, result: object, output: object
) -> None:
    """L88: raw text into a JSON column left runs in `processing` for ever. What is no text is JSON in one."""
    peer = await v2(running_hub, plugins=[DIGEST])
    async with running_hub.http() as http:
        told = (await ask(http)).json()
        await worked(peer, result)
        run = await run_of(http, told["plugin_run_id"])
    assert run["status"] == "completed"
    assert (run["output"] if isinstance(output, str) else json.loads(run["output"])) == output


async def test_a_cancelled_run_has_failed_with_a_sentence(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        told = (await ask(http)).json()
        cancelled = await http.post(f"/api/tasks/{told['task_id']}/cancel", json={"reason": "enough"})
        run = await run_of(http, told["plugin_run_id"])
    assert cancelled.json()["status"] == "cancelled"
    assert run["status"] == "failed"
    assert "enough" in run["error_message"]


async def test_who_came_too_late_for_the_progress_reads_the_latest(running_hub: RunningHub) -> None:
    """L103: the first messages were lost on whoever asked before listening."""
    peer = await v2(running_hub, plugins=[DIGEST])
    async with running_hub.http() as http:
        told = (await ask(http)).json()
        assigned = await peer.hear("task_assign")
        said = {"task_id": assigned["task_id"], "generation": assigned["generation"]}
        await peer.say(
            peer.fact("task_accepted", assigned),
            {"type": "task_progress", **said, "progress": 40, "message": "half of it"},
        )
        await peer.hear("task_ack")
        await peer.hear_nothing_but()
        run = await run_of(http, told["plugin_run_id"])
    assert (run["status"], run["progress"], run["message"]) == ("processing", 40, "half of it")


async def test_credentials_reach_the_run_and_nothing_that_is_kept_or_shown(running_hub: RunningHub) -> None:
    """L40: keys of one user stood in the stream, in the run's input, in a log line."""
    secret = "sk-" + uuid.uuid4().hex
    async with running_hub.http() as http:
        told = (await ask(http, TOPICS | {"_llm_api_key": secret, "_llm_model": None})).json()
        peer = await v2(running_hub, plugins=[DIGEST])
        assigned = await peer.hear("task_assign")
        shown = [
            await http.get(path)
            for path in (
                f"/api/runs/{told['plugin_run_id']}",
                f"/api/tasks/{told['task_id']}",
                f"/api/tasks/{told['task_id']}/events",
                "/api/tasks",
                "/api/runs",
            )
        ]
        await peer.work(assigned, "news")
    assert assigned["inputs"] == TOPICS | {"_llm_api_key": secret}
    assert all(secret not in answer.text and "_llm" not in answer.text for answer in shown)
    assert len(running_hub.parts.vault) == 0
    folder = running_hub.parts.settings.state_dir
    assert not [path for path in folder.iterdir() if path.is_file() and secret.encode() in path.read_bytes()]


async def test_the_same_asked_with_another_key_is_the_same_run(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        first = await ask(http, TOPICS | {"_llm_api_key": "one"})
        again = await ask(http, TOPICS | {"_llm_api_key": "two"})
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(running_hub.parts.vault) == 1


async def test_a_run_is_started_by_dispatchers_and_read_by_viewers(running_hub: RunningHub) -> None:
    dispatcher = await running_hub.token(role=Role.DISPATCHER)
    async with running_hub.http(dispatcher) as http:
        told = (await ask(http)).json()
    async with running_hub.http(await running_hub.token(role=Role.VIEWER)) as http:
        refused = await ask(http)
        read = await http.get(f"/api/runs/{told['plugin_run_id']}")
    assert (refused.status_code, refused.json()["needs"]) == (403, "dispatcher")
    assert read.status_code == 200


async def test_a_dispatcher_of_other_plugins_starts_none_of_this_one(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        body: dict[str, Any] = {"role": "dispatcher", "plugin_patterns": ["weekly-*"]}
        limited = (await http.post("/admin/tokens", json=body)).json()["token"]
    async with running_hub.http(limited) as http:
        assert (await ask(http)).status_code == 403


async def test_the_audit_names_who_has_started_a_run_and_not_what_with(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        told = (await ask(http, TOPICS | {"_llm_api_key": "sk-secret"})).json()
        await ask(http)
    await running_hub.parts.audit.flush()
    with running_hub.parts.database.readers.connect() as look:
        rows = look.exec_driver_sql("SELECT detail FROM audit WHERE action = 'run_started'").fetchall()
    assert rows == [(f"{told['task_id']} {told['plugin_run_id']} {DIGEST}",)]


async def test_an_unknown_run_is_404_with_its_name(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        answer = await http.get("/api/runs/nobody")
    assert answer.status_code == 404
    assert json.loads(answer.text) | {"detail": ""} == {
        "error": "run_not_found",
        "plugin_run_id": "nobody",
        "type": "about:blank",
        "title": "Not found",
        "status": 404,
        "detail": "",
    }
