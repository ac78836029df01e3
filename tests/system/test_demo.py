"""`hub demo` as a stranger runs it: it tells what it does, ends well, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from hub.commands.stories import stories
from tests.hub.conftest import ROOT
from tests.waiting import until_true


def demo(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hub.cli", "demo", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pids_in(notes: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"pid (\d+)", notes)]


def told(folder: Path, *words: str) -> tuple[list[dict[str, Any]], str]:
    """What a demonstration that ends well has said: its records, and its notes."""
    run = demo(folder, "--json", *words)
    out, notes = run.communicate(timeout=170)
    assert run.returncode == 0, notes
    assert "page     http://127.0.0.1:" in notes
    pids = pids_in(notes)
    assert len(set(pids)) == 3
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert list(folder.iterdir()) == []
    return [json.loads(line) for line in out.splitlines()], notes


def ends_of(records: list[dict[str, Any]], *, with_crews: bool) -> dict[str, dict[str, Any]]:
    ends = [one for one in records if "story" in one]
    assert [one["as_told"] for one in ends] == [True] * len(stories(with_crews=with_crews))
    return {one["story"]: one["task"] for one in ends}


@pytest.mark.timeout(180)
def test_the_demonstration_ends_well_and_leaves_nothing(tmp_path: Path) -> None:
    """Three processes, live output, a proven cancellation, exit 0; here without crews."""
    records, _ = told(tmp_path, "--no-crew")
    tasks = ends_of(records, with_crews=False)
    killed = tasks["ignore the polite request to stop"]
    assert (killed["ending"]["stopped"], killed["ending"]["proof"]["survivors"]) == ("killed", 0)
    events = {one["event"] for one in records if "event" in one}
    assert {"task_queued", "task_progress", "task_requeued", "task_failed", "task_cancelled"} <= events


@pytest.mark.timeout(180)
def test_the_demonstration_shows_crews_at_work_asked_and_stopped(tmp_path: Path) -> None:
    """The digest streams its three agents, a person is asked, two crews are stopped with proof."""
    pytest.importorskip("crewai", reason="crewai is not installed")
    records, notes = told(tmp_path)
    tasks = ends_of(records, with_crews=True)
    digest = tasks["three agents write today's digest"]
    assert digest["result"]["summary"]
    assert digest["result"]["sections"]
    talk = [one for one in records if one.get("task_id") == digest["task_id"]]
    kinds = {one["payload"].get("kind") for one in talk if one.get("event") == "task_log"}
    assert {"task", "agent", "model", "chunk"} <= kinds
    agents = {(one["payload"].get("data") or {}).get("agent") for one in talk if "payload" in one}
    assert len(agents - {None}) == 3
    usage = [one["payload"]["tokens_out"] for one in talk if one.get("event") == "task_usage"]
    assert usage == sorted(usage)
    assert usage[-1] > 0
    progress = [one["payload"].get("progress") or 0 for one in talk if one.get("event") == "task_progress"]
    assert progress == sorted(progress)
    assert "a person answers" in notes
    cooperative = tasks["a crew that talks too long is asked to stop"]["ending"]
    assert (cooperative["stopped"], cooperative["proof"]["signals"]) == ("cooperative", [])
    deaf = tasks["a crew that hears nothing any more is killed"]["ending"]
    assert (deaf["stopped"], deaf["proof"]["survivors"]) == ("killed", 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_demonstration_that_stays_is_ended_by_a_signal_and_cleans_up(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    run = demo(tmp_path, "--stay", "--no-crew")
    assert run.stderr is not None
    notes = ""
    while "Ctrl-C ends it" not in notes:
        line = run.stderr.readline()
        assert line, notes
        notes += line
    assert re.search(r"log in with huba_\w+", notes)
    run.send_signal(number)
    run.communicate(timeout=50)
    assert run.returncode == code
    until_true(lambda: not any(psutil.pid_exists(pid) for pid in pids_in(notes)), "all processes are gone")
    assert list(tmp_path.iterdir()) == []


def test_a_story_is_true_only_with_its_ending_and_its_proof() -> None:
    cancelled = next(story for story in stories(with_crews=False) if story.is_cancelled)
    proof = {"signals": ["TERM", "KILL"], "reaped": 1, "survivors": 0}
    task = {"state": "cancelled", "attempt": 0, "ending": {"proof": proof, "stopped": "killed"}}
    assert cancelled.is_true_of(task)
    assert not cancelled.is_true_of(
        {**task, "ending": {"proof": {**proof, "survivors": 1}, "stopped": "killed"}}
    )
    assert not cancelled.is_true_of({**task, "ending": {"proof": proof, "stopped": "cooperative"}})
    assert not cancelled.is_true_of({**task, "ending": {}})
    again = next(story for story in stories(with_crews=False) if story.attempts_max > 1)
    assert again.is_true_of({"state": "completed", "attempt": 1, "ending": {}})
    assert not again.is_true_of({"state": "completed", "attempt": 0, "ending": {}})
    assert not again.is_true_of({"state": "failed", "attempt": 1, "ending": {}})
