"""The sidecar's state folder: one a name, private, and never shared by two processes.

Owns the folder's modes, the lock, the kept token, and the status that `sidecar status` reads. The journal
lies in the same folder, and with it the instance id (`journal.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from sidecar.errors import StateError
from sidecar.events import Pause


class KeptToken(msgspec.Struct, frozen=True):
    """A token that this sidecar got for itself, and the hub that gave it."""

    hub_url: str
    token: str


class KeptPause(msgspec.Struct, frozen=True):
    """The owner's switch."""

    until: int | None = None


class StateFolder:
    """One agent's folder. `lock` it before anything in it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    def create(self) -> None:
        """Make the folder, or refuse one that others may look into."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.stat()
        except OSError as error:
            raise StateError(f"the state folder {self.path} cannot be used: {error.strerror}") from error
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise StateError(
                f"the state folder {self.path} must be yours and closed to others: chmod 700 {self.path}"
            )

    def lock(self) -> None:
        """Keep every other sidecar away until this process ends, however it ends."""
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = self._pid_in(self._lock)
            self.unlock()
            raise StateError(
                f"a sidecar (pid {pid}) already works with {self.path}; stop it, or choose another --agent-id"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def unlock(self) -> None:
        """Let go of the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def running_pid(self) -> int | None:
        """The process that holds the lock, if any does."""
        try:
            file = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._pid_in(file)
        else:
            return None
        finally:
            os.close(file)

    def kept_token(self) -> KeptToken | None:
        """The token of an earlier start."""
        try:
            return msgspec.json.decode((self.path / "token").read_bytes(), type=KeptToken)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise StateError(f"the kept token in {self.path} cannot be read: {error}") from error

    def keep_token(self, token: KeptToken) -> None:
        self._write("token", msgspec.json.encode(token))

    def forget_token(self) -> None:
        (self.path / "token").unlink(missing_ok=True)

    def keep_status(self, status: dict[str, Any]) -> None:
        """What other processes may know; on a full disk they have to do without."""
        with contextlib.suppress(OSError):
            self._write("status.json", msgspec.json.encode(status))

    def kept_status(self) -> dict[str, Any] | None:
        """The last status that was kept."""
        try:
            found = msgspec.json.decode((self.path / "status.json").read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None
        return found if isinstance(found, dict) else None

    # --- the owner's switch, and what was begun

    def keep_pause(self, pause: Pause) -> None:
        """No new work from now on, whoever runs or will run here."""
        try:
            self._write("pause.json", msgspec.json.encode({"until": pause.until}))
        except OSError as error:
            raise StateError(f"the pause cannot be kept in {self.path}: {error.strerror}") from error

    def forget_pause(self) -> bool:
        """Work is taken again; False when it was not paused."""
        try:
            (self.path / "pause.json").unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StateError(f"the pause in {self.path} cannot be ended: {error.strerror}") from error
        return True

    def kept_pause(self) -> Pause | None:
        """What the owner wants. A file that cannot be read is still a wish for peace."""
        try:
            found = msgspec.json.decode((self.path / "pause.json").read_bytes(), type=KeptPause)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError):
            return Pause()
        return Pause(found.until)

    def keep_starts(self, starts: Sequence[int]) -> None:
        """When runs were begun, for the limits of the next process; on a full disk it has to do without."""
        with contextlib.suppress(OSError):
            self._write("starts.json", msgspec.json.encode(starts))

    def kept_starts(self) -> list[int]:
        try:
            return msgspec.json.decode((self.path / "starts.json").read_bytes(), type=list[int])
        except (OSError, msgspec.MsgspecError):
            return []

    def _write(self, name: str, data: bytes) -> None:
        """Whole or not at all, and only for us."""
        fresh = self.path / f".{name}.new"
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(file, "wb") as out:
            out.write(data)
        os.replace(fresh, self.path / name)

    @staticmethod
    def _pid_in(file: int) -> int:
        text = os.pread(file, 20, 0).decode("ascii", "replace")
        return int(text) if text.isdigit() else 0
