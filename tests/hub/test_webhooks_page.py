"""docs/integrations.md, "Webhooks": its tables are taken, and its program starts a task as it stands."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from hub.inner.agent import ERROR_LENGTH_MAX
from hub.webhooks.calls import ANSWER_SHARE, TRY_AGAIN
from hub.webhooks.signing import AGE_S_MAX, KEY_BYTES_MIN
from protocol import limits
from tests.hub.caller import SECRET
from tests.hub.conftest import ROOT

SECTION = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8").split("\n## Webhooks\n")[1]
SECTION = SECTION.split("\n## ")[0]


def block(kind: str) -> str:
    found = re.findall(rf"```{kind}\n(.*?)```", SECTION, re.DOTALL)
    assert len(found) == 1, f"one block of {kind}"
    return str(found[0])


async def test_the_program_of_the_page_starts_a_task_by_its_tables(
    start_hub: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWS_SECRET", SECRET)
    monkeypatch.setenv("INVOICE_SECRET", SECRET)
    hub = await start_hub(**tomllib.loads(block("toml")))
    environ = {**os.environ, "HUB_URL": hub.address}
    command = [sys.executable, "-c", block("python")]
    ran = await asyncio.to_thread(
        lambda: subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    )
    assert ran.returncode == 0, ran.stderr
    found = re.search(r"task-[0-9a-f]{16}", ran.stdout)
    assert found is not None, ran.stdout
    task = await hub.task(found[0])
    assert (task["description"], task["inputs"]) == ("News for Blue", {"topics": ["sea"]})
    assert (await hub.agent("hub:webhooks"))["plugins"] == ["invoice"]


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    assert KEY_BYTES_MIN == 32
    assert AGE_S_MAX == 5 * 60
    assert limits.ACCEPT_MS * ANSWER_SHARE == 8_000
    assert limits.RESULT_BYTES_MAX == 256 * limits.KIB
    assert all(str(status) in SECTION for status in TRY_AGAIN)
    assert ERROR_LENGTH_MAX < limits.TEXT_LENGTH_MAX
