"""Many agents that work as people's agents do: they take tasks, talk while they run them, and complete them.

Owns the fakes, which all live in this process and speak v2 over real sockets, and the pace of the pushes that
keeps them talking at a wanted number of events a minute. Never measures anything.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from typing import Any

import httpx

from bench.children import Hub
from bench.peers import Peer, agent_token

WAVE = 100
"""Dials at a time: below the hub's cap on sockets that nobody has identified."""

BEAT_S = 8
TALK = ("progress", "log", "progress", "log", "usage", "progress", "log", "progress")
EVENTS_OF_A_TASK = 4 + len(TALK)
"""Queued, assigned, accepted, its end, and what is said between."""
RUN_S = 20
FAILS_ONE_OF = 40
BATCH_S = 0.5

SENTENCES = (
    "reads the notes of last week",
    "compares three offers and writes down what differs",
    "asks the search for tides in the North Sea",
    "sums up: calm, and a little warmer than the years before",
)


class Agent:
    """One agent: everything that its socket has to say and to hear."""

    def __init__(self, peer: Peer, agent_id: str) -> None:
        self._peer = peer
        self._in_hand: dict[str, int] = {}
        self._dice = random.Random(agent_id)
        self._facts = 0

    async def live(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat())
            while True:
                assigned = await self._peer.hear("task_assign")
                group.create_task(self._work(assigned))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            held = [{"task_id": task, "generation": n} for task, n in self._in_hand.items()]
            await self._peer.say({"type": "heartbeat", "as_of_seq": self._facts, "tasks": held})

    async def _fact(self, kind: str, assigned: dict[str, Any], **more: Any) -> None:
        self._facts += 1
        await self._peer.say(self._peer.fact(kind, assigned, **more))

    async def _work(self, assigned: dict[str, Any]) -> None:
        own = {"task_id": assigned["task_id"], "generation": assigned["generation"]}
        self._in_hand[assigned["task_id"]] = assigned["generation"]
        await self._fact("task_accepted", assigned)
        lines = itertools.count(1)
        for step, kind in enumerate(TALK, 1):
            await asyncio.sleep(RUN_S / len(TALK) * self._dice.uniform(0.5, 1.5))
            await self._peer.say(own | self._said(kind, step, lines))
        del self._in_hand[assigned["task_id"]]
        if self._dice.randrange(FAILS_ONE_OF) == 0:
            await self._fact("task_failed", assigned, error="the source did not answer", retryable=False)
        else:
            await self._fact("task_complete", assigned, result={"summary": self._dice.choice(SENTENCES)})

    def _said(self, kind: str, step: int, lines: Iterator[int]) -> dict[str, Any]:
        words = self._dice.choice(SENTENCES)
        if kind == "progress":
            return {"type": "task_progress", "progress": 100 * step / (len(TALK) + 1), "message": words}
        if kind == "usage":
            return {"type": "task_usage", "tokens_in": 900, "tokens_out": 120, "model": "offline"}
        about = {"id": next(lines), "parent": None, "state": "began"}
        return {"type": "task_log", "n": about["id"], "kind": "tool", "text": words, "data": about}


async def dial(running: Hub, http: httpx.AsyncClient, count: int) -> list[Agent]:
    """So many agents, identified and idle."""
    names = [f"agent-{number:03}" for number in range(count)]
    agents: list[Agent] = []
    for first in range(0, count, WAVE):
        wave = names[first : first + WAVE]
        tokens = [await agent_token(http, name) for name in wave]
        peers = await asyncio.gather(
            *(Peer.dial(running, token, name, slots=2) for token, name in zip(tokens, wave, strict=True))
        )
        agents += [Agent(peer, name) for peer, name in zip(peers, wave, strict=True)]
    return agents


async def push_for_ever(http: httpx.AsyncClient, events_a_minute: int) -> None:
    """Tasks for whoever is free, as many as make this number of events."""
    loop = asyncio.get_running_loop()
    a_second = events_a_minute / 60 / EVENTS_OF_A_TASK
    began, pushed = loop.time(), 0
    while True:
        due = int((loop.time() - began) * a_second)
        items = [{"description": f"Brief {number}: the sea today"} for number in range(pushed, due)]
        if items:
            answer = await http.post("/api/tasks/batch", json={"tasks": items})
            assert answer.is_success, answer.text
            pushed = due
        await asyncio.sleep(BATCH_S)
