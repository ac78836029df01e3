"""docs/webhooks.md: its receiver works as it stands, and its figures and commands are those of the code."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click

from hub.api.views_webhooks import DELIVERY_PREFIX
from hub.cli import root
from hub.notices import fanout, keys, patience, sending
from hub.store import webhook_log, webhooks
from hub.webhooks import posting
from tests.hub.conftest import ROOT, RunningHub, free_port
from tests.hub.noticed import add, asked, comes_to

PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
UNITS_MS = {"s": 1_000, "min": 60_000, "h": 3_600_000}


def block(kind: str, number: int = 0) -> str:
    return str(re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[number])


async def test_the_receiver_of_the_page_believes_a_notice(start_hub: Callable[..., Any]) -> None:
    hub: RunningHub = await start_hub(hooks_allow_private=True)
    port = free_port()
    webhook = await add(hub, f"http://127.0.0.1:{port}/")
    environ = {**os.environ, "CREWHUB_SECRET": webhook["secret"], "PORT": str(port)}
    command = (sys.executable, "-c", block("python"))
    receiver = await asyncio.create_subprocess_exec(
        *command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert (await asked(hub, "POST", f"/{webhook['webhook_id']}/test")).status_code == 202
        assert receiver.stdout is not None
        async with asyncio.timeout(60):  # it may be called before it listens: then it is called again
            line = (await receiver.stdout.readline()).decode()
        await comes_to(hub, webhook, lambda one: one["pending"] == 0)
    finally:
        receiver.kill()
        await receiver.communicate()
    assert line.split() == ["crewhub.test", webhook["webhook_id"]]


def test_every_command_of_the_page_exists() -> None:
    lines = [*block("bash").splitlines(), *block("bash", 1).splitlines()]
    spoken = [line.split("#")[0].split() for line in lines if line]
    assert len(spoken) == 6
    for words in spoken:
        group = root.get_command(click.Context(root), words[1])
        assert isinstance(group, click.Group)
        command = group.get_command(click.Context(group), words[2])
        assert command is not None, words
        known = {option for parameter in command.params for option in parameter.opts}
        assert not {word for word in words if word.startswith("-")} - known, words


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    said = re.search(r"again after\s+(.*?), each up to", PAGE, re.DOTALL)
    assert said is not None
    pauses = re.findall(r"(\d+) (s|min|h)", said[1])
    assert tuple(int(number) * UNITS_MS[unit] for number, unit in pauses) == patience.PAUSES_MS
    assert f"{patience.TRIES_MAX} tries" in PAGE
    assert patience.JITTER == 1 / 5
    assert patience.FAILING_MAX_MS == 5 * 86_400_000
    assert posting.TOTAL_S == 10
    assert posting.RETRY_AFTER_S_MAX == 3_600
    assert f"{fanout.PENDING_MAX:,} deliveries" in PAGE
    assert f"{sending.CALLS_MAX} are under way" in PAGE
    assert f"at most {sending.CALLS_UNWELL_MAX} to" in PAGE
    assert sending.CALLS_EACH_MAX == 2
    assert f"{sending.ANSWER_BYTES_MAX // 1_024} KiB are read" in PAGE
    assert f"first {sending.ANSWER_KEPT_MAX:,} characters" in PAGE
    assert f"kept for {webhook_log.LOG_KEPT_MS // 86_400_000} days" in PAGE
    assert f"at most {webhooks.RECEIVERS_MAX} webhooks" in PAGE
    assert f"for {keys.EXCHANGE_MS // 3_600_000} hours both sign" in PAGE
    assert f"`hub webhooks deliveries {DELIVERY_PREFIX}" in PAGE.replace("\nhub", "\n`hub")
