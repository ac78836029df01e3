"""That a run must stop: one flag with its reason, seen at every boundary of the work and by whoever waits.

Owns the flag and its ways in (a line of the sidecar, SIGTERM). `check` raises where the work may be cut.
Never ends the process: what ignores the flag is killed by the run's guard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crewai.hooks.dispatch import HookAborted, InterceptionPoint, register_scoped, scoped_hooks

GATES = (
    InterceptionPoint.PRE_MODEL_CALL,
    InterceptionPoint.POST_MODEL_CALL,
    InterceptionPoint.PRE_TOOL_CALL,
    InterceptionPoint.POST_TOOL_CALL,
    InterceptionPoint.PRE_STEP,
)
"""Where crewai asks before it goes on. `HookAborted` is the only exception that it lets through there."""


class Stopping:
    """Asked once, never taken back; the first reason stays."""

    def __init__(self) -> None:
        self.why: str | None = None
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    @property
    def asked(self) -> bool:
        return self.why is not None

    def ask(self, why: str) -> None:
        with self._lock:
            if self.why is not None:
                return
            self.why = why
            listeners = tuple(self._listeners)
        for wake in listeners:
            wake()

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when the stop is asked for; at once when it already was."""
        with self._lock:
            if self.why is None:
                self._listeners.append(wake)
                return
        wake()

    def check(self) -> None:
        """Raise when the run must stop: the way out of the work, at every place where it may be cut."""
        if self.why is not None:
            raise HookAborted(f"stopped: {self.why}", source="sidecar")

    @contextmanager
    def gates(self) -> Iterator[None]:
        """Ask at every boundary of the crew's work inside this block, and only of this one."""

        def gate(_: object) -> None:
            self.check()

        with scoped_hooks():
            for point in GATES:
                register_scoped(point, gate)
            yield
