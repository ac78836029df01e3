"""Looking at tasks and steering them over HTTP, as contracts §2 has it."""

from __future__ import annotations

import httpx
import pytest

from hub.api.bodies import KEY_LENGTH_MAX
from hub.api.endpoint import PAGE_ROWS_MAX
from hub.auth import Role
from protocol.limits import NAME_LENGTH_MAX
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.waiting import until


async def connected(hub: RunningHub, name: str) -> V2Peer:
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(name))
    assert (await peer.identify(name))["type"] == "identified"
    return peer


async def test_an_unknown_task_is_404_everywhere(running_hub: RunningHub) -> None:
    task_id = "task-0123456789abcdef"
    async with running_hub.http() as http:
        answers = [
            await http.get(f"/api/tasks/{task_id}{tail}") for tail in ("", "/events", "/log", "/explain")
        ]
        answers += [
            await http.post(f"/api/tasks/{task_id}/cancel"),
            await http.post(f"/api/tasks/{task_id}/retry"),
            await http.post(f"/api/tasks/{task_id}/input", json={"request_id": "r", "value": 1}),
        ]
    for answer in answers:
        assert answer.status_code == 404, answer.request.url
        assert (answer.json()["error"], answer.json()["task_id"]) == ("task_not_found", task_id)


async def test_a_list_pages_through_everything_once_newest_first(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        for n in range(7):
            await http.post("/api/tasks", json={"description": f"task {n}"})
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await http.get("/api/tasks", params={"limit": 3, "cursor": cursor or None})).json()
            assert page["count"] == len(page["tasks"]) <= 3
            seen += [task["description"] for task in page["tasks"]]
            cursor = page["next"]
    assert seen == [f"task {n}" for n in reversed(range(7))]


async def test_filters_narrow_a_list_and_unknown_words_are_422(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        await http.post("/api/tasks", json={"description": "paint the fence", "priority": "high"})
        await http.post("/api/tasks", json={"description": "100% sure_thing", "plugin": "digest"})
        found = (await http.get("/api/tasks", params={"priority": "high"})).json()
        by_plugin = (await http.get("/api/tasks", params={"plugin": "digest"})).json()
        by_text = (await http.get("/api/tasks", params={"q": "100%"})).json()
        by_underscore = (await http.get("/api/tasks", params={"q": "sure-thing"})).json()
        by_state = (await http.get("/api/tasks", params={"state": "completed"})).json()
        wrong = [
            await http.get("/api/tasks", params=query)
            for query in (
                {"state": "done"},
                {"priority": "1"},
                {"limit": "0"},
                {"limit": str(PAGE_ROWS_MAX + 1)},
                {"limit": "ten"},
                {"cursor": "nonsense"},
            )
        ]
    assert [task["description"] for task in found["tasks"]] == ["paint the fence"]
    assert [task["description"] for task in by_plugin["tasks"]] == ["100% sure_thing"]
    assert by_text["count"] == 1
    assert by_underscore["count"] == 0
    assert by_state["tasks"] == []
    assert {answer.status_code for answer in wrong} == {422}


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/dead-letter", "/api/tasks/export"])
async def test_a_filter_has_as_many_characters_as_what_it_could_find(
    running_hub: RunningHub, path: str
) -> None:
    """SQLite refuses a pattern of more than 50,000 bytes, and ends one at U+0000."""
    longest = dict.fromkeys(("q", "agent_id", "plugin", "fingerprint", "submitted_by"), NAME_LENGTH_MAX)
    longest |= {"unique_key": KEY_LENGTH_MAX, "concurrency_key": KEY_LENGTH_MAX}
    asked = [({name: "%" * most}, {name: "%" * (most + 1)}) for name, most in longest.items()]
    name = "n" * NAME_LENGTH_MAX
    asked += [({"label": f"{name}={name}"}, {"label": f"{name}={name}x"}), ({"q": "x"}, {"q": "x\0"})]
    async with running_hub.http() as http:
        for good, bad in asked:
            assert (await http.get(path, params=good)).status_code == 200, good
            assert (await http.get(path, params=bad)).status_code == 422, bad


async def test_since_that_is_no_number_is_422_and_not_500(running_hub: RunningHub) -> None:
    """L58: `?since=abc` was a 500."""
    async with running_hub.http() as http:
        for said in ("abc", "-1", "1e3", "\uff19", "9" * 400):
            answer = await http.get("/api/mailbox/ada", params={"since": said})
            assert answer.status_code == 422, said


async def test_a_queued_task_is_cancelled_at_once_and_for_ever(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        task_id = (await http.post("/api/tasks", json={"description": "x"})).json()["task_id"]
        cancelled = await http.post(f"/api/tasks/{task_id}/cancel", json={"reason": "no longer wanted"})
        again = await http.post(f"/api/tasks/{task_id}/cancel")
        task = (await http.get(f"/api/tasks/{task_id}")).json()
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (again.status_code, again.json()["error"], again.json()["state"]) == (
        409,
        "invalid_state",
        "cancelled",
    )
    assert task["ending"]["how"]


async def test_a_running_task_is_cancelled_only_when_its_proof_has_come(running_hub: RunningHub) -> None:
    peer = await connected(running_hub, "ada")
    pushed = await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned))
    await peer.hear("task_ack")
    async with running_hub.http() as http:
        first = await http.post(f"/api/tasks/{pushed['task_id']}/cancel")
        again = await http.post(f"/api/tasks/{pushed['task_id']}/cancel")
    assert [(a.status_code, a.json()["status"]) for a in (first, again)] == [(202, "cancelling")] * 2
    assert (await running_hub.task(pushed["task_id"]))["state"] == "cancelling"
    asked = await peer.hear("task_cancel")
    assert asked["generation"] == assigned["generation"]
    proof = {"signals": ["TERM", "KILL"], "reaped": 3, "survivors": 0}
    await peer.say(peer.fact("task_stopped", assigned, how="killed", proof=proof))
    assert (await peer.hear("task_ack"))["status"] == "stopped"
    task = await running_hub.task(pushed["task_id"])
    assert (task["state"], task["ending"]["stopped"], task["ending"]["proof"]) == (
        "cancelled",
        "killed",
        proof,
    )


async def test_a_retry_by_hand_is_a_new_task(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        body = {"description": "x", "priority": "high", "metadata": {"k": 1}}
        task_id = (await http.post("/api/tasks", json=body)).json()["task_id"]
        too_early = await http.post(f"/api/tasks/{task_id}/retry")
        await http.post(f"/api/tasks/{task_id}/cancel")
        told = await http.post(f"/api/tasks/{task_id}/retry")
        new = (await http.get(f"/api/tasks/{told.json()['task_id']}")).json()
        old = (await http.get(f"/api/tasks/{task_id}")).json()
    assert (too_early.status_code, too_early.json()["error"]) == (409, "invalid_state")
    assert (told.status_code, told.json()["status"], told.json()["priority"]) == (200, "requeued", "high")
    assert (new["retry_of"], new["state"], new["metadata"]) == (task_id, "queued", {"k": 1})
    assert old["state"] == "cancelled"


async def test_a_person_answers_a_question_once(running_hub: RunningHub) -> None:
    peer = await connected(running_hub, "ada")
    pushed = await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    request_id = f"{assigned['task_id']}-1"
    schema = {"type": "string", "enum": ["yes", "no"]}
    await peer.say(
        peer.fact("task_accepted", assigned),
        peer.fact("input_required", assigned, request_id=request_id, prompt="Go on?", schema=schema),
    )
    await peer.hear("task_ack")
    assert (await peer.hear("task_ack"))["status"] == "asked"
    task = await running_hub.task(pushed["task_id"])
    assert (task["state"], task["question"]["prompt"]) == ("input_required", "Go on?")
    where = f"/api/tasks/{pushed['task_id']}/input"
    async with running_hub.http() as http:
        unfit = await http.post(where, json={"request_id": request_id, "value": "maybe"})
        other = await http.post(where, json={"request_id": "another", "value": "yes"})
        fit = await http.post(where, json={"request_id": request_id, "value": "yes"})
        same = await http.post(where, json={"request_id": request_id, "value": "yes"})
        changed = await http.post(where, json={"request_id": request_id, "value": "no"})
    assert unfit.status_code == 422
    assert other.status_code == 404
    assert [(a.status_code, a.json().get("status")) for a in (fit, same)] == [(200, "answered")] * 2
    assert changed.status_code == 409
    given = await peer.hear("task_input")
    assert (given["request_id"], given["value"]) == (request_id, "yes")
    await peer.say(peer.fact("input_ack", assigned, request_id=request_id))
    assert (await peer.hear("task_ack"))["status"] == "answered"
    await until(lambda: running_hub.parts.board.count().tasks.get("running") == 1, "the task runs again")


async def test_the_log_and_history_of_a_task_can_be_read(running_hub: RunningHub) -> None:
    peer = await connected(running_hub, "ada")
    pushed = await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    said = {"task_id": assigned["task_id"], "generation": assigned["generation"]}
    await peer.say(
        peer.fact("task_accepted", assigned),
        {"type": "task_log", **said, "n": 1, "kind": "output", "text": "line one", "data": {"k": [1]}},
        {"type": "task_progress", **said, "progress": 40, "message": "well on the way"},
        {"type": "task_usage", **said, "tokens_in": 5, "tokens_out": 7, "model": "m"},
    )
    await peer.hear("task_ack")
    await peer.hear_nothing_but()
    task = await running_hub.task(pushed["task_id"])
    assert (task["progress"], task["message"], task["usage"]["tokens_out"]) == (40, "well on the way", 7)
    async with running_hub.http() as http:
        where = f"/api/tasks/{pushed['task_id']}"
        history = (await http.get(f"{where}/events")).json()
        rest = (await http.get(f"{where}/events", params={"after": history["next"]})).json()
        at_once = (await http.get(f"{where}/log")).json()
        kept = running_hub.parts.passing
        lines = [*kept._being_written, *kept._lines]
        await kept.flush()
        kept._being_written = lines  # written, and not yet known to be
        in_both = (await http.get(f"{where}/log")).json()
        kept._being_written = []
        log = (await http.get(f"{where}/log")).json()
    assert in_both == log
    assert [(line["text"], line["data"]) for line in log["lines"]] == [("line one", {"k": [1]})]
    assert at_once["lines"] == log["lines"], "what is on its way to the disk is shown as well"
    assert [event["event"] for event in history["events"]] == [
        "task_queued",
        "task_assigned",
        "task_accepted",
    ]
    assert rest["events"] == []


async def test_explain_names_each_agent_and_its_rule(running_hub: RunningHub) -> None:
    await connected(running_hub, "ada")
    async with running_hub.http() as http:
        told = await http.post("/api/tasks", json={"description": "x", "needed_capabilities": ["gpu"]})
        found = (await http.get(f"/api/tasks/{told.json()['task_id']}/explain")).json()
    assert found["state"] == "queued"
    assert [one["agent_id"] for one in found["agents"]] == ["ada"]
    assert "capabilit" in found["agents"][0]["rule"]


async def test_dead_letters_are_listed(running_hub: RunningHub) -> None:
    peer = await connected(running_hub, "ada")
    pushed = await running_hub.push("ada", attempts_max=2)
    first = await peer.hear("task_assign")
    await peer.say(
        peer.fact("task_accepted", first), peer.fact("task_failed", first, error="no", retry_after_ms=1)
    )
    second = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", second), peer.fact("task_failed", second, error="no again"))
    await until(lambda: not running_hub.parts.board.open_tasks(), "the hub gave up")
    async with running_hub.http() as http:
        dead = (await http.get("/api/tasks/dead-letter")).json()
    assert [(t["task_id"], t["error"], t["attempt"]) for t in dead["tasks"]] == [
        (pushed["task_id"], "no again", 2)
    ]


@pytest.mark.parametrize("tail", ["cancel", "retry", "input"])
async def test_a_viewer_looks_and_does_not_touch(running_hub: RunningHub, tail: str) -> None:
    """L36: a dashboard could retry and cancel without a login."""
    viewer = await running_hub.token(role=Role.VIEWER)
    async with running_hub.http(viewer) as http:
        looked = await http.get("/api/tasks")
        touched = await http.post(f"/api/tasks/task-0123456789abcdef/{tail}", json={})
    async with httpx.AsyncClient(base_url=running_hub.address) as nobody:
        refused = await nobody.post(f"/api/tasks/task-0123456789abcdef/{tail}", json={})
    assert (looked.status_code, touched.status_code, refused.status_code) == (200, 403, 401)
