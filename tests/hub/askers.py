"""Whoever asks a hub for runs of plugins: what tests of runs begin with.

Owns the short ways to a folder of plugins, to asking and to a run's end. Knows only what contracts §2 and §3
say.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from tests.hub.peers import V2Peer

DIGEST = "daily-news-digest"
TOPICS = {"topics": ["space"], "summary_length": "short"}
BRIEFING = {"summary": "All is well.", "sections": [{"title": "Space", "content": "Still there."}]}

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "words": {"type": "array", "items": {"type": "string"}}},
    "additionalProperties": False,
}


def make_plugin(folder: Path, name: str, manifest: str = "", schema: object = SCHEMA) -> Path:
    """A plugin whose documents are in order; nobody here ever runs its crew."""
    plugin = folder / name
    (plugin / "crew").mkdir(parents=True)
    (plugin / "plugin.yaml").write_text(manifest or f'name: {name}\nversion: "1.0.0"\n')
    (plugin / "settings.schema.json").write_text(json.dumps(schema))
    (plugin / "crew" / "crew.py").write_text("raise SystemExit('a hub imports no plugin')\n")
    return plugin


async def ask(
    http: httpx.AsyncClient,
    settings: Any = TOPICS,
    *,
    user_id: Any = 7,
    plugin: str = DIGEST,
    **more: Any,
) -> httpx.Response:
    body = {"user_id": user_id, "settings": settings, **more}
    return await http.post(f"/api/plugins/{plugin}/runs", json=body)


async def run_of(http: httpx.AsyncClient, plugin_run_id: str) -> dict[str, Any]:
    answer = await http.get(f"/api/runs/{plugin_run_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def run_becomes(http: httpx.AsyncClient, plugin_run_id: str, *statuses: str) -> dict[str, Any]:
    """The run, once it has one of these statuses."""
    async with asyncio.timeout(60):
        while (run := await run_of(http, plugin_run_id))["status"] not in statuses:
            pass  # asking again is the pause
    return run


async def worked(peer: V2Peer, result: Any) -> dict[str, Any]:
    """The next order, done with this result."""
    assigned = await peer.hear("task_assign")
    assert (await peer.work(assigned, result))["status"] == "complete"
    return assigned


async def failed(peer: V2Peer, error: str, *, retryable: bool = False) -> dict[str, Any]:
    """The next order, accepted and failed."""
    assigned = await peer.hear("task_assign")
    await peer.say(
        peer.fact("task_accepted", assigned),
        peer.fact("task_failed", assigned, error=error, retryable=retryable, retry_after_ms=1),
    )
    await peer.hear("task_ack")
    await peer.hear("task_ack")
    return assigned
