"""How much memory a run takes: the sum over its processes, a page that several share counted in parts (PSS).

Owns the measuring by /proc and the watch over one run. A fork of a warm process shares most of what it seems
to have, so its resident size says nothing, and a limit on its address space would end it at once. Never ends
a run itself: it calls whoever does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOK_MS: Final = 1_000
"""Between two looks: a run that takes a gigabyte in less is met by the machine's own limit."""

UNSEEN_MAX: Final = 3
"""Looks that see nothing before it is said that nothing can be seen: one may meet a run that just ends."""

MIB: Final = 1024 * 1024

COUNTED: Final = (b"Pss:", b"SwapPss:")


class Family:
    """The processes of one run: what its first process has begun, in whatever session, and what the guard
    has adopted of that.
    """

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self._guard: int | None = None

    def used_bytes(self) -> int | None:
        """What they take together; None when nothing can be measured, also because all of it is gone."""
        amounts = [amount for pid in self.members() if (amount := pss_bytes(pid)) is not None]
        return sum(amounts) if amounts else None

    def members(self) -> set[int]:
        """Their numbers, without the guard's."""
        found = processes()
        if self.leader not in found:
            return set()
        parent = found[self.leader][0]
        if self._guard is None:
            self._guard = parent
        roots = {self.leader} | {pid for pid, (_, session) in found.items() if session == self.leader}
        if parent == self._guard:  # else it is dead, and its place was taken by the father of all orphans
            roots |= {pid for pid, (father, _) in found.items() if father == parent}
        return descendants(roots, found)


def processes() -> dict[int, tuple[int, int]]:
    """Parent and session of everything that lives."""
    found: dict[int, tuple[int, int]] = {}
    if not sys.platform.startswith("linux"):
        return found
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            words = Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if words[0] not in {b"Z", b"X"}:
            found[int(name)] = int(words[1]), int(words[3])
    return found


def descendants(roots: set[int], found: dict[int, tuple[int, int]]) -> set[int]:
    """The roots and all that came from them."""
    children: dict[int, list[int]] = {}
    for pid, (father, _) in found.items():
        children.setdefault(father, []).append(pid)
    family: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in family:
            family.add(pid)
            waiting += children.get(pid, [])
    return family


def pss_bytes(pid: int) -> int | None:
    """What one process takes; None when it is gone or not ours to see."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except OSError:
        return None
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(COUNTED))


async def watch(
    leader: Callable[[], int | None], most: int, exceeded: Callable[[int], None], over: asyncio.Event
) -> bool:
    """Look at a run until it is over, or until it has taken more than `most` bytes, which is told once.
    Returns False when nothing can be measured here. The looking takes milliseconds: a thread does it.
    """
    family: Family | None = None
    unseen = 0
    while not await _over_within(LOOK_MS, over):
        pid = leader()
        if pid is None:
            continue
        family = family or Family(pid)
        used = await asyncio.to_thread(family.used_bytes)
        unseen = 0 if used is not None else unseen + 1
        if unseen == UNSEEN_MAX:
            return False
        if used is not None and used > most and not over.is_set():
            exceeded(used)
            break
    return True


def excess(used: int, most: int) -> str:
    """The sentence for a run that took too much."""
    return f"used {-(-used // MIB)} MiB, at most {most // MIB} are allowed (crew_memory_bytes)"


async def _over_within(ms: int, over: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(ms / 1000):
            await over.wait()
    except TimeoutError:
        return over.is_set()
    return True
