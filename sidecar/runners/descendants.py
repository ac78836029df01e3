"""What a guard's children have become: finding them all, signalling them, collecting them.

Owns the search in /proc from the guard downwards, and the proof: the kernel's word that there are none.
Standard library only, one thread. Never touches a process that does not descend from this one.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

LINUX = sys.platform == "linux"


def look(pid: int) -> tuple[str, int, int] | None:
    """State, parent and group of a process, as /proc has them; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
            words = stat.read(1024).rpartition(b")")[2].split()
    except OSError:
        return None
    return words[0].decode(), int(words[1]), int(words[2])


class Descendants:
    """Everything that came from the program. `signals` is what had to be sent, strongest last."""

    def __init__(self, program: int) -> None:
        self.program = program
        self.signals: list[str] = []
        self.reaped = 0
        self.status: int | None = None  # of the program itself
        self.none_left = False

    def reap(self) -> None:
        """Collect the dead, adopted ones too. `none_left` only when the kernel says that there are no
        children at all.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.none_left = True
                return
            if pid == 0:
                return
            self.reaped += 1
            if pid == self.program:
                self.status = status

    def deliver(self, number: signal.Signals) -> None:
        """One pass: signal each descendant the moment it is seen, and its whole group, which cannot out-
        fork that.
        """
        if self._pass(number):
            name = number.name.removeprefix("SIG")
            if name not in self.signals:
                self.signals.append(name)

    def _pass(self, number: signal.Signals) -> bool:
        if not LINUX:
            return self._send(os.killpg, self.program, number)
        ours = {os.getpid()}
        groups: set[int] = set()
        hit = False
        later: dict[int, tuple[str, int, int]] = {}
        for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
            seen = look(pid)
            if seen is not None and seen[1] in ours:
                hit |= self._hit(pid, seen, ours, groups, number)
            elif seen is not None:
                later[pid] = seen
        for pid, seen in wrapped_around(later, ours):
            hit |= self._hit(pid, seen, ours, groups, number)
        return hit

    def _hit(
        self, pid: int, seen: tuple[str, int, int], ours: set[int], groups: set[int], number: signal.Signals
    ) -> bool:
        ours.add(pid)
        state, _, group = seen
        if state in "ZX":
            return False
        hit = self._send(os.kill, pid, number)
        if group not in groups and group not in (0, 1, os.getpgrp()):
            groups.add(group)
            if number == signal.SIGKILL:  # TERM reaches each process once, by its own pid
                self._send(os.killpg, group, number)
        if number != signal.SIGKILL:
            self._send(os.kill, pid, signal.SIGCONT)  # a stopped process could not obey
        return hit

    @staticmethod
    def _send(send: Any, target: int, number: signal.Signals) -> bool:
        try:
            send(target, number)
        except OSError:
            return False
        return True


def wrapped_around(
    later: dict[int, tuple[str, int, int]], ours: set[int]
) -> list[tuple[int, tuple[str, int, int]]]:
    """Children with a lower number than their parent: process numbers start again at the end of their
    range.
    """
    found: list[tuple[int, tuple[str, int, int]]] = []
    known = set(ours)
    grew = True
    while grew:
        grew = False
        for pid, seen in list(later.items()):
            if seen[1] in known:
                known.add(pid)
                found.append((pid, later.pop(pid)))
                grew = True
    return found
