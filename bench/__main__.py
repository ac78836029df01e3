"""`./dev bench`: every figure beside the raw limit of the same run, interleaved, medians with their spread.

Owns the order (A B A B …), the table and the JSON. What bounds each figure is told in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from bench.batch import ROWS_A_TASK, bare_row_rate, batch_seconds
from bench.children import echo_server
from bench.commits import commits_a_second, fsync_s
from bench.dispatch import progress_to_watcher, push_to_assign
from bench.echo import idle_latencies, round_trips
from bench.idle import memory_of_idle
from bench.lifecycles import Lifecycles, lifecycles
from bench.matching import SHAPES, match_costs

PARTS = ("lifecycles", "dispatch", "progress", "idle", "crews", "matching", "batch", "page")


@dataclass(slots=True)
class Figures:
    """Named series of measurements; a row shows the median and the spread."""

    series: dict[str, list[float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str) -> None:
        self.series.setdefault(name, []).append(value)
        self.units[name] = unit

    def median(self, name: str) -> float:
        return statistics.median(self.series[name])

    def rows(self) -> list[dict[str, object]]:
        return [
            {
                "figure": name,
                "median": round(self.median(name), 4),
                "min": round(min(values), 4),
                "max": round(max(values), 4),
                "unit": self.units[name],
                "runs": len(values),
            }
            for name, values in self.series.items()
        ]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything one run measures."""

    rounds: int
    tasks: int
    single_tasks: int
    seconds: float
    pushes: int
    frames: int
    sidecars: int
    crews: int
    agents: int
    matched_agents: int
    batch: int
    queues: tuple[int, ...]
    matches: int
    events_a_minute: int
    page_s: float
    page_warm_s: float
    """Longer than a task of the crowd runs."""


FULL = Size(
    rounds=3,
    tasks=10_000,
    single_tasks=2_000,
    seconds=3.0,
    pushes=200,
    frames=20_000,
    sidecars=2_000,
    crews=10,
    matched_agents=1_000,
    batch=5_000,
    queues=(100, 1_000, 10_000, 100_000),
    matches=200,
    agents=500,
    events_a_minute=10_000,
    page_s=300,
    page_warm_s=25,
)
QUICK = Size(
    rounds=1,
    tasks=200,
    single_tasks=50,
    seconds=0.3,
    pushes=10,
    frames=500,
    sidecars=50,
    crews=1,
    matched_agents=20,
    batch=100,
    queues=(20, 200),
    matches=10,
    agents=50,
    events_a_minute=2_000,
    page_s=20,
    page_warm_s=3,
)


def in_folder(measure: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="crewhub-bench-") as folder:
        measure(Path(folder))


def note(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def measure_lifecycles(figures: Figures, size: Size) -> None:
    for number in range(size.rounds):
        note(f"lifecycles, round {number + 1} of {size.rounds}")
        in_folder(partial(raw_limits, figures, size))
        for durability in ("full", "normal"):
            in_folder(partial(one_lifecycle, figures, size, durability, 1_000))
        in_folder(partial(one_lifecycle, figures, size, "full", 0))
    ratio = figures.median("lifecycles in batches, full") / figures.median("bare echo round trips, 16 links")
    figures.add("RATIO lifecycles in batches, full / bare echo", ratio, "(goal: at least 0.10)")


def raw_limits(figures: Figures, size: Size, folder: Path) -> None:
    with echo_server(folder) as url:
        figures.add("bare echo round trips, 1 link", round_trips(url, 1, size.seconds), "a second")
        figures.add("bare echo round trips, 16 links", round_trips(url, 16, size.seconds), "a second")
    for durability in ("full", "normal"):
        one = commits_a_second(folder, durability, 1, size.seconds / 3)
        figures.add(f"bare SQLite commits of 1 row, {durability}", one, "a second")
        many = commits_a_second(folder, durability, 512, size.seconds / 3) * 512
        figures.add(f"bare SQLite rows in commits of 512, {durability}", many, "a second")


def one_lifecycle(figures: Figures, size: Size, durability: str, batch: int, folder: Path) -> None:
    tasks = size.tasks if batch else size.single_tasks
    found: Lifecycles = lifecycles(folder, tasks=tasks, batch=batch, durability=durability)
    name = f"in batches, {durability}" if batch else f"pushed singly, {durability}"
    figures.add(f"lifecycles {name}", found.a_second, "a second")
    if durability == "full":
        figures.add(f"  hub commits {name}", found.hub_commits, "a lifecycle")
        figures.add(f"  journal fsyncs {name}", found.journal_syncs, "a lifecycle")
        figures.add(f"  hub CPU {name}", found.hub_cpu_us, "us a lifecycle")
        figures.add(f"  sidecar CPU {name}", found.sidecar_cpu_us, "us a lifecycle")


def measure_dispatch(figures: Figures, size: Size) -> None:
    for number in range(size.rounds):
        note(f"dispatch, round {number + 1} of {size.rounds}")
        in_folder(partial(one_dispatch, figures, size))
    over = (
        figures.median("push to assign p50") - figures.median("bare echo p50") - figures.median("one fsync")
    )
    figures.add("OVER bare echo and one fsync, p50", over, "ms (goal: at most 3)")


def one_dispatch(figures: Figures, size: Size, folder: Path) -> None:
    with echo_server(folder) as url:
        figures.add("bare echo p50", statistics.median(idle_latencies(url, size.pushes)) * 1e3, "ms")
    figures.add("one fsync", fsync_s(folder) * 1e3, "ms")
    found = sorted(push_to_assign(folder, times=size.pushes, durability="full"))
    figures.add("push to assign p50", statistics.median(found) * 1e3, "ms")
    figures.add("push to assign p99", found[int(len(found) * 0.99)] * 1e3, "ms")


def measure_progress(figures: Figures, size: Size) -> None:
    for number in range(size.rounds):
        note(f"progress, round {number + 1} of {size.rounds}")

        def once(folder: Path) -> None:
            rate, left_out = progress_to_watcher(folder, frames=size.frames)
            figures.add("progress frames to a watcher", rate, "a second")
            figures.add("  left out, with a gap said", left_out, f"of {size.frames}")

        in_folder(once)


def measure_idle(figures: Figures, size: Size) -> None:
    note(f"{size.sidecars} idle sidecars")

    def once(folder: Path) -> None:
        empty, each = memory_of_idle(folder, count=size.sidecars)
        figures.add("hub without sidecars", empty / 1024, "MiB")
        figures.add("each idle sidecar adds", each, "KiB")

    in_folder(once)


def measure_crews(figures: Figures, size: Size) -> None:
    from bench.crews import memory_of_a_sidecar, starts

    note(f"{size.crews} crews forked and {size.crews} spawned, in turns")

    def once(folder: Path) -> None:
        found = starts(folder, rounds=size.crews)
        for name, timed in (("forked", found.forked), ("spawned", found.spawned)):
            for first, whole in zip(timed.first, timed.whole, strict=True):
                figures.add(f"crew {name}: order to first frame", first * 1e3, "ms")
                figures.add(f"crew {name}: order to result", whole * 1e3, "ms")
        figures.add("crew forked: private memory with its guard", found.forked_kib / 1024, "MiB (goal: 40)")
        figures.add("crew spawned: private memory with its guard", found.spawned_kib / 1024, "MiB")

    in_folder(once)
    first = "order to first frame"
    ratio = figures.median(f"crew forked: {first}") / figures.median(f"crew spawned: {first}")
    figures.add(f"RATIO crew forked / spawned, {first}", ratio, "(goal: at most 0.10)")
    whole = figures.median("crew forked: order to result") / figures.median("crew spawned: order to result")
    figures.add("RATIO crew forked / spawned, order to result", whole, "")
    in_folder(lambda folder: figures.add("sidecar after a crew", memory_of_a_sidecar(folder) / 1024, "MiB"))


def measure_matching(figures: Figures, size: Size) -> None:
    for shape in SHAPES:
        for number in range(size.rounds):
            note(f"matching, {shape}, round {number + 1} of {size.rounds}")
            found = match_costs(shape, agents=size.matched_agents, lengths=size.queues, times=size.matches)
            medians = {length: statistics.median(seconds) * 1e6 for length, seconds in found.items()}
            for length, median in medians.items():
                figures.add(f"match, {shape}, {length:,} waiting", median, "us")
            figures.add(
                f"RATIO match, {shape}, dearest / cheapest length",
                max(medians.values()) / min(medians.values()),
                "(goal: at most 2)",
            )


def measure_page(figures: Figures, size: Size) -> None:
    from bench.page import figures_of, live_view

    note(f"the page: {size.agents} agents, {size.events_a_minute} events a minute, for {size.page_s:g} s")

    def once(folder: Path) -> None:
        seen = live_view(
            folder,
            agents=size.agents,
            events_a_minute=size.events_a_minute,
            seconds=size.page_s,
            warm_s=size.page_warm_s,
        )
        figures_of(seen, figures.add)

    in_folder(once)


def measure_batch(figures: Figures, size: Size) -> None:
    for number in range(size.rounds):
        note(f"a batch of {size.batch}, round {number + 1} of {size.rounds}")
        in_folder(partial(one_batch, figures, size))
    bare = figures.median("bare SQLite rows, 512 a commit")
    ratio = figures.median("rows of a batch, with all indexes") / bare
    figures.add("RATIO rows of a batch / bare SQLite rows", ratio, "(goal: at least 0.20)")


def one_batch(figures: Figures, size: Size, folder: Path) -> None:
    """Bare rows before and after, so that the disk of the moment is the same for both."""
    bare = partial(bare_row_rate, folder, rows=512, seconds=size.seconds / 3)
    figures.add("bare SQLite rows, 512 a commit", bare(), "a second")
    for seconds in batch_seconds(folder, tasks=size.batch, batches=size.rounds):
        figures.add(f"a batch of {size.batch} tasks, durable", size.batch / seconds, "tasks a second")
        rows = ROWS_A_TASK * size.batch / seconds
        figures.add("rows of a batch, with all indexes", rows, "a second")
    figures.add("bare SQLite rows, 512 a commit", bare(), "a second")


MEASURES = {
    "batch": measure_batch,
    "lifecycles": measure_lifecycles,
    "dispatch": measure_dispatch,
    "progress": measure_progress,
    "idle": measure_idle,
    "crews": measure_crews,
    "matching": measure_matching,
    "page": measure_page,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to see that it works")
    parser.add_argument("--only", help=f"some of: {', '.join(PARTS)}", default=",".join(PARTS))
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    parser.add_argument("--minutes", type=float, help="how long the page is looked at (5)")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    if arguments.minutes is not None:
        size = replace(size, page_s=arguments.minutes * 60)
    figures = Figures()
    for name in arguments.only.split(","):
        if name not in MEASURES:
            parser.error(f"{name!r} is none of {', '.join(PARTS)}")
        MEASURES[name](figures, size)
    for row in figures.rows():
        if arguments.json:
            print(json.dumps(row))
        else:
            print(
                f"{row['figure']:<58} {row['median']:>14,} {row['unit']}   ({row['min']:,} to {row['max']:,})"
            )


if __name__ == "__main__":
    main()
