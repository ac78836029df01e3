"""The simulation from the command line: `sim`, `replay`, `mutants`, and `hunt`, under which a mutant is run.

Owns running many seeds on every core and what is printed of them: schedules a second, the count of every
transition and fault kind, and for a failure its seed, the commit and the end of its trace. Never knows what
is simulated.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from hub.clock import monotonic_s
from tests.simulation.coverage import Tally
from tests.simulation.ending import everything_was_reached
from tests.simulation.invariants import Broken
from tests.simulation.world import World

SEEDS_A_CHUNK: Final = 20
TRACE_LINES: Final = 60
FAILURES_SHOWN_MAX: Final = 3
RUNS_FOR_EVERYTHING: Final = 10_000
"""From this many schedules on, a transition or a fault kind that was never hit is a failure (invariant
34)."""


class Failure(NamedTuple):
    seed: int
    is_heavy: bool
    why: str
    trace: str


class Chunk(NamedTuple):
    seeds: range
    is_heavy: bool


def run_seed(seed: int, *, heavy: bool, plain: bool = False) -> Tally | Failure:
    """One schedule. Whatever goes wrong in it, of ours or of the world's, is a failure with its trace."""
    world = World(seed, heavy=heavy, plain=plain)
    try:
        return world.run()
    except Broken as broken:
        why = str(broken)
    except Exception as error:  # noqa: BLE001  whatever a seed brings up is that seed's failure
        why = f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error)[-6:])}"
    return Failure(seed, heavy, why, world.scheduler.read_trace(TRACE_LINES))


def run_chunk(chunk: Chunk) -> tuple[Tally, list[Failure]]:
    """Some schedules in one process."""
    tally, failures = Tally(), []
    for seed in chunk.seeds:
        outcome = run_seed(seed, heavy=chunk.is_heavy)
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            tally.add(outcome)
    return tally, failures


def _chunks(first: int, count: int, *, heavy: bool) -> Iterator[Chunk]:
    for start in range(first, first + count, SEEDS_A_CHUNK):
        yield Chunk(range(start, min(start + SEEDS_A_CHUNK, first + count)), heavy)


def sim(first: int, count: int, *, heavy: bool, workers: int) -> int:
    """Run many seeds; 0 when every invariant held in all of them and, with enough of them, everything was
    reached."""
    began_s = monotonic_s()
    total, failures = Tally(), []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for tally, failed in pool.map(run_chunk, _chunks(first, count, heavy=heavy)):
            total.add(tally)
            failures += failed
    _report(total, failures, monotonic_s() - began_s, workers)
    if failures:
        return 1
    try:
        everything_was_reached(total, runs_min=RUNS_FOR_EVERYTHING)
    except Broken as broken:
        print(broken)
        return 1
    return 0


def _report(total: Tally, failures: list[Failure], took_s: float, workers: int) -> None:
    print(total.report())
    runs = total.runs + len(failures)
    print(
        f"{runs:,} schedules in {took_s:.1f} s: {runs / took_s:.0f}/s on {workers} processes, "
        f"{total.events:,} steps, {total.commits:,} commits, {total.starts:,} executions, "
        f"{total.virtual_ms / 3_600_000:.0f} virtual hours; {len(failures)} violations"
    )
    for failure in failures[:FAILURES_SHOWN_MAX]:
        _show(failure)
    for failure in failures:
        print(f"seed {failure.seed}{' --heavy' if failure.is_heavy else ''}: {failure.why.splitlines()[0]}")


def _show(failure: Failure) -> None:
    print(f"\n=== seed {failure.seed}{' --heavy' if failure.is_heavy else ''} at commit {_commit()}")
    print(failure.trace)
    print(failure.why)


def _commit() -> str:
    try:
        said = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "unknown"
    return said.stdout.strip() or "unknown"


def replay_seed(seed: int, *, heavy: bool, plain: bool) -> int:
    """One schedule with its whole trace."""
    world = World(seed, heavy=heavy, plain=plain)
    world.scheduler.on_trace = print
    print(world.plan)
    try:
        tally = world.run()
    except Broken as broken:
        print(f"seed {seed}: {broken}")
        return 1
    print(f"seed {seed}: every invariant held, {tally.events} steps, {world.scheduler.now_ms} virtual ms")
    return 0


def hunt(count: int, *, heavy: bool) -> int:
    """Run seeds until one fails, and say so in one line that `mutation.py` reads."""
    for seed in range(count):
        outcome = run_seed(seed, heavy=heavy)
        if isinstance(outcome, Failure):
            print(f"killed {seed + 1} {outcome.why.splitlines()[0]}")
            return 0
    print("survived")
    return 0


def mutants(only: str | None, *, smoke: bool, workers: int) -> int:
    """Every mutant has to be killed, or to survive as its entry says."""
    from tests.simulation import mutation

    chosen = [mutant for mutant in mutation.read_mutants() if only is None or only in mutant.name]
    if smoke:
        chosen = [mutant for mutant in chosen if mutant.expect == "killed"][:3]
    verdicts = mutation.judge_all(tuple(chosen), schedules=mutation.SCHEDULES, workers=workers)
    surprises = [verdict for verdict in verdicts if not verdict.is_as_expected]
    killed = sorted(verdict.schedules for verdict in verdicts if verdict.killed_by is not None)
    median = killed[len(killed) // 2] if killed else 0
    print(
        f"{len(verdicts)} mutants, {len(killed)} killed (median {median} schedules), "
        f"{len(surprises)} surprises"
    )
    return 1 if surprises else 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev", description="The simulated world.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    simulate = verbs.add_parser("sim", help="run many seeds")
    simulate.add_argument("--seeds", type=int, default=1_000)
    simulate.add_argument("--first", type=int, default=0)
    simulate.add_argument("--heavy", action="store_true")
    simulate.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    again = verbs.add_parser(
        "replay", help="run one seed, or a file of turns of a real hub, and show everything"
    )
    again.add_argument("what")
    again.add_argument("--heavy", action="store_true")
    again.add_argument("--plain", action="store_true", help="with nothing asked of the queue")
    hunting = verbs.add_parser("hunt", help="run seeds until one fails")
    hunting.add_argument("--seeds", type=int, default=1_000)
    hunting.add_argument("--heavy", action="store_true")
    mutating = verbs.add_parser("mutants", help="break one rule at a time and demand that it is noticed")
    mutating.add_argument("--only")
    mutating.add_argument("--smoke", action="store_true")
    mutating.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run one verb."""
    chosen = _arguments(sys.argv[1:] if argv is None else argv)
    match chosen.verb:
        case "sim":
            return sim(chosen.first, chosen.seeds, heavy=chosen.heavy, workers=chosen.workers)
        case "replay" if chosen.what.isdigit():
            return replay_seed(int(chosen.what), heavy=chosen.heavy, plain=chosen.plain)
        case "replay":
            from tests.simulation.turns import replay_file

            return replay_file(Path(chosen.what))
        case "hunt":
            return hunt(chosen.seeds, heavy=chosen.heavy)
        case _:
            return mutants(chosen.only, smoke=chosen.smoke, workers=chosen.workers)


if __name__ == "__main__":
    raise SystemExit(main())
