"""Who may read the hub's files: its own user, and nobody else.

Owns the check and the sentence that says what to do. Never repairs what somebody else has set: a folder that
was open to others may have been read already.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from hub.errors import ConfigurationError

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
OTHERS: Final = 0o077
COMPANIONS: Final = ("", "-wal", "-shm", "-journal")
"""What lies beside a database file and has the same content."""


def private_folder(folder: Path) -> Path:
    """Make the folder if there is none; refuse one that others can look into."""
    os.umask(OTHERS)
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    check(folder, FOLDER_MODE)
    return folder


def private_file(path: Path, content: bytes = b"") -> Path:
    """Make the file if there is none, durably; refuse one that others can read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        check(path, FILE_MODE)
        return path
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
    return path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_database(path: Path) -> None:
    for companion in COMPANIONS:
        file = path.with_name(path.name + companion)
        if file.exists():
            check(file, FILE_MODE)


def check(path: Path, mode: int) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{path} belongs to another user (uid {found.st_uid}), and the hub runs as uid {os.geteuid()}."
            f" Run the hub as its owner, or: chown {os.geteuid()} {path}"
        )
    if stat.S_IMODE(found.st_mode) & OTHERS:
        raise ConfigurationError(
            f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}),"
            " and it holds tokens and results."
            f" Close it: chmod {mode:o} {path}"
        )
