"""The agent's half of the documented session, played by a real `sidecar connect`.

The hub here is a bare WebSocket server that reads its lines from the script and knows plain objects; the
program that runs says what the session's agent says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import websockets
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.protocol.script import Script, Variables, differences, every_script, filled, read
from tests.system.processes import SidecarProcess
from tests.system.test_dialogues import SUBPROTOCOL
from tests.waiting import until

SPEAKER = Path(__file__).parent / "programs" / "speaker.py"

SMALL_TALK: Final = frozenset(
    {"heartbeat", "ping", "task_progress", "task_log", "task_usage", "resource_report"}
)
"""When these are said is the agent's affair: what is heard is compared, and in the end all were said."""

OWN_WORDS: Final = {
    "identify": {"name", "boot_id", "connection", "instance_id", "features"},
    "task_complete": {"tokens_used"},
    "task_log": {"n"},
}
"""Members whose values are this agent's own; `name` and `tokens_used` are optional."""

PATIENCE_S = 60.0


class ScriptHub:
    """The hub's lines, said to one agent at a time."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.variables: Variables = dict(script.samples)
        self.talk: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self.is_over = asyncio.Event()
        self.leave = asyncio.Event()
        self.failure: str | None = None

    async def serve(self, socket: ServerConnection) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.play(socket)
        except (AssertionError, TimeoutError, websockets.ConnectionClosed) as error:
            self.failure = f"{type(error).__name__}: {error}; heard {self.heard}, {self.talk}"
        self.is_over.set()

    async def play(self, socket: ServerConnection) -> None:
        for line in self.script.lines:
            if line.speaker == "hub" and line.frames[0]["type"] != "pong":
                said = filled(line.frames, self.variables)
                await socket.send(json.dumps(said if line.is_array else said[0]))
            elif line.speaker == "agent" and line.close is None:
                for template in line.frames:
                    if template["type"] == "draining":
                        self.leave.set()
                    if template["type"] not in SMALL_TALK:
                        await self.hear(socket, template)
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                self.talk.append(json.loads(await socket.recv()))
        assert socket.close_code == 1000, f"closed {socket.close_code}"

    async def hear(self, socket: ServerConnection, template: dict[str, Any]) -> None:
        """The next frame that is no small talk is this one."""
        while not self.heard:
            message = json.loads(await socket.recv())
            for frame in message if isinstance(message, list) else [message]:
                (self.talk if frame["type"] in SMALL_TALK else self.heard).append(frame)
                if frame["type"] == "ping":
                    await socket.send('{"type": "pong", "timestamp": 1}')
        frame = self.heard.pop(0)
        missing = self.lacks(template, frame)
        assert not missing, f"{missing} in {frame}"

    def lacks(self, template: dict[str, Any], frame: dict[str, Any]) -> list[str]:
        own = OWN_WORDS.get(template["type"], set())
        wanted = {name: value for name, value in template.items() if name not in own}
        return list(differences(wanted, frame, self.variables))


@pytest.fixture
async def stage() -> AsyncIterator[tuple[ScriptHub, str]]:
    """The session's hub, and where it listens."""
    hub = ScriptHub(read(next(path for path in every_script() if path.stem == "session")))
    async with serve(
        hub.serve, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield hub, f"ws://127.0.0.1:{port}/ws"


async def test_a_sidecar_says_the_agents_half_of_the_documents_session(
    stage: tuple[ScriptHub, str], tmp_path: Path
) -> None:
    hub, url = stage
    sidecar = SidecarProcess(tmp_path, "ada", url, "hubs_example", tmp_path / "runs.jsonl")
    words = ("--capability", "research", "--slots", "2", "--command", f"{sys.executable} -S {SPEAKER}")
    sidecar.start(*words)
    try:
        await until(lambda: hub.leave.is_set() or hub.is_over.is_set(), "the script is at its end")
        assert hub.failure is None, f"{hub.failure}\n{sidecar.log.read_text()}"
        sidecar.signal(signal.SIGTERM)
        await hub.is_over.wait()
        assert hub.failure is None, f"{hub.failure}\n{sidecar.log.read_text()}"
        assert await asyncio.to_thread(sidecar.wait) == 0
    finally:
        sidecar.end()
    session_talk = [
        frame
        for line in hub.script.lines
        if line.speaker == "agent"
        for frame in line.frames
        if frame["type"] in {"task_progress", "task_log", "task_usage"}
    ]
    for template in session_talk:
        said = [frame for frame in hub.talk if frame["type"] == template["type"]]
        assert any(not hub.lacks(template, frame) for frame in said), f"{template} is not among {said}"
