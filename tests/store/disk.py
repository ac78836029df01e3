"""A disk that can fail: it loses what was not synced when its power is cut, or says that a sync went wrong.

Owns the VFS under SQLite and the images of its files: what is surely on the plate, and the writes since the
last sync. A cut keeps any part of those, sector by sector, in any order. Never looks at what is written.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import apsw

SECTOR: Final = 512
"""What a disk writes whole or not at all."""

NAMES: Final = count(1)


@dataclass
class Image:
    """One file: what a sync has made sure of, and what has come since."""

    sure: bytearray
    since: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Offset and bytes of a write; None for a truncation to that size."""
    is_named: bool = True
    """Whether the file's name would survive: a new one's does with its first sync."""

    def sync(self) -> None:
        for offset, written in self.since:
            apply(self.sure, offset, written)
        self.since.clear()
        self.is_named = True

    def after_cut(self, die: random.Random) -> bytes | None:
        """What the next start finds: None if there is no such file."""
        if not self.is_named and die.random() < 0.5:
            return None
        content = bytearray(self.sure)
        share = die.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        kept = [write for write in self.since if die.random() < share]
        if die.random() < 0.3:
            kept = self.since[: die.randint(0, len(self.since))]
        is_torn = die.random() < 0.5
        for offset, written in kept:
            for part in sectors(offset, written) if is_torn else ((offset, written),):
                if not is_torn or die.random() < 0.7:
                    apply(content, *part)
        return bytes(content)


def apply(content: bytearray, offset: int, written: bytes | None) -> None:
    if written is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(written)] = written


def sectors(offset: int, written: bytes | None) -> Iterator[tuple[int, bytes | None]]:
    """A write, cut where a disk may tear it."""
    if written is None:
        yield offset, None
        return
    start = offset
    while start < offset + len(written):
        end = min((start // SECTOR + 1) * SECTOR, offset + len(written))
        yield start, written[start - offset : end - offset]
        start = end


class Disk(apsw.VFS):
    """Passes everything to the real file system, and keeps the images beside it."""

    def __init__(self) -> None:
        self.name = f"disk-{next(NAMES)}"
        super().__init__(self.name, "")
        self.images: dict[str, Image] = {}
        self.steps = 0
        """Writes, truncations and syncs so far."""
        self.syncs = 0
        self.cut_at: int | None = None
        """The step at which the power goes; from then on everything fails."""
        self.fail_sync_at: int | None = None
        self.fail_write_at: int | None = None
        self.is_full = False
        self.is_dark = False

    def heal(self) -> None:
        self.fail_sync_at = self.fail_write_at = None
        self.is_full = False

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw's name
        path = name if isinstance(name, str) else name.filename() if name is not None else None
        if path is not None and path not in self.images:
            exists = Path(path).exists()
            content = Path(path).read_bytes() if exists else b""
            self.images[path] = Image(bytearray(content), is_named=exists)
        return DiskFile(self, name, flags, self.images[path] if path is not None else None)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - apsw's name and shape
        self.step()
        self.images.pop(filename, None)
        super().xDelete(filename, syncdir)

    def step(self, *, is_sync: bool = False) -> None:
        """Count, and fail when it is time to."""
        if self.is_dark:
            raise apsw.IOError("the power is off")
        self.steps += 1
        self.syncs += is_sync
        if self.cut_at is not None and self.steps >= self.cut_at:
            self.is_dark = True
            raise apsw.IOError("the power is off")
        if self.is_full and not is_sync:
            raise apsw.FullError("no room")
        if is_sync and self.fail_sync_at is not None and self.syncs >= self.fail_sync_at:
            raise apsw.IOError("the sync failed")
        if not is_sync and self.fail_write_at is not None and self.steps >= self.fail_write_at:
            raise apsw.IOError("the write failed")

    def leave(self, folder: Path, die: random.Random) -> None:
        """What a power cut now would leave of the files, written where the next start finds them."""
        for path, image in sorted(self.images.items()):
            content = image.after_cut(die)
            if content is not None and not path.endswith("-shm"):
                target = folder / Path(path).name
                target.touch(mode=0o600)
                target.write_bytes(content)


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int], image: Image | None) -> None:
        super().__init__("", name, flags)
        self.disk = disk
        self.image = image

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's name
        if self.image is not None:
            self.disk.step()
            self.image.since.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        if self.image is not None:
            self.disk.step()
            self.image.since.append((newsize, None))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        if self.image is not None:
            self.disk.step(is_sync=True)
            self.image.sync()


@contextmanager
def failing_disk() -> Iterator[Disk]:
    disk = Disk()
    try:
        yield disk
    finally:
        disk.unregister()
