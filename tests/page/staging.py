"""A fleet on an ordinary day: agents that work, wait, rest and are gone, and what came of their tasks.

Owns what the pictures of the page show. Everything goes through the hub's own sockets and API, as agents and
people do it; nothing is written into a ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.hub.conftest import HubProcess
from tests.hub.noticed import add, comes_to, listening
from tests.hub.peers import Said, V2Peer
from tests.system.processes import becomes, ended, in_state
from tests.system.test_page_story import Run
from tests.waiting import until

DIGEST: Final = "daily-news-digest"
YEAR_2100_MS: Final = 4_102_444_800_000

CARDS: Final[dict[str, dict[str, Any]]] = {
    "ada": {
        "slots": 2,
        "capabilities": ["research", "web"],
        "labels": {"site": "oslo", "host": "fjord-1"},
        "plugins": [DIGEST],
        "plugin_versions": {DIGEST: "1.0.0"},
    },
    "barbara": {
        "slots": 4,
        "capabilities": ["build", "shell"],
        "labels": {"site": "oslo", "host": "fjord-2"},
    },
    "grace": {"slots": 2, "capabilities": ["build", "shell"], "labels": {"site": "lyon", "host": "rhone-1"}},
    "hedy": {
        "slots": 1,
        "capabilities": ["translate"],
        "labels": {"site": "lyon"},
        "resting": {"reason": "quiet hours", "until": YEAR_2100_MS},
    },
    "katherine": {"slots": 3, "capabilities": ["maths", "python"], "labels": {"site": "oslo"}},
    "margaret": {"slots": 1, "capabilities": ["review"], "labels": {"site": "lyon"}},
    "radia": {"slots": 2, "capabilities": ["network"], "labels": {"site": "oslo"}},
}

DONE: Final = {
    "ada": (
        (5, "Compare three routers for a small office"),
        (7, "Find out when the museum of the sea opens"),
    ),
    "barbara": ((8, "Build the release candidate of the ledger"), (4, "Run the slow tests of the ledger")),
    "grace": ((3, "Bring the documentation up to date"), (6, "Look for dead links in the handbook")),
    "katherine": ((4, "Check the sums of the third quarter"), (9, "Estimate the tides at the harbour")),
}
"""What each agent has done, and how many seconds it took."""

NO_SOURCE: Final = "the source did not answer: 503 from prices.example"
FAILED: Final = {
    "ada": ("Fetch the prices of zinc", NO_SOURCE),
    "barbara": ("Fetch the prices of tin", NO_SOURCE),
    "grace": ("Fetch the prices of copper", NO_SOURCE),
    "katherine": ("Draw the map of the northern lines", "no such file: lines-north.csv"),
}
HELD: Final = {
    "barbara": ("Build the ledger for machines with little memory", 62, "links: 214 of 340 units"),
    "grace": ("Look for slow questions in the archive", 18, "reads the questions of last week"),
    "katherine": ("Find the shortest way round eleven harbours", 87, "run 8 of 9"),
}
WAITING: Final = (
    {"description": "Paint the fence of the office in Lyon", "needed_capabilities": ["paint"]},
    {"description": "Translate the terms of use", "needed_capabilities": ["translate"], "priority": "high"},
    {
        "description": "Review what the release changes",
        "needed_capabilities": ["review"],
        "priority": "urgent",
    },
    {"description": "Write the report of the month", "run_at": YEAR_2100_MS, "labels": {"team": "office"}},
)
STORY: Final[tuple[tuple[float, str, str, dict[str, Any]], ...]] = (
    (0, "crew", "daily-news-digest began: 3 tasks", {"id": 1, "parent": None, "state": "began"}),
    (0.1, "task", "Task 1/3: look for news of the sea", {"id": 2, "parent": 1, "state": "began"}),
    (0.1, "agent", "Researcher began", {"id": 3, "parent": 2, "state": "began"}),
    (0.2, "tool", "web_search: tides, harbours", {"id": 4, "parent": 3, "state": "began"}),
    (1.4, "tool", "web_search answered: 3 results", {"id": 4, "parent": 3, "state": "ended"}),
    (0.1, "model", "Researcher is thinking", {"id": 5, "parent": 3, "state": "began"}),
    (1.2, "chunk", "Three results are enough for notes.", {"parent": 5, "call": "c1", "thought": True}),
    (1.1, "model", "Researcher has answered", {"id": 5, "parent": 3, "state": "ended"}),
    (0.1, "agent", "Researcher is done", {"id": 3, "parent": 2, "state": "ended"}),
    (0.1, "task", "Task 1/3 is done", {"id": 2, "parent": 1, "state": "ended"}),
    (0.1, "task", "Task 2/3: write a section a topic", {"id": 6, "parent": 1, "state": "began"}),
    (0.1, "agent", "Writer began", {"id": 7, "parent": 6, "state": "began"}),
    (0.2, "model", "Writer is thinking", {"id": 8, "parent": 7, "state": "began"}),
    (1.5, "chunk", "A calm week at sea, and a late spring on land. ", {"parent": 8, "call": "c2"}),
)
"""Each line after so many seconds."""

STORYS_END: Final[tuple[tuple[float, str, str, dict[str, Any]], ...]] = (
    (0.9, "model", "Writer has answered", {"id": 8, "parent": 7, "state": "ended"}),
    (0.1, "agent", "Writer is done", {"id": 7, "parent": 6, "state": "ended"}),
    (0.1, "task", "Task 2/3 is done", {"id": 6, "parent": 1, "state": "ended"}),
    (0.2, "crew", "daily-news-digest is done", {"id": 1, "parent": None, "state": "ended"}),
)
SEA: Final = {
    "summary": "A calm week: the harbours are open, and the late spring tide comes on Thursday.",
    "sections": [
        {
            "title": "The sea",
            "content": "No storm is expected before Sunday. The tide of Thursday is the highest of the "
            "month, 40 cm above the mean, and the lower quays are closed from five to eight in the morning.",
        },
        {
            "title": "The harbours",
            "content": "All eleven are open. Pilots are short in the two of the north; ships wait there for "
            "three hours on the average, one less than in the week before.",
        },
    ],
}
MARKETS: Final = {
    "summary": "Quiet markets; copper is a little dearer, and two of four sources did not answer.",
    "sections": [{"title": "Copper", "content": "Up by one in a hundred since Monday."}],
}
QUESTION: Final = {
    "type": "object",
    "required": ["verdict"],
    "properties": {"verdict": {"type": "string", "title": "Verdict", "enum": ["go", "hold"]}},
}


class Telling(Run):
    """A run that knows when its steps began."""

    def __init__(self, peer: V2Peer, assigned: Said) -> None:
        super().__init__(peer, assigned)
        self.began: dict[int, float] = {}

    @classmethod
    async def begin(cls, peer: V2Peer) -> Telling:
        assigned = await peer.hear("task_assign")
        await peer.say(peer.fact("task_accepted", assigned))
        return cls(peer, assigned)


@asynccontextmanager
async def staged(hub: HubProcess, pace: float = 0) -> AsyncIterator[Stage]:
    """Let all of it happen, at this part of its own pace; once the hub knows it, it can be looked at."""
    stage = Stage(hub, pace)
    async with listening("204 Yes") as ear, listening("503 Busy") as deaf:
        office = await add(hub, ear.url, events=["task_complete", "task_failed"])
        await add(hub, deaf.url, events=["task_failed"])
        await stage.enters()
        await asyncio.gather(*(stage.works(name) for name in DONE))
        await stage.briefs()
        await stage.waits()
        await comes_to(hub, office, lambda one: one["pending"] == 0 and one["behind"] == 0)
        await stage.goes_on()
        yield stage


class Stage:
    """The agents, and what is to be seen of them by what the pictures call it."""

    def __init__(self, hub: HubProcess, pace: float) -> None:
        self.hub = hub
        self.pace = pace
        self.peers: dict[str, V2Peer] = {}
        self.running = ""
        """A task that a crew is at work on."""
        self.asking = ""
        self.done = ""
        """A run that has made a briefing."""
        self.run = ""

    async def takes(self, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        due = clock() + seconds * self.pace
        await until(lambda: clock() >= due, "it has taken its time")

    async def tells(self, run: Telling, lines: tuple[tuple[float, str, str, dict[str, Any]], ...]) -> None:
        clock = asyncio.get_running_loop().time
        for seconds, kind, text, about in lines:
            await self.takes(seconds)
            more = {}
            if about.get("state") == "began":
                run.began[about["id"]] = clock()
            elif about.get("state") == "ended":
                more = {"ms": round(1_000 * (clock() - run.began[about["id"]]))}
            await run.tell((kind, text, about | more))

    async def asks_for(self, **body: Any) -> str:
        async with self.hub.http() as http:
            answer = await http.post("/api/tasks", json=body)
            assert answer.is_success, answer.text
            return str(answer.json()["task_id"])

    async def enters(self) -> None:
        """All connect; some have long work in hand from the first; one leaves again."""
        for name, card in CARDS.items():
            peer = await V2Peer.dial(self.hub.ws_address, token=await self.hub.token(name))
            assert (await peer.identify(name, **card))["type"] == "identified"
            self.peers[name] = peer
        for name, (text, progress, message) in HELD.items():
            await self.asks_for(description=text, assign_to=name)
            run = await Telling.begin(self.peers[name])
            await run.pass_by("task_progress", progress=progress, message=message)
        await self.peers["radia"].hang_up()
        await becomes(self.hub, "/api/agents/radia", lambda agent: not agent["connected"], 60)

    async def works(self, name: str) -> None:
        """One agent's day so far: two tasks, and one that is given up after two tries."""
        for seconds, text in DONE[name]:
            task = await self.asks_for(description=text, assign_to=name)
            run = await Telling.begin(self.peers[name])
            await run.pass_by("task_usage", tokens_in=2_140, tokens_out=410)
            await self.takes(seconds)
            await run.fact("task_complete", result={"summary": f"{text}: done, nothing unusual."})
            await ended(self.hub, task)
        text, error = FAILED[name]
        task = await self.asks_for(description=text, assign_to=name, attempts_max=2, backoff={"first_ms": 1})
        for _ in range(2):
            run = await Telling.begin(self.peers[name])
            await self.takes(2)
            await run.fact("task_failed", error=error, retryable=True)
        assert (await ended(self.hub, task))["state"] == "dead_letter"

    async def briefs(self) -> None:
        """Runs of the shipped digest for a user, with an end that people read."""
        for topics, briefing in ((["markets"], MARKETS), (["tides", "harbours"], SEA)):
            async with self.hub.http() as http:
                body = {"user_id": 7, "settings": {"topics": topics, "summary_length": "short"}}
                answer = await http.post(f"/api/plugins/{DIGEST}/runs", json=body)
                assert answer.is_success, answer.text
            self.run, self.done = answer.json()["plugin_run_id"], answer.json()["task_id"]
            run = await Telling.begin(self.peers["ada"])
            await self.tells(run, STORY + STORYS_END)
            await run.pass_by("task_usage", tokens_in=8_310, tokens_out=1_260)
            await run.fact("task_complete", result=briefing)
            await ended(self.hub, self.done)

    async def waits(self) -> None:
        """What nobody has taken yet, and why."""
        async with self.hub.http() as http:
            assert (await http.post("/api/agents/margaret/pause")).is_success
        for body in WAITING:
            await self.asks_for(**body)

    async def goes_on(self) -> None:
        """A crew at work, and one that asks a person."""
        self.asking = await self.asks_for(description="May version 1.4.0 go out?", assign_to="katherine")
        asks = await Telling.begin(self.peers["katherine"])
        question = "The tests are green, and two notes of the release are missing. May 1.4.0 go out?"
        await asks.fact("input_required", request_id=f"{self.asking}-1", prompt=question, schema=QUESTION)
        await in_state(self.hub, self.asking, "input_required")
        self.running = await self.asks_for(description="News of the sea for the morning", assign_to="ada")
        run = await Telling.begin(self.peers["ada"])
        await self.tells(run, STORY)
        await run.pass_by("task_progress", progress=48, message="Task 2/3: write a section a topic")
        await run.pass_by("task_usage", tokens_in=3_120, tokens_out=540)
