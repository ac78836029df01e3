"""The one run that this process is doing, for what crewai calls without telling it whose run it is: tools.

Owns that single place. Never holds a credential; a process does one run and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crews.people import People


class Present:
    """A run as its tools see it. `step` is the index of the task that was begun last."""

    def __init__(self, task_id: str, people: People) -> None:
        self.task_id = task_id
        self.people = people
        self.step = 0


class NoRun(RuntimeError):
    """A tool that needs a run was called without one."""


_present: list[Present] = []


@contextmanager
def doing(run: Present) -> Iterator[None]:
    """Inside this block `present()` is that run, in every thread."""
    _present.append(run)
    try:
        yield
    finally:
        _present.remove(run)


def present() -> Present:
    """The run of this process."""
    if not _present:
        raise NoRun(
            "no run is going on in this process: start the plugin with `sidecar run`, or in a test of it"
        )
    return _present[-1]
