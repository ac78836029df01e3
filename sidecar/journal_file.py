"""The journal's file: the thin half, which only writes, syncs and renames.

Owns the file descriptor, its mode (0600), and which errors mean *no room* and which mean *believe nothing*.
Knows nothing of what is in the file (`journal.py` does).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidecar.journal import JournalBroken, JournalFull

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

ASIDE_MAX: Final = 100
"""Journals set aside before somebody has to look: each is a disk that lies, and more of them help nobody."""


class JournalFile:
    """A real file that satisfies `Disk`. One process at a time: the state folder's lock sees to that."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._size = 0

    def read(self) -> bytes | None:
        with _named_errors():
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return None
            self._open()
            return data

    def append(self, data: bytes) -> None:
        try:
            with _named_errors():
                _write_all(self._file, data)
        except JournalFull:
            # A part may have been written: leave no half turn before the next one.
            with _named_errors():
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(data)

    def sync(self) -> None:
        try:
            os.fdatasync(self._file)
        except OSError as error:
            # Even for want of room: after a failed sync nobody knows which pages the kernel has thrown away.
            raise JournalBroken(f"the journal could not be synced: {error}") from error

    def truncate(self, size: int) -> None:
        with _named_errors():
            os.ftruncate(self._file, size)
            os.lseek(self._file, size, os.SEEK_SET)
            os.fsync(self._file)
        self._size = size

    def replace(self, data: bytes) -> None:
        fresh = self._path.with_name(f"{self._path.name}.new")
        with _named_errors():
            try:
                _write_durably(fresh, data)
            except OSError:
                with contextlib.suppress(OSError):
                    fresh.unlink(missing_ok=True)
                raise
            os.replace(fresh, self._path)
            _sync_folder(self._path.parent)
            self.close()
            self._open()

    def set_aside(self) -> str:
        self.close()
        for n in range(1, ASIDE_MAX + 1):
            aside = self._path.with_name(f"{self._path.name}.damaged-{n}")
            if not aside.exists():
                with _named_errors():
                    os.rename(self._path, aside)
                    _sync_folder(self._path.parent)
                return aside.name
        raise JournalBroken(f"{ASIDE_MAX} damaged journals stand beside {self._path}: look at the disk")

    def close(self) -> None:
        """Let the file go. What was not synced may or may not survive."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._size = os.lseek(self._file, 0, os.SEEK_END)


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise JournalFull(str(error)) from error
        raise JournalBroken(str(error)) from error


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _write_durably(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)


def _sync_folder(folder: Path) -> None:
    """A new name is durable only when its folder is."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
