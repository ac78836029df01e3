"""Trying a plugin's import where it can hurt nobody: in a fork that is thrown away.

Owns the fork, its time limit, and what is made of its end: a plugin that leaves the process, crashes it,
hangs or starts threads is told as that, and whoever probes has none of it. Keeps nothing.
"""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

from crews import clock
from plugins.contract import Plugin, Trouble
from plugins.loader import BrokenPlugin, trouble_of

VERDICT_BYTES_MAX: Final = 256 * 1024
"""A sentence and a traceback; more is a plugin that writes into foreign descriptors."""


def is_possible() -> bool:
    """Elsewhere a plugin is imported at once, and what it does to the process, it does."""
    return hasattr(os, "fork")


def probe(plugin: Plugin, load: Callable[[Plugin], Any], seconds: float) -> None:
    """Let a fork `load` the plugin. `BrokenPlugin` unless that ends well within so many seconds."""
    verdict_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(verdict_fd)
        _try(plugin, load, write_fd)
    os.close(write_fd)
    try:
        verdict = _heard(verdict_fd, clock.monotonic_s() + seconds)
    finally:
        os.close(verdict_fd)
        status = _ended(pid)
    if verdict is None:
        raise BrokenPlugin(trouble_of(plugin, TimeoutError(f"was not imported within {seconds:g} s")))
    if not verdict:
        raise BrokenPlugin(trouble_of(plugin, ImportError(_how(status))))
    told = json.loads(verdict)
    if told is not None:
        raise BrokenPlugin(Trouble(folder=str(plugin.folder), **told))


def _try(plugin: Plugin, load: Callable[[Plugin], Any], write_fd: int) -> NoReturn:
    """The fork's half: a session of its own, so that nothing that it starts stays."""
    code = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what it prints, it prints when it is imported for good
        told: dict[str, str] | None = None
        try:
            load(plugin)
        except BrokenPlugin as broken:
            told = {"sentence": broken.trouble.sentence, "traceback": broken.trouble.traceback}
        os.write(write_fd, json.dumps(told).encode()[:VERDICT_BYTES_MAX])
        code = 0
    except BaseException:  # noqa: BLE001  the far side of a fork: whatever it is, it ends here
        traceback.print_exc()
    finally:
        os._exit(code)


def _heard(fd: int, until_s: float) -> bytes | None:
    """Everything up to the end of the fork; None when it takes too long."""
    found = b""
    while len(found) <= VERDICT_BYTES_MAX:
        left_s = until_s - clock.monotonic_s()
        if left_s <= 0 or not select.select([fd], [], [], left_s)[0]:
            return None
        piece = os.read(fd, 65_536)
        if not piece:
            break
        found += piece
    return found


def _ended(pid: int) -> int:
    """Kill whatever is left of the fork and its session, and collect it."""
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"ends the process by {signal.Signals(os.WTERMSIG(status)).name} when it is imported"
    return f"ends the process with exit code {os.WEXITSTATUS(status)} when it is imported"
