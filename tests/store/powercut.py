"""Cut the power at a random write or sync while the shipped ledger commits, and see what the next start
finds.

Owns the cuts and their verdicts. Run it as `python -m tests.store.powercut --cuts 500`: with durability full
nothing that was acknowledged may be missing; with normal something must be, or this test could not fail. The
code under the knife is the one that ships: only the disk is ours (`disk.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from hub.ports import StorageBroken
from hub.store import backup
from hub.store.database import Durability, open_database
from hub.store.ledger import SqliteLedger
from hub.store.outbox import Letter, Outbox
from hub.store.queries import Queries
from tests.store.disk import Disk, failing_disk
from tests.store.workload import ADA, NOW, State, Workload

BATCHES: Final = 24
"""Turns of one life; with a checkpoint every few pages some of them fall into one."""

PASSING_SHARE: Final = 0.2
"""Turns after which passing talk is written, without a sync: the next fact's must cover it."""

EARLY_SHARE: Final = 0.1
"""Cuts that may fall anywhere, also into the first start and its migration."""

STEPS_LIKELY: Final = 1_500
STEPS_MOST: Final = 200
NEXT_LIFE: Final = 1_000_000
"""Numbers of tasks pushed after the cut, so that they are new."""


@dataclass
class Verdict:
    """What one cut showed."""

    acknowledged: int = 0
    lost: int = 0
    """Acknowledged batches that are not there."""
    broken: list[str] = field(default_factory=list)
    was_cut: bool = False
    had_in_flight: bool = False
    """The batch that was being committed is there as a whole: allowed, for nobody was told otherwise."""
    is_new_epoch: bool = False


@dataclass
class Life:
    """One ledger on one disk, until its power is cut or its work is done."""

    path: Path
    workload: Workload
    durability: Durability
    checkpoint_pages: int
    epoch: str = ""
    acknowledged: int = 0

    async def live(self, disk: Disk) -> None:
        try:
            database = open_database(
                self.path, self.durability, vfs=disk.name, checkpoint_pages=self.checkpoint_pages
            )
        except Exception:
            if not disk.is_dark:
                raise
            return
        self.epoch = database.epoch
        ledger = SqliteLedger(database, free_bytes_min=0)
        try:
            await self._work(ledger)
        except StorageBroken:
            if not disk.is_dark:
                raise
        finally:
            await self._close(ledger, disk)

    async def _work(self, ledger: SqliteLedger) -> None:
        for _ in range(BATCHES):
            self.workload.acknowledge(await ledger.commit(self.workload.draw()))
            self.acknowledged += 1
            if self.workload.die.random() < PASSING_SHARE:
                await ledger.write_passing(keep_a_line)

    async def _close(self, ledger: SqliteLedger, disk: Disk) -> None:
        try:
            await ledger.close()
        except Exception:
            if not disk.is_dark:
                raise


def keep_a_line(connection: apsw.Connection) -> None:
    connection.execute(
        "INSERT INTO logs (task_id, generation, wall_ms, line) VALUES ('task-of-nobody', 1, 0, '{}')"
    )


async def judge(folder: Path, life: Life, verdict: Verdict) -> None:
    """Start again on what the cut has left: it must be whole, and have everything that was acknowledged."""
    path = folder / life.path.name
    database = open_database(path, life.durability)
    ledger, queries = SqliteLedger(database, free_bytes_min=0), Queries(database)
    try:
        verdict.is_new_epoch = bool(life.epoch) and database.epoch != life.epoch
        compare(await found_in(ledger, queries, life.workload), life.workload, verdict)
        verdict.broken += backup.check(path)
        await ledger.commit(Workload(random.Random(0), pushed=NEXT_LIFE).draw())
    finally:
        queries.close()
        await ledger.close()


async def found_in(ledger: SqliteLedger, queries: Queries, workload: Workload) -> State:
    loaded = await ledger.load(NOW)
    tasks = {
        task.task_id: task
        for task in (*loaded.tasks, *(await ledger.find(workload.named, frozenset())).tasks)
    }
    log: list[tuple[str, str | None]] = []
    while events := await queries.events_after(len(log)):
        log += [(event.event, event.task_id) for event in events]
    marks = [instance.mark for instance in loaded.instances if instance.instance_id == ADA.instance_id]
    outbox, letters = Outbox(ledger, queries), list[Letter]()
    while found := await outbox.next(after=letters[-1].letter_id if letters else 0):
        letters += found
    ends = tuple(letter.task_id for letter in letters)
    return State(tasks, tuple(log), marks[0] if marks else 0, ends)


def compare(found: State, workload: Workload, verdict: Verdict) -> None:
    """What is there must be what was there after some batch, and after which one says what was lost."""
    if workload.in_flight is not None and found == workload.now.after(workload.in_flight):
        verdict.had_in_flight = True
    elif found != workload.now:
        earlier = [place for place, state in enumerate(workload.history) if state == found]
        verdict.lost = len(workload.history) - earlier[-1] if earlier else 1
        if not earlier:
            verdict.broken.append("what is there never was: a batch was kept in part")


def cut_once(seed: int, durability: Durability, root: Path) -> Verdict:
    """One life and its end, all of it drawn from the seed."""
    die = random.Random(f"{seed}-{durability}")
    pages = die.choice((4, 16, 64, 1_000))
    verdict = Verdict()
    before, after = root / "before", root / "after"
    for folder in (before, after):
        folder.mkdir(mode=0o700)
    life = Life(before / "hub.db", Workload(random.Random(seed)), durability, pages)
    with failing_disk() as disk:
        disk.cut_at = (
            die.randint(1, STEPS_MOST) if die.random() < EARLY_SHARE else die.randint(60, STEPS_LIKELY)
        )
        asyncio.run(life.live(disk))
        verdict.was_cut = disk.is_dark
        disk.leave(after, die)
    verdict.acknowledged = life.acknowledged
    asyncio.run(judge(after, life, verdict))
    return verdict


@dataclass
class Report:
    """All cuts of one durability."""

    durability: Durability
    cuts: int = 0
    undisturbed: int = 0
    acknowledged: int = 0
    in_flight_kept: int = 0
    new_epochs: int = 0
    losing_seeds: list[int] = field(default_factory=list)
    lost: int = 0
    broken: list[str] = field(default_factory=list)

    def enter(self, seed: int, verdict: Verdict) -> None:
        self.cuts += verdict.was_cut
        self.undisturbed += not verdict.was_cut
        self.acknowledged += verdict.acknowledged
        self.in_flight_kept += verdict.had_in_flight
        self.new_epochs += verdict.is_new_epoch
        self.lost += verdict.lost
        if verdict.lost:
            self.losing_seeds.append(seed)
        self.broken += [f"seed {seed}: {sentence}" for sentence in verdict.broken]

    def __str__(self) -> str:
        seeds = f" (seeds {self.losing_seeds[:5]})" if self.losing_seeds else ""
        return (
            f"durability {self.durability}: {self.cuts} cuts, {self.undisturbed} ended before theirs;"
            f" {self.acknowledged} batches acknowledged,"
            f" {self.lost} lost in {len(self.losing_seeds)} cuts{seeds};"
            f" {self.in_flight_kept} in flight were kept whole; {self.new_epochs} new epochs;"
            f" {len(self.broken)} databases broken"
        )


def run_cuts(durability: Durability, cuts: int, seed: int = 0) -> Report:
    """As many real cuts as asked for; a life that ends before its cut does not count."""
    report = Report(durability)
    while report.cuts < cuts:
        with tempfile.TemporaryDirectory(prefix="powercut-") as root:
            report.enter(seed, cut_once(seed, durability, Path(root)))
        seed += 1
    return report


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="powercut", description=__doc__)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the first cut")
    parser.add_argument("--durability", choices=("full", "normal"), help="only this one, and no control")
    chosen = parser.parse_args(arguments)
    durabilities: tuple[Durability, ...] = (chosen.durability,) if chosen.durability else ("full", "normal")
    is_good = True
    for durability in durabilities:
        report = run_cuts(durability, chosen.cuts, chosen.seed)
        print(report)
        for sentence in report.broken[:10]:
            print(f"  {sentence}")
        must_keep = durability == "full"
        is_good &= not report.broken and (report.lost == 0) == must_keep
        if not must_keep and report.lost == 0:
            print("  the control has lost nothing: these cuts could not have failed")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
