"""The client half of a recorded v1 session, played against a real hub process.

Token, task ids and generations are substituted; replies are compared by type and status. Where our hub cannot
do what the recorded one did, the exception is listed in EXCEPTIONS, with its reason.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.hub.conftest import HubProcess
from tests.hub.peers import Said, V1Peer

RECORDING: Final = Path(__file__).parents[1] / "protocol" / "recorded" / "v1-client.jsonl"
AGENT: Final = "probe-1"

EXCEPTIONS: Final = {
    "S2": "was assigned without a generation; ours always names one (the client's 0 means the last accepted)",
    "S3": "is retried: its later assign would come between the next scenes, so a person cancels it",
    "S5": "has no recorded assign: its completion is a stray fact, and gets its usual receipt",
    "S6": "was assigned to a busy client; ours gives a v1 client one task, so here its hands are free",
    "S14": "was still running when S16 was assigned; ours has one seat for v1, so it is completed in between",
    "S16": "was answered task_reassign; ours still holds the task for this agent, and says task_continue",
    "conn 5": "has its identify left out of the recording; a socket that says anything else first is closed",
}

ENDS_BEFORE: Final = {"task-s16": "task-s14"}
"""Assigns before which another task must be over (S14)."""

CANCELLED_AFTER: Final = {("task_ack", "task-s3", "retried"), ("task_rejected", "task-s6", None)}
"""Scenes after which a person cancels the task, so that it does not come again (S3, S6)."""

OTHER_REPLY: Final = {("task_reassign", "task-s16"): "task_continue"}

ALWAYS_THERE: Final = {
    "identified": {"agent_id"},
    "task_assign": {"task_id", "description", "metadata", "generation", "assigned_at"},
    "task_ack": {"task_id", "status"},
    "state_report_ack": {"task_id", "action"},
    "task_continue": {"task_id", "generation"},
    "pong": {"timestamp"},
}
"""Exactly these members, besides `type`: a v1 client must see the v1 tables."""


class Scene:
    """One playing of the recording."""

    def __init__(self, hub: HubProcess, token: str) -> None:
        self.hub = hub
        self.token = token
        self.peer: V1Peer | None = None
        self.connection = 0
        self.task_ids: dict[str, str] = {}
        self.generations: dict[str, int] = {}
        self.heard: list[str] = []

    async def step(self, line: dict[str, Any]) -> None:
        if line["conn"] != self.connection:
            await self.dial(line["conn"])
        if line["dir"] == "->hub":
            await self.say(line["frame"])
        elif line["dir"] == "hub->":
            await self.hear(line["frame"])
        elif line.get("note", "").startswith("closed:"):
            assert self.peer is not None
            self.peer.vanish()

    async def dial(self, connection: int) -> None:
        """The recorded client closes its old socket by dying; some of its sockets never said anything."""
        if self.peer is not None:
            self.peer.vanish()
        self.connection = connection
        self.peer = await V1Peer.dial(self.hub.ws_address)
        if connection == 5:
            assert (await self.peer.identify(AGENT, self.token))["type"] == "identified"

    async def say(self, frame: Said) -> None:
        assert self.peer is not None
        said = dict(frame)
        if frame["type"] == "identify":
            said["token"] = self.token
        recorded = frame.get("task_id", "")
        if recorded in self.task_ids:
            said["task_id"] = self.task_ids[recorded]
            if frame.get("generation"):
                said["generation"] = self.generations[recorded]
        await self.peer.say(said)
        await self.after(frame, recorded)

    async def hear(self, expected: Said) -> None:
        assert self.peer is not None
        recorded = expected.get("task_id", "")
        if expected["type"] == "task_assign":
            await self.push(expected)
        found = await self.peer.hear()
        kind = str(OTHER_REPLY.get((expected["type"], recorded), expected["type"]))
        assert found["type"] == kind, f"{found} instead of {expected}"
        assert set(found) - {"type"} == ALWAYS_THERE[kind]
        for member in ("status", "action", "description", "metadata", "agent_id"):
            if member in expected:
                assert found[member] == expected[member], f"{found} instead of {expected}"
        if kind == "task_assign":
            self.task_ids[recorded], self.generations[recorded] = found["task_id"], found["generation"]
        self.heard.append(kind)
        await self.after(expected, recorded)

    async def push(self, expected: Said) -> None:
        """What made the recorded hub assign this task."""
        assert self.peer is not None
        earlier = ENDS_BEFORE.get(expected["task_id"])
        if earlier is not None:
            await self.peer.say(
                {"type": "task_complete", "task_id": self.task_ids[earlier], "result": "over"}
            )
            assert (await self.peer.hear())["status"] == "complete"
        await self.hub.push(
            AGENT, expected["description"], metadata=expected["metadata"], attempts_max=3, queue=True
        )

    async def after(self, frame: Said, recorded: str) -> None:
        if (frame["type"], recorded, frame.get("status")) in CANCELLED_AFTER:
            task_id = self.task_ids.pop(recorded)
            await self.hub.becomes(task_id, "queued")
            async with self.hub.http() as client:
                assert (await client.post(f"/api/tasks/{task_id}/cancel")).status_code == 200


async def test_a_recorded_v1_client_sees_the_replies_it_saw(hub_process: HubProcess) -> None:
    """L14: simulated peers hid what the real one did."""
    hub_process.start()
    scene = Scene(hub_process, await hub_process.token(AGENT))
    for line in RECORDING.read_text(encoding="utf-8").splitlines():
        await scene.step(json.loads(line))
    assert scene.heard.count("task_assign") == 7
    assert scene.heard.count("task_ack") == 11
    last = scene.task_ids.pop("task-s16")
    assert (await hub_process.task(last))["generation"] == 1
    for task_id in scene.task_ids.values():
        assert (await hub_process.task(task_id))["state"] == "completed"
    async with hub_process.http() as client:
        shown = (await client.get("/api/tasks", params={"state": "completed"})).json()["tasks"]
    assert {task["description"] for task in shown} == {"ok one", "ok two", "shell", "hang"}
