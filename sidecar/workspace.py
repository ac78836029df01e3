"""A directory for a run: made for it alone, 0700, and gone afterwards.

Owns `runs/` under the sidecar's state folder. Its names are drawn here, never taken from the wire, and a
symbolic link is removed, not followed. `sweep` at start removes what dead runs left, processes included.
Never shared by two sidecars: whoever holds the journal of a state folder owns its workspaces too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from sidecar.runners.hunt import kill_at_once

FOLDER: Final = "runs"
PREFIX: Final = "run-"

ENTRIES_AT_ONCE: Final = 64
"""A workspace with fewer entries is removed in place; a fuller one by a thread, so that no heartbeat waits
for a disk.
"""

LOCKED_DEPTH_MAX: Final = 16
"""Locked directories, one inside the other, that are unlocked; what lies deeper stays for a person."""


class Workspace(msgspec.Struct, frozen=True):
    """One run's directory. `marker` names the run to those who look for its processes."""

    root: Path
    marker: str

    @property
    def work(self) -> Path:
        """Where the program starts, when the settings say nothing else."""
        return self.root / "work"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    def is_small(self) -> bool:
        """Whether removing it is a matter of microseconds."""
        seen = 0
        for folder in (self.work, self.home, self.tmp):
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    seen += 1
                    if seen > ENTRIES_AT_ONCE or entry.is_dir(follow_symlinks=False):
                        return False
        return True

    def remove(self) -> bool:
        """Remove it with all that is in it. False when something resisted: the next `sweep` tries again."""
        return _remove(self.root)


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What dead runs had left."""

    directories: int = 0
    processes: int = 0


class Workspaces:
    """The runs' directories of one sidecar."""

    def __init__(self, state_folder: Path) -> None:
        self.folder = state_folder / FOLDER

    def open(self) -> Workspace:
        """Make a new one. OSError when the disk has no room for it."""
        self._prepare()
        marker = secrets.token_hex(16)
        workspace = Workspace(self.folder / f"{PREFIX}{marker}", marker)
        workspace.root.mkdir(mode=0o700)
        try:
            for inner in (workspace.work, workspace.home, workspace.tmp):
                inner.mkdir(mode=0o700)
        except OSError:
            workspace.remove()
            raise
        return workspace

    def sweep(self) -> Swept:
        """Remove the runs of a dead sidecar: first their processes, then their directories. Before any run
        is begun.
        """
        try:
            self._prepare()
            left = sorted(self.folder.iterdir())
        except OSError:
            return Swept()
        markers = frozenset(path.name.removeprefix(PREFIX) for path in left if path.name.startswith(PREFIX))
        processes = kill_at_once(markers) if markers else 0
        return Swept(directories=sum(_remove(path) for path in left), processes=processes)

    def _prepare(self) -> None:
        """The folder must be a directory of ours: somebody else's link there would lead every run
        elsewhere.
        """
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.is_symlink():
            self.folder.unlink()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if stat.S_IMODE(self.folder.stat().st_mode) != 0o700:
            self.folder.chmod(0o700)


def _remove(path: Path) -> bool:
    """`rmtree` works by descriptors and follows no link on the way; a link itself is only unlinked."""
    for _ in range(LOCKED_DEPTH_MAX):
        with contextlib.suppress(OSError):
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path, onerror=_unlock)
        if not os.path.lexists(path):
            return True
    return False


def _unlock(_action: Callable[..., Any], path: str, _trouble: object) -> None:
    """A run may have taken away its own right to write: give it back; the next pass gets a level further."""
    for locked in (Path(path), Path(path).parent):
        with contextlib.suppress(OSError):
            if locked.is_dir() and not locked.is_symlink():
                locked.chmod(0o700)
