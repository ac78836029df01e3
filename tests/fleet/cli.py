"""`./dev fleet --tasks N --sidecars M`: many real sidecars, many tasks, ordinary trouble, and a verdict.

Owns the words of the command line and the report. Says how long it took and asserts nothing about that.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from hub.checker import RULES
from hub.clock import monotonic_s
from tests.fleet.stage import FleetStage, Outcome, Size

SHOWN_MAX = 20
"""Violations printed; all are counted."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev fleet", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--sidecars", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="what is asked for, and what is disturbed")
    parser.add_argument("--keep", metavar="FOLDER", help="keep the histories and logs here")
    chosen = parser.parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if chosen.seed is None else chosen.seed
    print(f"fleet: seed {seed}, {chosen.tasks} tasks over {chosen.sidecars} sidecars", flush=True)
    return 0 if play(Size(chosen.tasks, chosen.sidecars, seed), chosen.keep) else 1


def play(size: Size, keep: str | None) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="crewhub-fleet-"))
    begun = monotonic_s()
    is_clean = False
    try:
        outcome = asyncio.run(FleetStage(folder, size).play())
        is_clean = outcome.verdict.is_clean and not outcome.broken
        report(outcome, monotonic_s() - begun)
    finally:
        if keep or not is_clean:
            kept = Path(keep or tempfile.gettempdir()) / f"fleet-{size.seed}"
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            print(f"  histories and logs: {kept}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    return is_clean


def report(outcome: Outcome, seconds: float) -> None:
    verdict, figures = outcome.verdict, outcome.verdict.figures
    states = ", ".join(f"{count} {state}" for state, count in sorted(outcome.states.items()) if count)
    blows = ", ".join(f"{count} {what}" for what, count in sorted(outcome.blows.items()))
    print(f"  in {seconds:.0f} s: {states}")
    print(f"  trouble: {blows}; {outcome.declined} orders declined")
    print(
        f"  starts {figures['starts']}, repeated executions {figures['waste']}, records {figures['records']}"
    )
    print(f"  violations {sum(verdict.counts.values())}, slots and priorities broken {len(outcome.broken)}")
    for rule, count in verdict.counts.items():
        print(f"  {rule} {RULES[rule]}: broken {count} times")
    for violation in verdict.violations[:SHOWN_MAX]:
        print(f"    {violation.rule} {violation.task or ''} {violation.sentence}")
    for one in outcome.broken[:SHOWN_MAX]:
        print(f"    {one.rule}: {one.sentence}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
