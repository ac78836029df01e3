"""Dying at every named place loses nothing that was answered and runs nothing twice."""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest
from websockets.exceptions import WebSocketException

from hub.crashpoints import POINTS, Crasher, CrashPoint, NoticePoint, StreamPoint
from hub.errors import ConfigurationError
from tests.hub.conftest import HubProcess
from tests.hub.peers import Said, V2Peer

KEY = "the-one-push"


class Client:
    """An agent and a pusher that go on as if nothing had happened, whatever the hub does."""

    def __init__(self, hub: HubProcess, token: str) -> None:
        self.hub = hub
        self.token = token
        self.dials = 0
        self.journal: list[Said] = []
        """Facts without a receipt."""
        self.seq = 0
        self.started: list[tuple[str, int]] = []
        self.held: Said | None = None

    async def push(self) -> str:
        """Push until answered; the key makes it one task."""
        while True:
            try:
                return str((await self.hub.push("ada", "once", idempotency_key=KEY, queue=True))["task_id"])
            except httpx.TransportError:
                self.restart()

    async def cancel(self, task_id: str) -> None:
        while True:
            try:
                async with self.hub.http() as client:
                    answer = await client.post(f"/api/tasks/{task_id}/cancel")
                assert answer.status_code in (200, 202, 409), answer.text
                return
            except httpx.TransportError:
                self.restart()

    async def ending(self, task_id: str, state: str) -> Said:
        while True:
            try:
                return await self.hub.becomes(task_id, state)
            except httpx.TransportError:
                self.restart()

    def restart(self) -> None:
        """Only a hub that has died by its crash point is started again, and never dies a second time."""
        assert self.hub.wait() == -signal.SIGKILL
        self.hub.start()

    def note(self, kind: str, **more: object) -> Said:
        assert self.held is not None
        self.seq += 1
        fact = {"type": kind, "seq": self.seq, **self.held, **more}
        self.journal.append(fact)
        return fact

    async def work(self) -> None:
        """Be an agent until the one task has its receipt."""
        while True:
            try:
                if await self.session():
                    return
            except (WebSocketException, OSError):
                if self.hub.process is not None and self.hub.process.poll() is not None:
                    self.restart()

    async def begin(self) -> None:
        """Have the task in hand, accepted and unfinished."""
        await self.push()
        peer = await V2Peer.dial(self.hub.ws_address, token=self.token)
        self.dials += 1
        await peer.identify("ada", connection=self.dials)
        frame = await peer.hear("task_assign")
        self.held = {"task_id": frame["task_id"], "generation": frame["generation"]}
        self.started.append((frame["task_id"], frame["generation"]))
        await peer.say(self.note("task_accepted"))
        await peer.hear("task_ack")
        self.note("task_complete", result="done")

    async def session(self) -> bool:
        peer = await V2Peer.dial(self.hub.ws_address, token=self.token)
        self.dials += 1
        holding = [{**self.held, "state": "result_pending"}] if self.held else []
        peer.seq = (self.journal[0]["seq"] - 1) if self.journal else self.seq
        identified = await peer.identify("ada", connection=self.dials, holding=holding)
        mark = identified["seq_received"]
        self.journal = [fact for fact in self.journal if fact["seq"] > mark]
        if self.held is not None and not self.journal:
            return True
        if self.journal:
            await peer.say(*self.journal)
        while True:
            frame = await peer.hear("task_assign", "task_ack", "task_cancel")
            if frame["type"] == "task_assign" and self.held is None:
                self.held = {"task_id": frame["task_id"], "generation": frame["generation"]}
                self.started.append((frame["task_id"], frame["generation"]))
                await peer.say(self.note("task_accepted"), self.note("task_complete", result="done"))
            elif frame["type"] == "task_ack":
                self.journal = [fact for fact in self.journal if fact["seq"] > frame["seq"]]
                if not self.journal:
                    return True


@pytest.mark.slow
@pytest.mark.parametrize("point", list(CrashPoint))
async def test_a_hub_that_dies_there_loses_nothing_and_repeats_nothing(
    hub_process: HubProcess, point: CrashPoint
) -> None:
    hub_process.start()
    token = await hub_process.token("ada")
    hub_process.stop()
    subject = point.value.partition(".")[0]
    client = Client(hub_process, token)
    if subject == "start":
        hub_process.start()
        await client.begin()
        hub_process.kill()
        with pytest.raises(AssertionError, match="did not start"):
            hub_process.start(HUB_CRASH_AT=point.value)
        assert hub_process.wait() == -signal.SIGKILL
        hub_process.start()
    else:
        times = 2 if subject == "turn" else 1
        hub_process.start(HUB_CRASH_AT=f"{point.value}:{times}")
    async with asyncio.timeout(50):
        task_id = await client.push()
        if subject == "cancel":
            await client.cancel(task_id)
            await client.ending(task_id, "cancelled")
            assert client.started == []
            return
        await client.work()
        task = await client.ending(task_id, "completed")
    assert task["result"] == "done"
    assert client.started == [(task_id, 1)]
    assert (task["generation"], task["attempt"], task["strikes"]) == (1, 0, 0)


def test_a_point_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"push\.after_commit"):
        Crasher("push.sometimes")
    assert not Crasher("").is_armed


@pytest.mark.parametrize("point", [*StreamPoint, *NoticePoint])
def test_a_place_between_ledger_and_redis_or_webhook_can_be_armed(point: StreamPoint | NoticePoint) -> None:
    crasher = Crasher(f"{point.value}:2")
    assert crasher.is_armed
    crasher.come_to(point)  # once is not twice: this process lives


def test_no_two_places_have_one_name() -> None:
    assert len(POINTS) == len(CrashPoint) + len(StreamPoint) + len(NoticePoint)
