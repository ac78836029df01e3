"""Finding and killing processes of a run whose supervisor is dead.

Owns the second line of defence: a run's processes carry its marker in their environment, and its session's
number. Used when a supervisor was killed, and at start for runs that outlived their sidecar. Linux only;
elsewhere it finds nothing. Never touches a process without the marker, the session, or such an ancestor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

MARKER_VARIABLE: Final = "CREWHUB_RUN"
"""The environment variable whose value no other run ever has."""

AGAIN_S: Final = 0.02
AGAIN_S_MAX: Final = 1.0
"""Between two looks: what survives SIGKILL waits inside the kernel, and asking faster does not help."""

PASSES_MAX: Final = 100
"""Looks of a hunt that may not wait (`kill_at_once`): each kills all it sees, so more only help against
forking.
"""


def find(markers: frozenset[str], session: int | None = None) -> set[int]:
    """Processes that carry one of the markers or belong to the session, and what descends from those."""
    if not sys.platform.startswith("linux"):
        return set()
    parents: dict[int, int] = {}
    found: set[int] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        seen = _look(int(name))
        if seen is None:
            continue
        parents[int(name)] = seen[0]
        if seen[1] == session or _carries(int(name), markers):
            found.add(int(name))
    return found | _descendants(found, parents)


def kill(pids: set[int]) -> None:
    """SIGKILL each, and collect those that were adopted by us."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)


def kill_at_once(markers: frozenset[str]) -> int:
    """Kill everything with one of the markers; for the start of a sidecar, before any loop runs. Returns
    how many.
    """
    killed: set[int] = set()
    for _ in range(PASSES_MAX):
        found = find(markers)
        if not found:
            break
        killed |= found
        kill(found)
    return len(killed)


async def kill_until_none_is_left(marker: str, session: int | None) -> int:
    """Kill the run's processes until a look finds none. Returns how many there were."""
    killed: set[int] = set()
    pause_s = AGAIN_S
    while found := find(frozenset({marker}), session):
        killed |= found
        kill(found)
        await _rest(pause_s)
        pause_s = min(pause_s * 2, AGAIN_S_MAX)
    return len(killed)


async def _rest(pause_s: float) -> None:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(pause_s, _settle, over)
    try:
        await over
    finally:
        timer.cancel()


def _look(pid: int) -> tuple[int, int] | None:
    """Parent and session of a living process."""
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if words[0] in {b"Z", b"X"} else (int(words[1]), int(words[3]))


def _carries(pid: int, markers: frozenset[str]) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    prefix = f"{MARKER_VARIABLE}=".encode()
    return any(
        entry.startswith(prefix) and entry[len(prefix) :].decode("latin-1") in markers for entry in variables
    )


def _descendants(found: set[int], parents: dict[int, int]) -> set[int]:
    family = set(found)
    grew = bool(found)
    while grew:
        more = {pid for pid, parent in parents.items() if parent in family and pid not in family}
        family |= more
        grew = bool(more)
    return family


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
