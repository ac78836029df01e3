"""The page under load: it runs and has every figure; what they say is in docs/performance.md."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.crowd import EVENTS_OF_A_TASK, TALK
from bench.page import Seen, figures_of, percentile
from tests.page.checking import ROOT


@pytest.mark.timeout(240)
def test_the_page_is_measured_while_agents_work() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", "--only", "page"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3_000:]
    rows = {row["figure"]: row["median"] for row in map(json.loads, run.stdout.splitlines())}
    for figure in (
        "events shown",
        "main thread at work",
        "heap at first",
        "heap at last",
        "event to frame, p95",
    ):
        assert rows[f"page: {figure}"] > 0, figure
    for figure in ("gaps said", "longest task of all", "wait for the main thread, p99"):
        assert rows[f"page: {figure}"] >= 0, figure
    assert "page: heap growth" in rows


def test_a_second_is_as_bad_as_its_longest_task() -> None:
    seen = Seen(seconds=4, long_tasks=[(1_000, 60), (1_900, 80), (3_100, 70), (9_000, 55)])
    assert seen.longest_of_each_second() == [80, 0, 70, 55]
    assert Seen(seconds=2).longest_of_each_second() == [0, 0]


def test_memory_that_grows_is_said_in_each_minute_and_one_peak_is_not_growth() -> None:
    assert Seen(heaps=[3, 3, 9, 3, 3, 3]).growth() == 0
    assert Seen(heaps=[1, 2, 3, 4, 5, 6, 7, 8, 9]).growth() == pytest.approx(6 * 1024 / 1.5)
    assert Seen(heaps=[5]).growth() == 0


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3, 1, 2, 100], 0.5) == 3
    assert percentile(list(range(100)), 0.95) == 95
    assert percentile([], 0.95) == 0


def test_the_figures_are_for_each_minute() -> None:
    found: dict[str, float] = {}
    seen = Seen(seconds=120, lags=[5.0] * 100, long_tasks=[(1, 60), (2, 61)], heaps=[1], gaps=2)
    figures_of(seen, lambda name, value, unit: found.update({name: value}))
    assert (found["page: events shown"], found["page: tasks over 50 ms"]) == (50, 1)
    assert (found["page: gaps said"], found["page: longest task of all"]) == (2, 61)


def test_a_task_of_the_crowd_makes_as_many_events_as_the_pace_counts_on() -> None:
    """Queued, assigned, accepted and ended, beside what it says."""
    assert len(TALK) + 4 == EVENTS_OF_A_TASK
