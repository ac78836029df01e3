"""A token that would travel in the open is not sent without a word about it (W10)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidecar.connect import EXPOSED, Sidecar
from sidecar.line import is_exposed
from sidecar.settings import Settings
from tests.waiting import until


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("ws://127.0.0.1:4000/ws", False),
        ("ws://localhost/ws", False),
        ("ws://[::1]:4000/ws", False),
        ("wss://hub.example.org/ws", False),
        ("ws://hub.example.org/ws", True),
        ("ws://127.0.0.1.example.org/ws", True),
        ("ws://10.0.0.7:4000/ws", True),
    ],
)
def test_only_plain_text_beyond_this_machine_is_exposed(url: str, wanted: bool) -> None:
    assert is_exposed(url) is wanted


async def test_an_exposed_sidecar_says_so_before_it_dials(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(hub_url="ws://hub.invalid:1", agent_id="ada", token="t", state_dir=tmp_path / "state")
    sidecar = Sidecar(settings, said.append)
    sidecar.folder.create()
    sidecar.folder.lock()
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(sidecar.work())
        await until(lambda: len(said) > 2, "it is at work")
        working.cancel()
    sidecar.folder.unlock()
    assert EXPOSED in said
