"""`hub demo` as a stranger runs it: it tells what it does, ends well, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hub.commands.stories import STORIES
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


def test_the_demonstration_ends_well_and_leaves_nothing(tmp_path: Path) -> None:
    """Show 1: three processes, live output, a proven cancellation, exit 0."""
    run = demo(tmp_path, "--json")
    out, notes = run.communicate(timeout=55)
    assert run.returncode == 0, notes
    records = [json.loads(line) for line in out.splitlines()]
    ends = [one for one in records if "story" in one]
    assert [one["as_told"] for one in ends] == [True] * len(STORIES)
    killed = next(one["task"] for one in ends if one["task"]["state"] == "cancelled")
    assert (killed["ending"]["stopped"], killed["ending"]["proof"]["survivors"]) == ("killed", 0)
    events = {one["event"] for one in records if "event" in one}
    assert {"task_queued", "task_progress", "task_requeued", "task_failed", "task_cancelled"} <= events
    assert "page     http://127.0.0.1:" in notes
    pids = pids_in(notes)
    assert len(set(pids)) == 3
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_demonstration_that_stays_is_ended_by_a_signal_and_cleans_up(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    run = demo(tmp_path, "--stay")
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
    cancelled = next(story for story in STORIES if story.is_cancelled)
    proof = {"signals": ["TERM", "KILL"], "reaped": 1, "survivors": 0}
    task = {"state": "cancelled", "attempt": 0, "ending": {"proof": proof}}
    assert cancelled.is_true_of(task)
    assert not cancelled.is_true_of({**task, "ending": {"proof": {**proof, "survivors": 1}}})
    assert not cancelled.is_true_of({**task, "ending": {}})
    again = next(story for story in STORIES if story.attempts_max > 1)
    assert again.is_true_of({"state": "completed", "attempt": 1, "ending": {}})
    assert not again.is_true_of({"state": "completed", "attempt": 0, "ending": {}})
    assert not again.is_true_of({"state": "failed", "attempt": 1, "ending": {}})
