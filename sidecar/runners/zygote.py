"""The process that has imported what runs need, and is forked for each of them: seconds become milliseconds.

Owns one thread, the imported child module and the forks. The child module is named on the argument vector:
`prepare(folders)` is called once, `main()` in every run. A fork of it becomes the guard of one run, whose own
fork runs `main()`; neither needs the zygote any more, so its death ends no run. It leaves with its sidecar.
Never runs anything itself, and knows of crews only the name of that module.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from types import ModuleType
from typing import Any

from sidecar.runners.birth import become_a_guard, name_process
from sidecar.runners.supervisor import IGNORED, PR_SET_PDEATHSIG, prctl
from sidecar.runners.zygotetalk import drop, hear, say

# ---- importing ---------------------------------------------------------------------------------------------


def prepare(name: str, folders: list[str]) -> tuple[ModuleType | None, dict[str, Any]]:
    """The child module, and what it says of the plugins; or nothing to fork, and why."""
    try:
        child = importlib.import_module(name)
        told: dict[str, Any] = dict(child.prepare(folders))
    except BaseException as trouble:  # noqa: BLE001  a plugin may raise anything at all, SystemExit too
        sentence = f"cannot prepare {name}: {type(trouble).__name__}: {trouble}"
        return None, {"refused": sentence, "traceback": traceback.format_exc()}
    told["troubles"] = [*told.get("troubles", ()), *threads_that_stayed()]
    return child, told


def threads_that_stayed() -> list[dict[str, str]]:
    """A fork takes one thread along; the locks that the others hold would stay locked in every run."""
    native = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    count = max(native, threading.active_count())
    if count == 1:
        return []
    named = ", ".join(
        thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
    )
    sentence = (
        f"{count - 1} threads were started while the plugins were imported ({named or 'not by Python'}): "
        "runs may hang. A plugin may start threads in a run, but not at its import."
    )
    return [{"folder": "", "sentence": sentence, "traceback": ""}]


def tell(report_fd: int, told: dict[str, Any]) -> None:
    """One line, however long; the reading end closes its eyes at the newline."""
    with open(report_fd, "wb") as report:
        report.write(json.dumps(told).encode() + b"\n")


def settle() -> None:
    """Make what was imported cheap to share: what is frozen is not visited by a run's garbage collections,
    so its pages are not copied (measured: 2 MB instead of 65 MB).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()


# ---- forking -----------------------------------------------------------------------------------------------


class Zygote:
    """Answers requests until its sidecar is gone."""

    def __init__(self, requests: socket.socket, child: ModuleType) -> None:
        self.requests = requests
        self.child = child

    def serve(self) -> None:
        wake_fd, write_fd = os.pipe()
        os.set_blocking(wake_fd, False)
        os.set_blocking(write_fd, False)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        hearing = select.poll()
        hearing.register(self.requests, select.POLLIN)
        hearing.register(wake_fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in hearing.poll()}
            if wake_fd in ready:
                os.read(wake_fd, 512)
                collect()
            if self.requests.fileno() in ready:
                try:
                    asked, descriptors = hear(self.requests)
                except (EOFError, OSError):
                    return  # the guards have their own line to the sidecar
                self.answer(asked, descriptors)

    def answer(self, asked: dict[str, Any], descriptors: list[int]) -> None:
        answer: dict[str, Any] = {"answer": asked["ask"]}
        watched: list[int] = []
        if "guard" in asked:
            try:
                pid = self.fork(asked["guard"], descriptors)
                watched = [os.pidfd_open(pid)]
                answer["pid"] = pid
            except OSError as trouble:
                answer["trouble"] = f"cannot fork: {trouble.strerror}"
        try:
            say(self.requests, answer, watched)
        except OSError:
            pass  # it is gone: the next hearing says so
        finally:
            drop([*descriptors, *watched])

    def fork(self, numbers: list[int], descriptors: list[int]) -> int:
        if len(descriptors) != 1 + len(numbers):  # the kernel drops what no longer fits in our table
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        pid = os.fork()
        if pid == 0:
            become_a_guard(self.child, numbers, descriptors)
        return pid


def collect() -> None:
    """The guards that have ended; nobody waits for how."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return


def ignore_what_is_meant_for_everybody() -> None:
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def main(requests_fd: str, report_fd: str, sidecar: str, child: str, *folders: str) -> None:
    """As the sidecar starts it. Without a number of a socket it only reports, and leaves."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sidecar):
        return  # it died while we were being born
    for fd in (requests_fd, report_fd):
        if fd:
            os.set_inheritable(int(fd), False)
    name_process("zygote")
    ignore_what_is_meant_for_everybody()
    module, told = prepare(child, list(folders))
    ignore_what_is_meant_for_everybody()  # an import may have taken them
    settle()
    tell(int(report_fd), told)
    if requests_fd and module is not None:
        with socket.socket(fileno=int(requests_fd)) as requests:
            Zygote(requests, module).serve()
    sys.stdout.flush()
    os._exit(0 if module is not None else 1)  # what was imported may have left work for the exit
