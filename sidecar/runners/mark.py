"""The marker of a run that was forked and never executed, where everybody looks for it: /proc/<pid>/environ.

That file shows the memory in which the kernel put the environment at the last exec, whatever was set since.
So a process that will fork runs is started with a placeholder there, and each fork writes its run's marker
over it: whoever hunts by marker finds forked runs, too. Linux only. Never changes `os.environ`.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

from sidecar.runners.hunt import MARKER_VARIABLE

PLACEHOLDER: Final = "0" * 32
"""As long as a workspace's marker: there is no room for a longer one."""

ENV_START, ENV_END = 47, 48  # words of /proc/self/stat behind the name of the program


def mark(marker: str) -> bool:
    """Carry this marker from now on, and pass it on to every fork. False where there is no place for it."""
    words = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, size = int(words[ENV_START]), int(words[ENV_END]) - int(words[ENV_START])
    if start == 0 or size <= 0:
        return False
    entry = f"\0{MARKER_VARIABLE}=".encode()
    at = (b"\0" + ctypes.string_at(start, size)).find(entry)
    room = len(PLACEHOLDER)
    text = marker.encode()
    if at < 0 or len(text) > room:
        return False
    ctypes.memmove(start + at + len(entry) - 1, text.ljust(room, b"\0"), room)
    return True
