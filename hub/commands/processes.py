"""Child processes of the demonstration: started with their own configuration folders, stopped by their ids.

Owns starting and stopping. Never touches a process that it did not start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from console.output import CommandFailed, Exit

STOP_S_MAX: Final = 20
"""A drained process leaves at once; one that does not is killed after this."""


def environment_of(folder: Path) -> dict[str, str]:
    """The environment of whoever asks, without their settings and with places of our own for files."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "SIDECAR_"))}
    places = {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}
    # Whoever interrupts the demonstration does not want to see its tasks to the end.
    return bare | places | {"SIDECAR_DRAIN_MS": "0"}


@contextmanager
def process(
    folder: Path, name: str, module: str, arguments: Sequence[str]
) -> Iterator[subprocess.Popen[str]]:
    """A program of ours as a child, its notes in a file of the folder; stopped politely, then surely.

    It has a session of its own: Ctrl-C is for us, and we stop it in order.
    """
    log = (folder / f"{name}.log").open("w", encoding="utf-8")
    child = subprocess.Popen(  # noqa: S603  our own modules, with arguments that we wrote
        [sys.executable, "-P", "-m", module, *arguments],
        cwd=folder,
        env=environment_of(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
        log.close()


def first_line(child: subprocess.Popen[str], folder: Path, name: str) -> str:
    """The first line that a child prints; if it ends instead, what it left in its log."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        said = (folder / f"{name}.log").read_text(encoding="utf-8")[-2_000:]
        raise CommandFailed(f"{name} did not start:\n{said}", Exit.FAILED)
    return line
