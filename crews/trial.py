"""A process for trials: it imports crewai and the plugins once, and forks a run for each request, one by one.

Owns the fork. It is what a test has in place of a sidecar: no guard, no limits, no proof; what a run leaves
in its session is killed. `crews.testing` starts it as `python -m crews.trial SOCKET FOLDER…`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final

REQUEST_BYTES_MAX: Final = 64 * 1024
"""An environment; the order itself comes on the run's standard input."""

FDS: Final = 6
"""0 to 4 of the run, and one on which its number and its end are told."""

FDS_MAX: Final = 4096
"""Whatever else this process has open is closed in a run."""


def serve(ours: socket.socket, folders: Sequence[str]) -> None:
    """Say what was loaded, then do one run after the other until nobody asks any more."""
    from crews import child  # noqa: PLC0415  the report of a failed import belongs on the socket's other end

    report = json.dumps(child.prepare(folders)).encode()
    ours.sendall(len(report).to_bytes(8) + report)
    gc.freeze()
    while True:
        raw, fds, _, _ = socket.recv_fds(ours, REQUEST_BYTES_MAX, FDS)
        if not raw:
            return
        attend(json.loads(raw), fds)


def attend(environ: dict[str, str], fds: list[int]) -> None:
    """One run: fork it, tell its number, wait for it, end what it left behind, tell how it ended."""
    pid = os.fork()
    if pid == 0:
        become_the_run(environ, fds)
    for fd in fds[:-1]:
        os.close(fd)
    tell(fds[-1], pid=pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # its number is still taken: it has not been collected
    _, status = os.waitpid(pid, 0)
    tell(fds[-1], code=os.waitstatus_to_exitcode(status))
    os.close(fds[-1])


def become_the_run(environ: dict[str, str], fds: list[int]) -> None:
    """In the fork: session, descriptors, environment and folder of the run. Never returns."""
    code = 1
    try:
        os.setsid()
        for number, fd in enumerate(fds[:5]):
            os.dup2(fd, number)
        os.closerange(5, FDS_MAX)
        os.environ.clear()
        os.environ.update(environ)
        os.chdir(environ["CREWHUB_WORKSPACE"])
        from crews import child  # noqa: PLC0415  imported before the fork

        child.main()
    finally:
        os._exit(code)


def tell(fd: int, **members: Any) -> None:
    with contextlib.suppress(BrokenPipeError):  # the test has given up: there is nobody to tell
        os.write(fd, json.dumps(members).encode() + b"\n")


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        serve(asked, sys.argv[2:])
