"""A scripted hub on a real WebSocket: the other end of the sidecar's link, with vices that tests can ask for.

Owns a socket, a memory of what every instance said, and receipts. It keeps marks as a hub must, and decides
nothing else: what is assigned, cancelled or answered is the test's affair.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from protocol import frames as f
from protocol.badframe import BadFrame
from protocol.codec import SUBPROTOCOLS
from protocol.conversation import HubConversation, Phase
from protocol.errors import RemoteProtocolError
from protocol.frames import AgentFrame, Fact, HubFrame
from protocol.ids import AgentId, Generation, InstanceId, Seq
from tests.sidecar.dialogue import task
from tests.waiting import until

STATUS_OF: dict[type[Fact], f.AckStatus] = {
    f.TaskAccepted: "accepted",
    f.TaskRejected: "rejected",
    f.TaskComplete: "complete",
    f.TaskFailed: "failed",
    f.TaskStopped: "stopped",
    f.TaskDone: "kept",
    f.InputRequired: "asked",
    f.InputAck: "answered",
}


class Caller:
    """One connection of an agent."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.conversation = HubConversation(socket.subprotocol, is_trusted=True)
        self.heard: list[AgentFrame] = []
        self.is_open = True

    @property
    def identify(self) -> f.Identify:
        assert self.conversation.peer is not None, "it has not identified"
        return self.conversation.peer

    async def say(self, *frames: HubFrame) -> None:
        for message in self.conversation.say(*frames):
            await self.socket.send(message)


class HubDouble:
    """Set the vices, then watch `callers`, `facts` and `heard`."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []
        self.headers: list[dict[str, str]] = []
        self.marks: dict[InstanceId, Seq] = {}
        self.facts: list[Fact] = []
        """Applied once each, in order."""
        self.heartbeat_ms = 10_000
        self.identifies = True
        self.gives_receipts = True
        self.answers_pings = True
        self.refusal: HTTPStatus | None = None
        self.greeting: Callable[[Caller], list[HubFrame]] = lambda caller: []
        """Said right after `identified`."""
        self.identified: dict[str, object] = {}
        """Members of `identified` that a test wants otherwise."""
        self._server: Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/ws"

    async def open(self) -> None:
        """Listen, on the same port again after a `close`."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self._port,
            subprotocols=[Subprotocol(name) for name in SUBPROTOCOLS],
            compression=None,
            process_request=self._greet,
            ping_interval=None,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def close(self, code: int = 1012, reason: str = "restart") -> None:
        """Go away, as a hub that is restarted does."""
        assert self._server is not None, "it was opened"
        self._server.close(close_connections=False)
        for caller in self.callers:
            if caller.is_open:
                await caller.socket.close(code, reason)
        self._server.close()
        await self._server.wait_closed()

    async def caller(self, number: int = 1) -> Caller:
        """The n-th connection that identified, as soon as there is one."""
        await until(lambda: len(self._identified) >= number, f"connection {number} has identified")
        return self._identified[number - 1]

    async def assign(self, n: int, generation: int = 1, **members: object) -> None:
        """To the newest caller."""
        frame = f.TaskAssign(task_id=task(n), generation=Generation(generation), **members)  # type: ignore[arg-type]  # a test names any member
        await self._identified[-1].say(frame)

    async def fact(self, kind: type[Fact], n: int, generation: int = 1) -> Fact:
        """The first fact of this kind about a task, as soon as it is heard."""

        def find() -> Fact | None:
            for fact in self.facts:
                if type(fact) is kind and (fact.task_id, fact.generation) == (task(n), generation):
                    return fact
            return None

        found = await until(find, f"{kind.__name__} of task {n}.{generation} is heard")
        assert found is not None
        return found

    @property
    def _identified(self) -> list[Caller]:
        return [caller for caller in self.callers if caller.conversation.phase is Phase.OPEN]

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append(dict(request.headers.raw_items()))
        if self.refusal is not None:
            return connection.respond(self.refusal, "no\n")
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        caller = Caller(socket)
        self.callers.append(caller)
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                try:
                    heard = caller.conversation.receive(message)
                except RemoteProtocolError as error:
                    await socket.close(error.close or 4400, error.code.value)
                    break
                for frame in heard:
                    assert not isinstance(frame, BadFrame), frame
                    caller.heard.append(frame)
                    await self._answer(caller, frame)
        caller.is_open = False

    async def _answer(self, caller: Caller, frame: AgentFrame) -> None:
        if isinstance(frame, f.Identify):
            if self.identifies:
                await self._agree(caller, frame)
        elif isinstance(frame, f.Ping):
            if self.answers_pings:
                await caller.say(f.Pong(timestamp=1))
        elif isinstance(frame, Fact):
            await self._receipt(caller, frame)

    async def _agree(self, caller: Caller, frame: f.Identify) -> None:
        assert frame.instance_id is not None
        mark = self.marks.setdefault(frame.instance_id, Seq(frame.seq_next - 1))
        members: dict[str, object] = {
            "protocol_version": 2,
            "seq_received": mark,
            "heartbeat_ms": self.heartbeat_ms,
            "frame_bytes_max": 1 << 20,
            **self.identified,
        }
        await caller.say(f.Identified(agent_id=AgentId(frame.agent_id), **members))  # type: ignore[arg-type]  # a test names any member
        await caller.say(*self.greeting(caller))

    async def _receipt(self, caller: Caller, fact: Fact) -> None:
        instance = caller.identify.instance_id
        assert instance is not None
        assert fact.seq is not None
        status: f.AckStatus = "duplicate"
        if fact.seq > self.marks[instance]:
            assert fact.seq == self.marks[instance] + 1, "no gaps"
            self.facts.append(fact)
            status = STATUS_OF[type(fact)]
        if self.gives_receipts:
            self.marks[instance] = max(self.marks[instance], fact.seq)
            await caller.say(
                f.TaskAck(task_id=fact.task_id, generation=fact.generation, seq=fact.seq, status=status)
            )


@asynccontextmanager
async def hub_double() -> AsyncIterator[HubDouble]:
    """A hub that listens."""
    hub = HubDouble()
    await hub.open()
    try:
        yield hub
    finally:
        await hub.close()
