"""Agents inside the hub against its real board and ledger: orders, facts, lines that end, restarts.

The work is a stand-in that writes down what it is given; everything else is a running hub.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Raw

from hub.auth import Identity, Role
from hub.core.runs import INNER_PREFIX
from hub.inner.agent import ERROR_LENGTH_MAX, TOO_BIG, InnerAgent
from hub.inner.facts import Facts
from hub.inner.job import Job, Undelivered, Work
from hub.inner.line import Line
from protocol import limits
from protocol.frames import TaskAccepted, TaskAck, TaskComplete
from protocol.ids import AgentId, Generation, Seq, TaskId, TokenId
from tests.hub.conftest import RunningHub
from tests.waiting import until

NAME = AgentId("hub:test")
ONE = Generation(1)


class Written:
    """Work that writes down its jobs. A gate holds deliveries up; failures are what they come to."""

    def __init__(self) -> None:
        self.delivered: list[tuple[TaskId, Generation]] = []
        self.forgotten: list[TaskId] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures: list[Undelivered | Exception] = []

    async def deliver(self, job: Job) -> Undelivered | None:
        self.delivered.append((job.task_id, job.generation))
        await self.gate.wait()
        if not self.failures:
            return None
        failure = self.failures.pop(0)
        if isinstance(failure, Exception):
            raise failure
        return failure

    def forget(self, job: Job) -> None:
        self.forgotten.append(job.task_id)


def agent_in(hub: RunningHub, work: Work, *, slots: int = 2) -> InnerAgent:
    parts = hub.parts
    return InnerAgent(
        NAME,
        work,
        board=parts.board,
        inbox=parts.dispatcher,
        lines=parts.registry,
        clock=parts.clock,
        heartbeat_ms=parts.settings.heartbeat_ms,
        slots=slots,
        plugins=("inside",),
    )


@asynccontextmanager
async def working(agent: InnerAgent) -> AsyncIterator[InnerAgent]:
    async with asyncio.TaskGroup() as group:
        run = group.create_task(agent.run())
        yield agent
        run.cancel()


async def pushed(hub: RunningHub, **more: Any) -> TaskId:
    async with hub.http() as http:
        body = {"description": "inner work", "plugin": "inside", **more}
        answer = await http.post("/api/tasks", json=body)
        assert answer.status_code == 201, answer.text
        return TaskId(answer.json()["task_id"])


async def test_an_inner_agent_takes_an_order_and_ends_it(running_hub: RunningHub) -> None:
    work = Written()
    async with working(agent_in(running_hub, work)) as agent:
        task_id = await pushed(running_hub)
        await running_hub.becomes(task_id, "running")
        assert work.delivered == [(task_id, ONE)]
        agent.progress(agent.jobs[task_id], 30, "a third")
        assert await agent.complete(task_id, ONE, Raw(b'{"done":true}')) == "complete"
        task = await running_hub.task(task_id)
        assert (task["state"], task["result"], task["agent_id"]) == ("completed", {"done": True}, NAME)
        assert not agent.jobs
        assert work.forgotten == [task_id]
        assert await agent.complete(task_id, ONE, Raw(b"2")) in ("complete", "stale")
        assert (await running_hub.task(task_id))["result"] == {"done": True}


async def test_it_is_seen_as_an_agent_and_counted_as_none(running_hub: RunningHub) -> None:
    async with working(agent_in(running_hub, Written())):
        await until(lambda: running_hub.parts.board.is_connected(NAME), "it is connected")
        assert (await running_hub.agent(NAME))["slots"] == 2
        async with running_hub.http() as http:
            assert (await http.get("/health")).json()["agents_connected"] == 0


async def test_it_holds_no_more_than_its_slots(running_hub: RunningHub) -> None:
    work = Written()
    async with working(agent_in(running_hub, work, slots=2)) as agent:
        tasks = [await pushed(running_hub) for _ in range(3)]
        for task_id in tasks[:2]:
            await running_hub.becomes(task_id, "running")
        assert (await running_hub.task(tasks[2]))["state"] == "queued"
        assert await agent.complete(tasks[0], ONE, Raw(b"1")) == "complete"
        await running_hub.becomes(tasks[2], "running")
        assert len(work.delivered) == 3


async def test_work_for_anybody_is_not_for_an_agent_inside(running_hub: RunningHub) -> None:
    work = Written()
    async with working(agent_in(running_hub, work)):
        async with running_hub.http() as http:
            answer = await http.post("/api/tasks", json={"description": "for whoever can"})
        inner = await pushed(running_hub)
        await running_hub.becomes(inner, "running")
        assert (await running_hub.task(answer.json()["task_id"]))["state"] == "queued"


async def test_what_cannot_be_delivered_fails_with_its_reason(running_hub: RunningHub) -> None:
    """L70, L92."""
    work = Written()
    work.failures = [Undelivered(error="no \0 way" + "x" * ERROR_LENGTH_MAX, is_retryable=False)]
    async with working(agent_in(running_hub, work)):
        task = await running_hub.becomes(await pushed(running_hub), "failed")
        assert task["error"].startswith("no \N{REPLACEMENT CHARACTER} way")
        assert len(task["error"]) == ERROR_LENGTH_MAX


async def test_a_bug_in_a_delivery_fails_its_job_and_nothing_else(running_hub: RunningHub) -> None:
    work = Written()
    work.failures = [KeyError("a bug")]
    async with working(agent_in(running_hub, work)):
        task = await running_hub.becomes(await pushed(running_hub), "failed")
        assert "its log says why" in task["error"]
        await running_hub.becomes(await pushed(running_hub), "running")


async def test_a_result_that_is_too_big_fails_its_task_alone(running_hub: RunningHub) -> None:
    """L60."""
    async with working(agent_in(running_hub, Written())) as agent:
        fits, too_big = [await pushed(running_hub) for _ in "ab"]
        for task_id in (fits, too_big):
            await running_hub.becomes(task_id, "running")
        text = b'"' + b"x" * (limits.RESULT_BYTES_MAX - 2) + b'"'
        assert await agent.complete(fits, ONE, Raw(text)) == "complete"
        assert await agent.complete(too_big, ONE, Raw(text[:-1] + b'x"')) == "failed"
        assert (await running_hub.task(too_big))["error"] == TOO_BIG


async def test_a_cancel_ends_a_delivery_under_way(running_hub: RunningHub) -> None:
    work = Written()
    work.gate.clear()
    async with working(agent_in(running_hub, work)) as agent:
        task_id = await pushed(running_hub)
        await until(lambda: work.delivered, "it is being delivered")
        async with running_hub.http() as http:
            await http.post(f"/api/tasks/{task_id}/cancel")
        await running_hub.becomes(task_id, "cancelled")
        assert work.forgotten == [task_id]
        assert not agent.in_hand()


async def test_an_end_that_comes_before_the_acceptance_counts(running_hub: RunningHub) -> None:
    """L85. The other side was quicker than we were."""
    work = Written()
    work.gate.clear()
    async with working(agent_in(running_hub, work)) as agent:
        task_id = await pushed(running_hub)
        await until(lambda: work.delivered, "it is being delivered")
        assert await agent.complete(task_id, ONE, Raw(b"1")) == "complete"
        work.gate.set()
        other = await pushed(running_hub)
        await running_hub.becomes(other, "running")
        assert (await running_hub.task(task_id))["state"] == "completed"


async def test_a_line_that_a_person_cuts_comes_back_with_all_in_hand(running_hub: RunningHub) -> None:
    work = Written()
    async with working(agent_in(running_hub, work)) as agent:
        accepted = await pushed(running_hub)
        await running_hub.becomes(accepted, "running")
        work.gate.clear()
        waiting = await pushed(running_hub)
        await until(lambda: len(work.delivered) == 2, "the second is being delivered")
        async with running_hub.http() as http:
            assert (await http.post(f"/api/agents/{NAME}/disconnect")).status_code == 200
        await until(lambda: not running_hub.parts.board.is_connected(NAME), "it is gone")
        late = asyncio.ensure_future(agent.complete(accepted, ONE, Raw(b"1")))  # noqa: TID251  it waits for the line
        work.gate.set()
        assert await late in ("complete", "duplicate")
        await running_hub.becomes(waiting, "running")
        assert len(work.delivered) == 2, "nothing was delivered twice"
        assert (await running_hub.task(accepted))["strikes"] == 0


async def test_a_new_life_takes_up_what_was_accepted_and_is_given_the_rest_again(
    running_hub: RunningHub,
) -> None:
    """T11, T12: the same generations, and no second delivery of what was out."""
    work = Written()
    async with working(agent_in(running_hub, work)):
        out = await pushed(running_hub)
        await running_hub.becomes(out, "running")
        work.gate.clear()
        half = await pushed(running_hub)
        await until(lambda: len(work.delivered) == 2, "the second is being delivered")
    await running_hub.becomes(out, "recovering")
    again = Written()
    async with working(agent_in(running_hub, again)) as agent:
        for task_id in (out, half):
            await running_hub.becomes(task_id, "running")
        assert again.delivered == [(half, ONE)]
        assert {job.task_id for job in agent.accepted()} == {out, half}
        assert await agent.complete(out, ONE, Raw(b"1")) == "complete"


@pytest.mark.parametrize("running_hub", [{"heartbeat_ms": 2_000, "lease_ms": 6_000}], indirect=True)
async def test_its_leases_live_without_a_word_from_outside(running_hub: RunningHub) -> None:
    async with working(agent_in(running_hub, Written())):
        task_id = await pushed(running_hub)
        await running_hub.becomes(task_id, "running")
        clock = running_hub.parts.clock
        await clock.sleep_until(clock.now().ms + 9_000)
        task = await running_hub.task(task_id)
        assert (task["state"], task["strikes"], task["generation"]) == ("running", 0, 1)


async def test_nobody_from_outside_has_a_name_of_the_hub_s_own(running_hub: RunningHub) -> None:
    """L34."""
    async with running_hub.http() as http:
        for role in ("agent", "join"):
            answer = await http.post("/admin/tokens", json={"agent_id": "hub:streams", "role": role})
            assert answer.status_code == 422
        code = (await http.post("/admin/tokens", json={"agent_id": "*", "role": "join"})).json()["token"]
        answer = await http.post("/api/onboard/register", json={"agent_id": "hub:webhooks", "code": code})
        assert answer.status_code == 422
        assert (await http.post("/admin/tokens", json={"agent_id": "hubert"})).status_code == 201


def test_a_token_opens_no_link_under_a_reserved_name_or_instance() -> None:
    def identity(agent_id: str) -> Identity:
        return Identity(token_id=TokenId("tok-1"), role=Role.AGENT, agent_id=AgentId(agent_id))

    assert identity("ada").may_connect_as("ada", "i-1")
    assert identity("ada").may_connect_as("ada", None)
    assert not identity("ada").may_connect_as("bob", "i-1")
    assert not identity("ada").may_connect_as("ada", f"{INNER_PREFIX}streams")
    assert not identity("ada").may_connect_as("ada", "v1:tok-of-a-v1-client"), "a v1 holder is its token"
    assert not identity(f"{INNER_PREFIX}x").may_connect_as(f"{INNER_PREFIX}x", "i-1")
    assert not Identity(token_id=TokenId("t"), role=Role.ADMIN).may_connect_as("ada", "i-1")


# --- its parts ----------------------------------------------------------------------------------------------


async def test_facts_go_on_from_the_mark_and_wait_for_their_receipts() -> None:
    facts = Facts(Seq(7))
    assert facts.first == 8
    accepted, first = facts.number(TaskAccepted(task_id=TaskId("t"), generation=ONE))
    ended, second = facts.number(TaskComplete(task_id=TaskId("t"), generation=ONE))
    assert (accepted.seq, ended.seq, facts.first, facts.last) == (8, 9, 8, 9)
    assert facts.endings() == ((TaskId("t"), ONE),)
    facts.receipted(TaskAck(task_id=TaskId("t"), status="accepted", seq=Seq(8)))
    facts.receipted(TaskAck(task_id=TaskId("t"), status="accepted", seq=Seq(8)))
    facts.receipted(TaskAck(task_id=TaskId("t"), status="accepted"))
    assert (await first, facts.unreceipted()) == ("accepted", (ended,))
    facts.are_in(Seq(9))
    assert (await second, facts.first, facts.endings()) == ("duplicate", 10, ())


async def test_a_line_says_all_before_it_ends() -> None:
    line = Line(3)
    ack = TaskAck(task_id=TaskId("t"), status="accepted")
    line.say(ack)
    line.hang_up("enough")
    assert (await line.hear(), await line.hear(), line.reason) == (ack, None, "enough")
