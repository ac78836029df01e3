"""The habits of v1 clients that contracts §1.2 names, each by a hand-written client against a real hub."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.conftest import RunningHub
from tests.hub.peers import Said, V1Peer


class Clients:
    """v1 clients of one hub, each with the token of its name."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub
        self.tokens: dict[str, str] = {}

    async def connect(self, agent_id: str = "ada") -> V1Peer:
        if agent_id not in self.tokens:
            self.tokens[agent_id] = await self.hub.token(agent_id)
        peer = await V1Peer.dial(self.hub.ws_address)
        assert (await peer.identify(agent_id, self.tokens[agent_id]))["type"] == "identified"
        return peer

    async def with_task(self, *, accepted: bool = True, **more: Any) -> tuple[V1Peer, Said]:
        """A client that has been given a task, and usually has accepted it."""
        peer = await self.connect()
        await self.hub.push("ada", **more)
        assigned = await peer.hear("task_assign")
        if accepted:
            await say(peer, "task_accepted", assigned)
            assert await peer.hear() == ack(assigned, "accepted")
        return peer, assigned


@pytest.fixture
def clients(running_hub: RunningHub) -> Clients:
    return Clients(running_hub)


def ack(assigned: Said, status: str) -> Said:
    return {"type": "task_ack", "task_id": assigned["task_id"], "status": status}


async def say(peer: V1Peer, kind: str, assigned: Said, **more: Any) -> None:
    await peer.say({"type": kind, "task_id": assigned["task_id"], "protocol_version": 1, **more})


@pytest.mark.parametrize("generation", [None, 0])
async def test_a_missing_generation_means_the_last_accepted_one(
    clients: Clients, generation: int | None
) -> None:
    peer, assigned = await clients.with_task()
    more = {} if generation is None else {"generation": generation}
    await say(peer, "task_complete", assigned, result={"status": "success"}, **more)
    assert await peer.hear() == ack(assigned, "complete")


async def test_a_repeat_of_the_fact_that_ended_it_gets_the_same_ack(clients: Clients) -> None:
    peer, assigned = await clients.with_task()
    for _ in range(3):
        await say(peer, "task_complete", assigned, result=1)
        assert await peer.hear() == ack(assigned, "complete")
    assert (await clients.hub.task(assigned["task_id"]))["result"] == 1


async def test_a_wrong_generation_is_an_error_and_changes_nothing(clients: Clients) -> None:
    peer, assigned = await clients.with_task()
    await say(peer, "task_complete", assigned, result=1, generation=assigned["generation"] + 1)
    error = await peer.hear()
    assert (error["type"], error["error"], error["task_id"]) == (
        "error",
        "stale_generation",
        assigned["task_id"],
    )
    assert (await clients.hub.task(assigned["task_id"]))["state"] == "running"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"type": "task_failed", "reason": "agent said no"}, "agent said no"),
        ({"type": "task_failed", "error": "it broke"}, "it broke"),
        ({"type": "task_complete", "result": {"status": "failed", "error": "inside"}}, "inside"),
    ],
)
async def test_a_failure_is_a_failure_however_it_is_said(clients: Clients, said: Said, shown: str) -> None:
    """L70: a failed run reported as complete."""
    peer, assigned = await clients.with_task()
    await peer.say({**said, "task_id": assigned["task_id"]})
    assert await peer.hear() == ack(assigned, "failed")
    task = await clients.hub.task(assigned["task_id"])
    assert task["state"] == "failed"
    assert shown in task["error"]


async def test_a_failure_with_attempts_left_is_retried_and_the_last_one_is_a_dead_letter(
    clients: Clients,
) -> None:
    peer, assigned = await clients.with_task(attempts_max=2)
    await say(peer, "task_failed", assigned, reason="once")
    assert await peer.hear() == ack(assigned, "retried")
    again = await peer.hear("task_assign")
    assert again["generation"] == assigned["generation"] + 1
    await say(peer, "task_accepted", again)
    await peer.hear("task_ack")
    await say(peer, "task_failed", again, reason="twice")
    assert await peer.hear() == ack(again, "dead_letter")


async def test_a_v1_client_has_one_seat(clients: Clients) -> None:
    peer, first = await clients.with_task()
    waiting = await clients.hub.push("ada")
    assert waiting["state"] == "queued"
    await peer.hear_nothing_but()
    await say(peer, "task_complete", first, result=1)
    assert await peer.hear() == ack(first, "complete")
    assert (await peer.hear())["task_id"] == waiting["task_id"]


@pytest.mark.parametrize(
    "resuming",
    [
        {"type": "task_progress", "progress": 60},
        {"type": "state_report", "status": "working"},
        {"type": "task_recovering", "last_status": "working"},
    ],
)
async def test_any_frame_of_the_current_generation_resumes_after_a_break(
    clients: Clients, resuming: Said
) -> None:
    """Absence says nothing of a v1 client: it has no `holding`."""
    peer, assigned = await clients.with_task()
    peer.vanish()
    await clients.hub.becomes(assigned["task_id"], "recovering")
    again = await clients.connect()
    await again.hear_nothing_but()
    generation = {"generation": assigned["generation"]} if resuming["type"] == "state_report" else {}
    await again.say({**resuming, "task_id": assigned["task_id"], **generation})
    task = await clients.hub.becomes(assigned["task_id"], "running")
    assert (task["generation"], task["strikes"]) == (assigned["generation"], 0)
    await say(again, "task_complete", assigned, result=1)
    assert (await again.hear("task_ack"))["status"] == "complete"


async def test_a_state_report_is_answered_continue_or_abort(clients: Clients) -> None:
    peer, assigned = await clients.with_task()
    await say(peer, "state_report", assigned, generation=assigned["generation"], status="working")
    assert await peer.hear() == {
        "type": "state_report_ack",
        "task_id": assigned["task_id"],
        "action": "continue",
    }
    await say(peer, "task_complete", assigned, result=1)
    await peer.hear("task_ack")
    await say(peer, "state_report", assigned, generation=assigned["generation"], status="working")
    assert (await peer.hear())["action"] == "abort"


async def test_a_recovering_client_is_told_to_go_on_or_to_let_go(clients: Clients) -> None:
    peer, assigned = await clients.with_task()
    await say(peer, "task_recovering", assigned)
    assert (await peer.hear())["type"] == "task_continue"
    await say(peer, "task_complete", assigned, result=1)
    await peer.hear("task_ack")
    await say(peer, "task_recovering", assigned)
    assert await peer.hear() == {"type": "task_reassign", "task_id": assigned["task_id"]}


@pytest.mark.parametrize("running_hub", [{"accept_ms": 2_000}], indirect=True)
async def test_a_never_accepted_task_is_sent_again_after_a_break(clients: Clients) -> None:
    """L5, L22: lost between sent and running, or a timer that starts again."""
    peer, assigned = await clients.with_task(accepted=False)
    peer.vanish()
    await clients.hub.becomes(assigned["task_id"], "recovering", "queued")
    again = await clients.connect()
    sent_again = await again.hear("task_assign")
    assert sent_again["task_id"] == assigned["task_id"]
    await say(again, "task_complete", sent_again, result=1)
    assert (await again.hear("task_ack"))["status"] == "complete"


async def test_a_cancelled_task_is_said_as_v1_says_it(clients: Clients) -> None:
    peer, assigned = await clients.with_task()
    async with clients.hub.http() as client:
        answer = await client.post(f"/api/tasks/{assigned['task_id']}/cancel")
    assert answer.status_code == 202
    said = await peer.hear()
    assert (said["type"], said["task_id"], set(said)) == (
        "task_cancelled",
        assigned["task_id"],
        {"type", "task_id", "timestamp"},
    )
    await peer.say({"type": "resource_report", "cpu_percent": 3})
    task = await clients.hub.becomes(assigned["task_id"], "cancelled", "cancelling")
    assert task["state"] in ("cancelled", "cancelling")


async def test_a_fact_about_a_task_that_never_was_is_kept_and_gets_its_usual_ack(clients: Clients) -> None:
    peer = await clients.connect()
    stranger = {"task_id": "task-s5"}
    await say(peer, "task_complete", stranger, result={"output": "late ok"}, generation=1)
    assert await peer.hear() == ack(stranger, "complete")


async def test_a_fact_about_another_agent_s_task_is_not_taken(clients: Clients) -> None:
    """L15: any agent could complete any task."""
    _, assigned = await clients.with_task()
    bob = await clients.connect("bob")
    await say(bob, "task_complete", assigned, result="mine")
    error = await bob.hear("error", "task_ack")
    assert (error["type"], error["error"], error["task_id"]) == ("error", "not_holder", assigned["task_id"])
    assert (await clients.hub.task(assigned["task_id"]))["state"] == "running"


@pytest.mark.parametrize(
    "report",
    [
        {"type": "wake_result", "task_id": "task-1", "status": "success", "attempt": 1},
        {"type": "wake_result"},
        {
            "type": "resource_report",
            "agent_id": "ada",
            "cpu_percent": 23,
            "vram_used_bytes": None,
            "timestamp": 1,
        },
        {"type": "resource_report", "cpu_percent": "a lot"},
        {"type": "agent_restarting", "reason": "update"},
        {
            "type": "task_progress",
            "task_id": "task-1",
            "execution_event": {"event_type": "stdout", "text": "x"},
        },
    ],
)
async def test_what_v1_clients_report_is_never_an_error(clients: Clients, report: Said) -> None:
    peer = await clients.connect()
    await peer.say({**report, "protocol_version": 1})
    await peer.hear_nothing_but()


async def test_agents_see_each_other_and_a_status_never_affects_matching(clients: Clients) -> None:
    """L13: state is shown as unknown until the first change."""
    ada = await clients.connect("ada")
    bob = await clients.connect("bob")
    joined = await ada.hear()
    assert (joined["type"], joined["agent"]["agent_id"]) == ("agent_joined", "bob")
    await bob.say({"type": "status", "status": "away"})
    assert await bob.hear() == {"type": "status_updated"}
    changed = await ada.hear()
    assert (changed["type"], changed["agent"]["status"]) == ("status_changed", "away")
    await ada.say({"type": "list_agents"})
    shown = {agent["agent_id"]: agent for agent in (await ada.hear("agents"))["agents"]}
    assert set(shown["bob"]) == {"agent_id", "name", "status", "capabilities", "connected_at"}
    assert {name: agent["status"] for name, agent in shown.items()} == {"ada": "connected", "bob": "away"}
    assert (await clients.hub.push("bob"))["state"] == "assigned"
    await bob.hear("task_assign")
    await bob.hang_up()
    assert await ada.hear() == {"type": "agent_left", "agent_id": "bob"}


async def test_messages_go_to_one_to_all_or_to_the_mailbox(clients: Clients) -> None:
    ada, bob, eve = [await clients.connect(name) for name in ("ada", "bob", "eve")]
    await ada.say({"type": "message", "to": "bob", "payload": {"n": 1}, "message_type": "ask"})
    sent = await ada.hear("message_sent")
    got = await bob.hear("message")
    assert (got["id"], got["from"], got["message_type"], got["payload"]) == (
        sent["id"],
        "ada",
        "ask",
        {"n": 1},
    )
    await ada.say({"type": "message", "to": "broadcast", "payload": {"n": 2}})
    await ada.hear("message_sent")
    for peer in (bob, eve):
        assert (await peer.hear("message"))["payload"] == {"n": 2}
    await ada.say({"type": "message", "to": "nobody-yet", "payload": {"n": 3}})
    assert (await ada.hear("message", "message_sent"))["type"] == "message_sent"
    await eve.hear_nothing_but()
