"""`./dev chaos --kills N`: kill real processes under load, and let the checker judge what they wrote down.

Owns the words of the command line and the report. Half of the kills hit hubs alone, where each task must run
exactly once; the other half hits everything.
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
from tests.chaos.driver import Act, Outcome, Stage

SHOWN_MAX = 20
"""Violations printed; all are counted."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="how many processes are killed")
    parser.add_argument("--seed", type=int, default=None, help="what is harmed, and in which order")
    parser.add_argument("--nemesis", choices=["hub", "all", "both"], default="both")
    parser.add_argument("--keep", metavar="FOLDER", help="keep the histories and logs here")
    chosen = parser.parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if chosen.seed is None else chosen.seed
    print(f"chaos: seed {seed}, {chosen.kills} kills", flush=True)
    acts = acts_of(chosen.nemesis, chosen.kills, seed)
    clean = [play(act, chosen.keep) for act in acts]
    return 0 if all(clean) else 1


def acts_of(nemesis: str, kills: int, seed: int) -> list[Act]:
    hub = Act("hubs only", kills if nemesis == "hub" else kills // 2, True, seed)
    everything = Act("everything", kills if nemesis == "all" else kills - kills // 2, False, seed + 1)
    return [act for act, wanted in ((hub, "hub"), (everything, "all")) if nemesis in {wanted, "both"}]


def play(act: Act, keep: str | None) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="crewhub-chaos-"))
    begun = monotonic_s()
    is_clean = False
    try:
        outcome = asyncio.run(Stage(folder, act).play())
        is_clean = outcome.verdict.is_clean
        report(act, outcome, monotonic_s() - begun)
    finally:
        kept = None
        if keep or not is_clean:
            kept = Path(keep or tempfile.gettempdir()) / f"chaos-{act.seed}-{act.name.replace(' ', '-')}"
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            print(f"  histories and logs: {kept}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    return is_clean


def report(act: Act, outcome: Outcome, seconds: float) -> None:
    verdict, figures = outcome.verdict, outcome.verdict.figures
    kills = ", ".join(f"{count} {what}" for what, count in sorted(outcome.kills.items()))
    blows = ", ".join(f"{count} {what}" for what, count in sorted(outcome.blows.items()))
    print(f"{act.name}: {sum(outcome.kills.values())} kills ({kills}) in {seconds:.0f} s")
    print(f"  blows: {blows}")
    print(
        f"  tasks {figures['tasks']} (pushed {figures['pushed']}, recovered {figures['recovered']}), "
        f"starts {figures['starts']}, repeated executions {figures['waste']}, "
        f"events seen {figures['events_seen']}, resets {figures['resets']}, records {figures['records']}"
    )
    lost, double = verdict.counts.get("C5", 0), verdict.counts.get("C3", 0)
    print(f"  lost {lost}, double terminal states {double}, violations {sum(verdict.counts.values())}")
    for rule, count in verdict.counts.items():
        print(f"  {rule} {RULES[rule]}: broken {count} times")
    for violation in verdict.violations[:SHOWN_MAX]:
        print(f"    {violation.rule} {violation.task or ''} {violation.sentence}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
