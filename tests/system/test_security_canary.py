"""Secrets of all kinds go through a real hub and a real sidecar, and are looked for everywhere afterwards.

Two processes with their logs at the most talkative, a run that tells its key in every way there is, and
tokens shown in every place where somebody might: the database, the journal, the record of turns, the feed,
every answer and every log line are searched (X5, A2, O5, L40).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import websockets

from hub.api.session import CSRF_HEADER
from tests.hub.conftest import HubProcess
from tests.hub.peers import V1Peer
from tests.system.processes import SidecarProcess
from tests.waiting import until, until_true

CANARY = "canary-8f3a1c" + "-of-a-model-key"

TELLTALE = """
import json, os, sys
key = os.environ["MODEL_API_KEY"]
say = os.fdopen(int(os.environ["CREWHUB_REPORT_FD"]), "w", buffering=1)
for line in (
    {"log": f"calling with {key}"},
    {"progress": 20, "message": f"key {key}"},
    {"phase": key},
    {"usage": {"tokens_in": 1, "model": key}},
    {"step": 0, "output": {key: [key]}},
    {"event": {"key": key}},
):
    print(json.dumps(line), file=say)
print("garbage " + key, file=say)
print("stdout " + key, flush=True)
print("stderr " + key, file=sys.stderr, flush=True)
if "fail" in os.environ["CREWHUB_DESCRIPTION"]:
    sys.exit(3)
print(json.dumps({"result": {"answer": key, "as text": json.dumps({"k": key})}}), file=say)
"""


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """What most machines give a process: files that everybody may read, unless the process knows better."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
async def both(
    hub_process: HubProcess, tmp_path: Path, usual_umask: None
) -> AsyncIterator[tuple[HubProcess, SidecarProcess]]:
    hub_process.start(HUB_LOG_LEVEL="debug", HUB_TURNS_BYTES="10000000")
    token = await hub_process.token("ada")
    one = SidecarProcess(tmp_path, "ada", f"{hub_process.ws_address}/ws", token, tmp_path / "runs.jsonl")
    program = one.folder / "telltale.py"
    program.write_text(TELLTALE)
    argv = json.dumps([sys.executable, "-S", str(program)])
    settings = f'[commands.blab]\nargv = {argv}\nenvironment = ["PATH", "MODEL_API_KEY"]\n'
    (one.folder / "sidecar.toml").write_text(settings)
    one.start(MODEL_API_KEY=CANARY, SIDECAR_LOG_LEVEL="debug")
    yield hub_process, one
    one.end()


async def feed_of(hub: HubProcess, heard: list[str]) -> None:
    async with hub.http() as http, http.stream("GET", "/api/feed") as feed:
        async for line in feed.aiter_lines():
            heard.append(line)


def places_with(needle: str, folder: Path) -> list[str]:
    """Files below a folder that hold it, as it is or as JSON, hexadecimal or UTF-16 would have it."""
    forms = {needle.encode(), needle.encode().hex().encode(), needle.encode("utf-16-le")}
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        str(path.relative_to(folder)) for path in files if any(form in path.read_bytes() for form in forms)
    ]


async def show_tokens_everywhere(hub: HubProcess, token: str) -> None:
    """In headers, frames, bodies, queries and paths, good and spoilt."""
    spoilt = token[:-1] + ("a" if token[-1] != "a" else "b")
    for shown in (token, spoilt):
        async with hub.http(shown) as http:
            await http.get("/api/tasks")
            await http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.1"})
            await http.post("/api/session", json={"token": shown}, headers={CSRF_HEADER: "1"})
            await http.post("/api/onboard/register", json={"agent_id": "eve", "code": shown})
            await http.post("/api/tasks", content=shown.encode())
        async with httpx.AsyncClient(base_url=hub.address) as stranger:
            assert (await stranger.get("/api/tasks", params={"token": shown})).status_code == 401
            await stranger.get(f"/nowhere/{shown}")
        old = await V1Peer.dial(hub.ws_address)
        await old.identify("eve", shown)
        with contextlib.suppress(websockets.WebSocketException):
            async with websockets.connect(f"{hub.ws_address}/ws/feed?token={shown}") as watcher:
                assert json.loads(await watcher.recv()) == {"error": "unauthorized"}
        with contextlib.suppress(websockets.WebSocketException):
            await V1Peer.dial(hub.ws_address, token=shown)


async def test_no_secret_of_anybody_is_found_anywhere(both: tuple[HubProcess, SidecarProcess]) -> None:
    """L40: keys stood in the stream, in the run's input, in a log line."""
    hub, sidecar = both
    heard: list[str] = []
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(feed_of(hub, heard))
        await until(lambda: heard, "the feed has begun")
        answers = []
        for description, state in (("tell", "completed"), ("fail", "failed")):
            pushed = await hub.push("ada", description, plugin="blab", queue=True)
            await hub.becomes(pushed["task_id"], state, "dead_letter")
            async with hub.http() as http:
                for more in ("", "/events", "/log", "/explain"):
                    answers.append((await http.get(f"/api/tasks/{pushed['task_id']}{more}")).text)
        viewer = await hub.token(role="viewer")
        await show_tokens_everywhere(hub, viewer)
        await show_tokens_everywhere(hub, hub.admin_token)
        async with hub.http() as http:
            for path in ("/admin/tokens", "/api/agents", "/api/agents/ada", "/api/tasks", "/metrics"):
                answers.append((await http.get(path)).text)
        watching.cancel()
    texts = "\n".join([*heard, *answers])
    assert texts.count("[redacted]") > 10, "the run has said its key, and something has taken it out"
    assert sidecar.stop() == 0
    assert hub.stop() == 0
    agent_token = (sidecar.folder / "token").read_text()
    for secret in (CANARY, hub.admin_token, viewer, agent_token):
        assert secret not in texts
        found = places_with(secret, hub.folder)
        assert found == (["ada/token"] if secret is agent_token else []), secret[:6]


async def test_all_that_hub_and_sidecar_write_is_for_their_user_alone(
    both: tuple[HubProcess, SidecarProcess],
) -> None:
    """P6: under the usual umask, while both are at work."""
    hub, sidecar = both
    pushed = await hub.push("ada", "tell", plugin="blab", queue=True)
    await hub.becomes(pushed["task_id"], "completed")
    until_true(lambda: any(sidecar.folder.glob("state/**/status.json")), "the status is written")
    hub_files = list((hub.folder / "state").rglob("*"))
    journal = next(sidecar.folder.glob("state/**/journal"))
    names = {path.name for path in hub_files}
    assert {"hub.db", "hub.db-wal", "hub.db-shm", "pepper", "turns.ring"} <= names
    for path in (*hub_files, hub.folder / "state", journal.parent, *journal.parent.iterdir()):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path.name} has mode {mode:o}"
