"""The measurements run and have every figure; what they say is for docs/performance.md, not for a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = "lifecycles,dispatch,progress,idle,crews,matching,batch"
"""All but the page's, which has a test of its own."""


@pytest.mark.timeout(240)
def test_the_bench_measures_everything_it_promises() -> None:
    pytest.importorskip("crewai", reason="crewai is not installed")
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", "--only", PARTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3_000:]
    rows = {row["figure"]: row["median"] for row in map(json.loads, run.stdout.splitlines())}
    for figure in (
        "bare echo round trips, 16 links",
        "bare SQLite commits of 1 row, full",
        "lifecycles in batches, full",
        "lifecycles in batches, normal",
        "lifecycles pushed singly, full",
        "  journal fsyncs in batches, full",
        "push to assign p50",
        "progress frames to a watcher",
        "each idle sidecar adds",
        "RATIO lifecycles in batches, full / bare echo",
        "match, one demand, 200 waiting",
        "RATIO match, a key a task, dearest / cheapest length",
        "RATIO rows of a batch / bare SQLite rows",
        "crew forked: order to first frame",
        "crew spawned: order to first frame",
        "crew forked: private memory with its guard",
        "sidecar after a crew",
    ):
        assert rows[figure] > 0, figure
    assert rows["  left out, with a gap said"] >= 0


def test_an_unknown_part_of_the_bench_is_a_usage_error() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "nonsense"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "nonsense" in run.stderr
