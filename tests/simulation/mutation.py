"""The tests of the tests: each mutant is one line of shipped code made wrong, and the simulation has to
notice.

Owns reading `mutants.toml`, making a mutated copy of the packages in a temporary folder, and running
schedules in it. Never touches the working tree: a mutant that escaped would be a bug with our name on it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct, convert

ROOT: Final = Path(__file__).resolve().parents[2]
MUTANTS: Final = Path(__file__).with_name("mutants.toml")
COPIED: Final = ("protocol", "hub", "sidecar", "tests")
SCHEDULES: Final = 2_500
"""Light schedules that a mutant may survive before it is called a survivor (reliability §4.5)."""

WHY_LENGTH_MAX: Final = 120

SECONDS_MAX: Final = 600
"""A mutant that hangs is a killed one, but somebody has to say so."""


class Mutant(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of shipped code, and what it is changed to. `old` stands exactly once in the file."""

    name: str
    file: str
    old: str
    new: str
    expect: Literal["killed", "listed"] = "killed"
    reason: str = ""
    """Of a listed one: which redundancy makes it harmless."""
    pair: str = ""
    """Of a listed one: the mutant that breaks the redundancy as well and is killed."""
    also: tuple[str, ...] = ()
    """Names of further mutants applied with this one: how a pair is made."""
    is_heavy: bool = False
    """Needs heavy schedules: its rule is rarely the only one in the way."""


class Verdict(Struct, frozen=True):
    mutant: Mutant
    killed_by: str | None
    """The first line of the failure; None when it survived."""
    schedules: int

    @property
    def is_as_expected(self) -> bool:
        return (self.killed_by is not None) == (self.mutant.expect == "killed")


def read_mutants(path: Path = MUTANTS) -> tuple[Mutant, ...]:
    """All of them, checked: unique names, listed ones explained, pairs that exist and are killed."""
    mutants = convert(tomllib.loads(path.read_text("utf-8"))["mutant"], tuple[Mutant, ...])
    by_name = {mutant.name: mutant for mutant in mutants}
    assert len(by_name) == len(mutants), "two mutants of one name"
    for mutant in mutants:
        assert all(other in by_name for other in mutant.also), f"{mutant.name}: unknown name in `also`"
        if mutant.expect == "listed":
            assert mutant.reason, f"{mutant.name} is listed without a reason"
            assert by_name[mutant.pair].expect == "killed", f"{mutant.name}: its pair must be a killed one"
    return mutants


def apply(mutant: Mutant, root: Path) -> None:
    """Change the one line in the copy below `root`."""
    path = root / mutant.file
    text = path.read_text("utf-8")
    assert text.count(mutant.old) == 1, (
        f"{mutant.name}: its line stands {text.count(mutant.old)} times in {mutant.file}"
    )
    assert "\n" not in mutant.old.strip("\n"), f"{mutant.name}: more than one line"
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")


def judge(mutant: Mutant, *, schedules: int = SCHEDULES) -> Verdict:
    """Copy the packages, apply the mutant and those it comes with, and run schedules until one fails."""
    by_name = {known.name: known for known in read_mutants()}
    with tempfile.TemporaryDirectory(prefix="crewhub-mutant-") as folder:
        root = Path(folder)
        for package in COPIED:
            shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        for change in (mutant, *(by_name[name] for name in mutant.also)):
            apply(change, root)
        command = [sys.executable, "-m", "tests.simulation.cli", "hunt", "--seeds", str(schedules)]
        try:
            ended = subprocess.run(
                [*command, "--heavy"] if mutant.is_heavy else command,
                cwd=root,
                env={"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict(mutant, "it never came to an end", schedules)
    return _read_hunt(mutant, ended, schedules)


def _read_hunt(mutant: Mutant, ended: subprocess.CompletedProcess[str], schedules: int) -> Verdict:
    """`hunt` says `survived`, or `killed <seeds> <why>`; anything else means that the copy could not even
    run."""
    word, _, rest = ended.stdout.strip().partition(" ")
    if word == "survived":
        return Verdict(mutant, None, schedules)
    assert word == "killed", (
        f"{mutant.name}: the copy did not run:\n{ended.stdout[-500:]}{ended.stderr[-2000:]}"
    )
    count, _, why = rest.partition(" ")
    return Verdict(mutant, why, int(count))


def judge_all(mutants: tuple[Mutant, ...], *, schedules: int, workers: int) -> list[Verdict]:
    """Several at a time, reported as they end."""
    with ThreadPoolExecutor(workers) as pool:
        verdicts = []
        for verdict in pool.map(lambda mutant: judge(mutant, schedules=schedules), mutants):
            print(_line(verdict), flush=True)
            verdicts.append(verdict)
        return verdicts


def _line(verdict: Verdict) -> str:
    mark = "  " if verdict.is_as_expected else "! "
    word = "survived" if verdict.killed_by is None else "killed"
    why = (verdict.killed_by or verdict.mutant.reason)[:WHY_LENGTH_MAX]
    return f"{mark}{word:8} {verdict.schedules:>6} schedules  {verdict.mutant.name}: {why}"
