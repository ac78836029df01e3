"""Questions and credentials over HTTP: who may be answered when, and what a hub will not keep."""

from __future__ import annotations

from typing import Any

import pytest

from hub.api.bodies import ANSWER_BYTES_MAX, TRACE_LENGTH_MAX
from protocol.limits import ANSWERS_BYTES_MAX
from tests.hub.conftest import RunningHub
from tests.hub.test_api_submit import PUSH, connected, problem

SCHEMA = {"type": "object", "required": ["colour"], "properties": {"colour": {"enum": ["red", "blue"]}}}


async def asked_and_died(hub: RunningHub) -> tuple[Any, str, str]:
    """A task in the queue whose first run has asked, kept a step, and died."""
    peer = await connected(hub, "ada")
    async with hub.http() as http:
        body = {"description": "x", "assign_to": "ada"}
        task_id = (await http.post("/api/tasks", json=body)).json()["task_id"]
    assigned = await peer.hear("task_assign")
    request_id = f"{task_id}-1-abcdef01"
    async with hub.http() as http:  # nothing new for now: the test, not the clock, ends the wait in the queue
        assert (await http.post("/api/agents/ada/pause")).status_code == 200
    await peer.say(
        peer.fact("task_accepted", assigned),
        peer.fact("task_done", assigned, index=0, output={"raw": "paid for"}),
        peer.fact("input_required", assigned, request_id=request_id, prompt="Which?", schema=SCHEMA),
        peer.fact("task_failed", assigned, error="killed", retryable=True),
    )
    said = [(await peer.hear("task_ack"))["status"] for _ in range(4)]
    assert said == ["accepted", "kept", "asked", "retried"]
    return peer, task_id, request_id


async def test_a_question_is_answered_while_its_task_waits_for_another_attempt(
    running_hub: RunningHub,
) -> None:
    peer, task_id, request_id = await asked_and_died(running_hub)
    task = await running_hub.task(task_id)
    assert (task["state"], task["steps_kept"], task["answers_kept"]) == ("queued", 1, 0)
    question = {"request_id": request_id, "prompt": "Which?", "schema": SCHEMA, "answered": False}
    assert task["question"] == question
    assert "paid for" not in str(task), "outputs of steps are for the next attempt"
    where = f"/api/tasks/{task_id}/input"
    async with running_hub.http() as http:
        unfit = await http.post(where, json={"request_id": request_id, "value": {"colour": "green"}})
        fit = await http.post(where, json={"request_id": request_id, "value": {"colour": "red"}})
    assert (unfit.status_code, fit.status_code) == (422, 200)
    assert "value.colour must be one of" in problem(unfit)["detail"]
    task = await running_hub.task(task_id)
    assert (task["question"], task["answers_kept"]) == (None, 1)
    async with running_hub.http() as http:
        assert (await http.post("/api/agents/ada/resume")).status_code == 200
    again = await peer.hear("task_assign")
    assert again["answers"] == [{"request_id": request_id, "value": {"colour": "red"}}]
    assert again["done"] == [{"index": 0, "output": {"raw": "paid for"}}]


async def test_a_cancelled_task_has_no_open_question(running_hub: RunningHub) -> None:
    _, task_id, request_id = await asked_and_died(running_hub)
    async with running_hub.http() as http:
        assert (await http.post(f"/api/tasks/{task_id}/cancel")).status_code == 200
        late = await http.post(
            f"/api/tasks/{task_id}/input", json={"request_id": request_id, "value": {"colour": "red"}}
        )
    assert (late.status_code, problem(late)["error"]) == (409, "invalid_state")
    assert (await running_hub.task(task_id))["question"] is None


async def test_answers_that_would_not_fit_into_one_order_are_refused_with_a_sentence(
    running_hub: RunningHub,
) -> None:
    peer = await connected(running_hub, "ada")
    pushed = await running_hub.push("ada")
    assigned = await peer.hear("task_assign")
    await peer.say(peer.fact("task_accepted", assigned))
    where = f"/api/tasks/{pushed['task_id']}/input"
    big = "x" * (ANSWER_BYTES_MAX - 2)
    told = []
    async with running_hub.http() as http:
        for n in range(1, 1 + ANSWERS_BYTES_MAX // ANSWER_BYTES_MAX):
            request_id = f"{pushed['task_id']}-{n}"
            await peer.say(peer.fact("input_required", assigned, request_id=request_id, prompt="Which?"))
            while (await peer.hear("task_ack"))["status"] != "asked":
                pass
            told.append(await http.post(where, json={"request_id": request_id, "value": big}))
            await peer.say(peer.fact("input_ack", assigned, request_id=request_id))
    assert [one.status_code for one in told] == [200, 413], "with the words around them they are too big"
    assert problem(told[-1])["error"] == "answers_too_big"
    assert "128 KiB" in problem(told[-1])["detail"]


# --- credentials --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "extra"), [(PUSH, {"agent_id": "ada", "queue": True}), ("/api/tasks", {})])
async def test_inputs_with_credentials_are_refused_and_the_way_is_said(
    running_hub: RunningHub, path: str, extra: dict[str, Any]
) -> None:
    """L40: keys of a user stood in the run's input, where every reader found them."""
    body = {"description": "x", "inputs": {"topic": "hay", "_llm_api_key": "sk-needle"}, **extra}
    async with running_hub.http() as http:
        answer = await http.post(path, json=body)
        kept = await http.get("/api/tasks")
    assert answer.status_code == 422
    (fault,) = problem(answer)["errors"]
    assert (fault["field"], fault["error"]) == ("inputs._llm_api_key", "not_allowed")
    assert "SIDECAR_MODEL_KEY" in fault["detail"]
    assert "needle" not in answer.text + kept.text


async def test_a_batch_refuses_only_the_item_with_credentials(running_hub: RunningHub) -> None:
    good = {"description": "x", "inputs": {"a_": 1, "nested": {"_private": 1}}}
    items = [good, good | {"inputs": {"_key": 1}}, good | {"inputs": ["_key"]}]
    async with running_hub.http() as http:
        answer = await http.post("/api/tasks/batch", json={"tasks": items})
    assert [item["code"] for item in answer.json()["items"]] == [201, 422, 201]
    assert answer.json()["items"][1]["errors"][0]["field"] == "inputs._key"


async def test_a_trace_that_is_none_is_left_out(running_hub: RunningHub) -> None:
    """An order has a known size only when all of its parts have one."""
    peer = await connected(running_hub, "ada", slots=2)
    traces = []
    for trace in ("t" * TRACE_LENGTH_MAX, "t" * (TRACE_LENGTH_MAX + 1)):
        async with running_hub.http() as http:
            await http.post(
                PUSH, json={"agent_id": "ada", "description": "x"}, headers={"traceparent": trace}
            )
        assigned = await peer.hear("task_assign")
        traces.append(assigned.get("trace"))
        await peer.say(peer.fact("task_accepted", assigned))
    assert traces == ["t" * TRACE_LENGTH_MAX, None]
