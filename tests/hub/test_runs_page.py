"""docs/integrations.md, "Runs": its examples work as they stand, and its figures are the code's."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from hub.api.views_runs import RunView
from hub.core.runs import RUN_ATTEMPTS, RUN_MS, SUMMARY_LENGTH_MAX, UNIQUE_MS, RunStatus
from hub.runs.vault import KEYS_BYTES_MAX
from hub.settings import DAY, Settings
from tests.hub.conftest import ROOT, RunningHub
from tests.hub.typing_hands import PATIENCE_S, environment

PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Runs\n")[2].partition("\n## ")[0]
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("running_hub", [{"plugins": ("shipped",)}], indirect=True)
async def test_the_examples_work_as_they_stand(running_hub: RunningHub) -> None:
    assert len(EXAMPLES) == 2
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    for example in EXAMPLES:
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", example),
            env=environment(running_hub, PATH=path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=os.environ["HOME"],
        )
        async with asyncio.timeout(PATIENCE_S):
            out, err = await shell.communicate()
        assert shell.returncode == 0, err.decode()
        assert b"plugin_run_id" in out
    async with running_hub.http() as http:
        assert (await http.get("/api/runs", params={"user_id": 7})).json()["count"] == len(EXAMPLES)


def test_its_figures_are_those_of_the_code() -> None:
    assert (RUN_ATTEMPTS, RUN_MS, UNIQUE_MS, SUMMARY_LENGTH_MAX) == (3, 600_000, 1_800_000, 300)
    assert KEYS_BYTES_MAX == 4 * 1024
    assert (Settings().runs_by, Settings().runs_kept_ms) == ("fleet", DAY)
    assert all(f"`{status.value}`" in SECTION for status in RunStatus)


def test_every_member_that_it_names_is_one_of_a_run() -> None:
    rows = re.findall(r"^\| (`.+?) \|", SECTION, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 8
    assert named <= set(RunView.__struct_fields__)
