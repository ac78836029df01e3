"""The socket half of the fuzzer: mutated messages against a real `hub serve` process.

The oracle: after whatever was sent, the hub answers a ping, or has closed with a code that the close table
knows and that is neither a crash nor a silent loss; its log holds no traceback; at the end it is healthy and
leaves when asked. Every connection is an agent of its own, so that one's quarantine never shields another.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from protocol.close import CLOSE_RULES, CloseCode
from protocol.codec import SUBPROTOCOLS, Message, Wire
from tests.protocol.fuzz import Die, Failure, Seed, mutated, seeds
from tests.waiting import until

MESSAGES_PER_CONNECTION = 16
STRANGERS_SHARE = 0.1
AT_ONCE = 6
PATIENCE_S = 60.0
LOG_SHOWN = 4_000
NEVER = {CloseCode.ABNORMAL, CloseCode.INTERNAL_ERROR}


class Hub(NamedTuple):
    url: str
    admin: str
    log: Path


@dataclass
class Tally:
    """How many messages are still to be sent, and what came of those that were."""

    left: int
    seen: Counter[str]

    def take(self, wanted: int) -> int:
        taken = min(self.left, wanted)
        self.left -= taken
        return taken


@contextmanager
def served(folder: Path) -> Iterator[Hub]:
    """A hub of its own in a process of its own; it must end well, and must not have logged a traceback."""
    log = folder / "hub.log"
    command = [sys.executable, "-m", "hub.cli", "serve", "--port", "0", "--state-dir", str(folder / "state")]
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as process,
    ):
        try:
            assert process.stdout is not None
            ready = msgspec.json.decode(process.stdout.readline() or b"{}")
            if "url" not in ready:
                raise Failure(f"the hub did not start: {log.read_text()}")
            words = log.read_text().split()
            yield Hub(ready["url"], next(word for word in words if word.startswith("huba_")), log)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE_S)
    said = log.read_text()
    if code != 0 or "Traceback" in said:
        raise Failure(f"the hub ended with {code} and said:\n{said[-LOG_SHOWN:]}")


def fuzz_socket(messages: int, seed: int) -> Counter[str]:
    """Send this many mutated messages to a hub; what came of them, counted."""
    tally = Tally(messages, Counter())
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as hub:
        try:
            asyncio.run(_attack(hub, tally, random.Random(seed)))
        except ExceptionGroup as group:
            said = hub.log.read_text()[-LOG_SHOWN:]
            raise Failure(f"seed {seed}: {group.exceptions[0]!r}\nThe hub said:\n{said}") from group
    return tally.seen


async def _attack(hub: Hub, tally: Tally, die: Die) -> None:
    supply = {wire: seeds("agent", wire) for wire in Wire}
    headers = {"Authorization": f"Bearer {hub.admin}"}
    async with httpx.AsyncClient(base_url=hub.url, headers=headers, timeout=PATIENCE_S) as api:

        async def worker(number: int) -> None:
            own_die = random.Random(die.random())
            dialled = 0
            while (count := tally.take(MESSAGES_PER_CONNECTION)) > 0:
                dialled += 1
                name = f"fuzz-{number}-{dialled}"
                tally.left += count - await _connection(hub, api, name, own_die, supply, count, tally.seen)

        async with asyncio.TaskGroup() as workers:
            for number in range(AT_ONCE):
                workers.create_task(worker(number))
        health = await api.get("/health")
        if health.status_code != httpx.codes.OK:
            raise Failure(f"the hub is not healthy any more: {health.text}")


async def _connection(
    hub: Hub,
    api: httpx.AsyncClient,
    name: str,
    die: Die,
    supply: dict[Wire, list[Seed]],
    count: int,
    seen: Counter[str],
) -> int:
    """One agent's life: identify, or not quite; say some mutated things; see how it is taken. How many."""
    sent: list[Message] = []
    created = await api.post("/admin/tokens", json={"agent_id": name, "role": "agent"})
    token = created.raise_for_status().json()["token"]
    subprotocol = die.choice((None, *SUBPROTOCOLS))
    wire = Wire.of(subprotocol)
    try:
        async with connect(
            hub.url.replace("http", "ws", 1) + "/ws",
            additional_headers={"Authorization": f"Bearer {token}"},
            subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
            compression=None,
            close_timeout=PATIENCE_S,
        ) as socket:
            if die.random() < STRANGERS_SHARE:
                await _send(socket, mutated(die, die.choice(supply[wire]), wire))
                seen["stranger"] += 1
                return 1  # the hub may hold a failed identify for a while before it closes
            await _identify(socket, wire, name, die.choice((1, 2)) if subprotocol is None else 2)
            for _ in range(count):
                sent.append(mutated(die, die.choice(supply[wire]), wire))
                await _send(socket, sent[-1])
            await _expect_pong(socket, wire, seen)
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd is not None else await _recorded_close(hub, name)
        if code not in CLOSE_RULES or code in NEVER:
            last = [message[:500] for message in sent[-3:]]
            raise Failure(f"{name} on {wire.name}: closed with {code} after {last!r}") from closed
        seen[f"close {code}"] += 1
    return len(sent)


async def _recorded_close(hub: Hub, name: str) -> int:
    """What the hub closed with, by its own account: the TCP reset that follows when a peer goes on sending to
    a socket that is closed already may overtake the close frame."""

    def found() -> int | None:
        for line in hub.log.read_text().splitlines():
            if f'"{name}"' in line and "link closed" in line:
                return int(msgspec.json.decode(line)["code"])
        return None

    code = await until(found, f"the hub has recorded the close of {name}")
    return CloseCode.ABNORMAL if code is None else code


async def _send(socket: ClientConnection, message: Message) -> None:
    if isinstance(message, str):
        # Half a surrogate pair cannot be put into a text frame; its bytes can, and the hub must refuse them.
        await socket.send(message.encode("utf-8", "surrogateescape"), text=True)
    else:
        await socket.send(message)


async def _identify(socket: ClientConnection, wire: Wire, name: str, version: int) -> None:
    await _say(
        socket, wire, {"type": "identify", "agent_id": name, "protocol_version": version, "instance_id": name}
    )
    (answer,) = await _heard(socket, wire)
    if answer["type"] != "identified":
        raise Failure(f"a good identify was answered by {answer}")


async def _expect_pong(socket: ClientConnection, wire: Wire, seen: Counter[str]) -> None:
    """Everything up to the answer of a ping; whoever was told to slow down asks again."""
    await _say(socket, wire, {"type": "ping"})
    while True:
        for frame in await _heard(socket, wire):
            seen[frame.get("error") or frame["type"]] += 1
            if frame["type"] == "pong" and "timestamp" in frame:
                return
            if frame.get("error") == "rate_limited":
                await _say(socket, wire, {"type": "ping"})


async def _say(socket: ClientConnection, wire: Wire, frame: dict[str, Any]) -> None:
    encoded = wire.value.encode(frame)
    await socket.send(encoded, text=wire.text)


async def _heard(socket: ClientConnection, wire: Wire) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_S):
        message = await socket.recv(decode=False)
    heard = wire.value.decoder().decode(message)
    return heard if isinstance(heard, list) else [heard]
