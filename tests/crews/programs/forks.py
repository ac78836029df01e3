"""A stand-in for the zygote: imports everything once, then forks one run for each request on its socket.

A request is a JSON object with six descriptors: 0 to 4 of the run, and one for the answers: the run's pid,
then its exit status.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import threading
from typing import Any

from crews import child
from crews.environment import cleanse

FOLDERS = sys.argv[2:]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.sendto"}
FILES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "sqlite3.connect"}


def tripwire(workspace: str) -> None:
    """Say on standard error whenever the process talks to a network or writes outside its folder."""
    allowed = (workspace, "/dev/", "/proc/self/")

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        path = written(event, arguments)
        if is_network(event, arguments) or (path and not os.path.abspath(path).startswith(allowed)):
            os.write(2, f"TRIPPED {event} {path or arguments[1:]}\n".encode())

    sys.addaudithook(heard)


def is_network(event: str, arguments: tuple[object, ...]) -> bool:
    inet = {socket.AF_INET, socket.AF_INET6}
    return event in NETWORK or (event == "socket.__new__" and arguments[1] in inet)


def written(event: str, arguments: tuple[object, ...]) -> str:
    """The path that is about to be written to, if it is one."""
    if event == "open" and isinstance(arguments[0], str | bytes) and int(str(arguments[2])) & WRITING:
        return os.fsdecode(arguments[0])
    return str(arguments[0]) if event in FILES else ""


def begin(request: dict[str, Any], fds: list[int]) -> None:
    """The fork: its descriptors, its environment, its folder; then it is the run."""
    os.setsid()
    for number, fd in enumerate(fds[:5]):
        os.dup2(fd, number)
    os.closerange(5, 256)
    environ: dict[str, str] = request["environ"]
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(environ["CREWHUB_WORKSPACE"])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if request.get("tripwire"):
        tripwire(environ["CREWHUB_WORKSPACE"])
    child.main()


def main() -> None:
    ours = socket.socket(fileno=int(sys.argv[1]))
    cleanse(os.environ)
    report = child.prepare(FOLDERS)
    report["threads"] = [threading.active_count(), len(os.listdir("/proc/self/task"))]
    ours.sendall(json.dumps(report).encode() + b"\n")
    while True:
        raw, fds, _, _ = socket.recv_fds(ours, 1 << 20, 6)
        if not raw:
            return
        if os.fork() == 0:
            if os.fork() == 0:  # this one waits for the run and tells its end
                wait_for(json.loads(raw), fds)
            os._exit(0)
        for fd in fds:
            os.close(fd)
        collect()


def wait_for(request: dict[str, Any], fds: list[int]) -> None:
    answer = fds[5]
    pid = os.fork()
    if pid == 0:
        begin(request, fds)
    for fd in fds[:5]:
        os.close(fd)
    os.write(answer, json.dumps({"pid": pid}).encode() + b"\n")
    outlast_nobody(pid)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # nobody asks any more
        os.write(answer, json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")
    os._exit(0)


def outlast_nobody(pid: int) -> None:
    """Return when the run has ended; when whoever asked for it is gone, it ends now."""
    run = os.pidfd_open(pid)
    waiting = select.poll()
    waiting.register(run, select.POLLIN)
    waiting.register(int(sys.argv[1]), 0)  # its hanging up is always told
    if run not in dict(waiting.poll()):
        os.kill(pid, signal.SIGKILL)
    os.close(run)


def collect() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
