"""The guard between the sidecar and one run: starts the run's program, leaves nothing of it behind.

A small program of its own, or a fork of the zygote; `Begin` and `Start` are where the two differ. It is a
subreaper, so whatever the program forks or moves into new sessions stays its descendant; that the kernel says
"no children" (ECHILD) is the proof that nothing is left. The end of the control socket means that the sidecar
died: then everything is killed at once. Standard library, one thread, never outlives its run.
Frames: four bytes of length and a JSON object. In: `start`, `stop`. Out: `started` or `refused`, `exited`,
`killing`, `gone`. Without prctl and /proc (not Linux) a program that makes a new session escapes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
from collections.abc import Callable
from typing import Any

from sidecar.runners.descendants import LINUX, Descendants

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGUSR1)
"""A terminal or a service manager that signals everybody must not take the guard away from what it guards."""

SIDECAR_DIED = signal.SIGUSR2
"""Sent by the kernel (PDEATHSIG): a second witness beside the end of the control socket."""

HEARD = (signal.SIGCHLD, signal.SIGALRM, SIDECAR_DIED)
SET_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""Ignored by the interpreter, and ignoring is inherited by exec: a program expects the default."""

KILL_AGAIN_S = 0.005
KILL_AGAIN_S_MAX = 1.0
"""Between two passes of KILL: short at first, then slower, because what survives SIGKILL waits inside the
kernel.
"""

FRAME_BYTES_MAX = 4 * 1024 * 1024
FD_ABOVE_ALL_TARGETS = 64

Order = dict[str, Any]
Begin = Callable[[Order], object]
"""The child's last step: it becomes the program and does not come back. What it raises means that the program
never began; the closing of every descriptor but the program's own says that it has.
"""

Start = Callable[[Order], tuple[int, str]]
"""The guard's way of starting an order: the child's number, and a sentence when the program never began."""

LIBC = ctypes.CDLL(None, use_errno=True) if LINUX else None


class SidecarGone(Exception):
    """The other end of the control socket has closed."""


def prctl(option: int, value: int) -> None:
    if LIBC is not None and LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


class Control:
    """The sidecar's end of the conversation. Speaking to a dead sidecar is not an error: the end is noticed
    by hearing.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def _read(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            piece = os.read(self.fd, size - len(got))
            if not piece:
                raise SidecarGone
            got += piece
        return got

    def hear(self) -> dict[str, Any]:
        try:
            size = int.from_bytes(self._read(4), "big")
            if size > FRAME_BYTES_MAX:
                raise SidecarGone
            frame: dict[str, Any] = json.loads(self._read(size))
        except OSError as trouble:
            raise SidecarGone from trouble
        return frame

    def say(self, **frame: object) -> None:
        body = json.dumps(frame).encode()
        with contextlib.suppress(OSError):  # a closed socket is readable too: the loop hears the end next
            os.write(self.fd, len(body).to_bytes(4, "big") + body)


# ---- starting the program ----------------------------------------------------------------------------------


def place_descriptors(wanted: dict[int, int]) -> None:
    """Give the program exactly these descriptors, whatever numbers they have here."""
    lifted = {n: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FD_ABOVE_ALL_TARGETS) for n, fd in wanted.items()}
    for target, fd in lifted.items():
        os.dup2(fd, target)


def apply_limits(limits: dict[str, int]) -> None:
    for name, wanted in limits.items():
        kind = getattr(resource, f"RLIMIT_{name.upper()}")
        hard = resource.getrlimit(kind)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def execute(order: Order) -> None:
    os.execve(order["argv"][0], order["argv"], order["env"])  # noqa: S606  no shell is the point


def become_the_program(order: Order, guard: int, trouble_fd: int, begin: Begin) -> None:
    """The child's half of the fork: an own session, the limits, nothing inherited but what is listed; then
    it begins.
    """
    step = "cannot prepare"
    try:
        signal.set_wakeup_fd(-1)
        for number in (*IGNORED, *HEARD, *SET_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(127)  # the guard died before it could be our death signal
        if not order["new_privileges"]:
            prctl(PR_SET_NO_NEW_PRIVS, 1)  # a program that changes its user could not be killed any more
        os.umask(0o077)
        place_descriptors({int(n): fd for n, fd in order["descriptors"].items()})
        step = f"cannot enter {order['cwd']}"
        os.chdir(order["cwd"])
        step = "cannot set limits"
        apply_limits(order["limits"])
        step = " ".join(["cannot run", *order["argv"][:1]])
        begin(order)
    except BaseException as trouble:  # noqa: BLE001  the far side of a fork: whatever it is, it is told and ends here
        reason = trouble.strerror if isinstance(trouble, OSError) and trouble.strerror else repr(trouble)
        os.write(trouble_fd, f"{step}: {reason}".encode()[:1024])
    finally:
        os._exit(127)


def start_program(order: Order, begin: Begin = execute) -> tuple[int, str]:
    """Fork, and begin in the child. Returns its pid, and a sentence when it could not begin."""
    heard_fd, write_fd = os.pipe()
    trouble_fd = fcntl.fcntl(
        write_fd, fcntl.F_DUPFD_CLOEXEC, FD_ABOVE_ALL_TARGETS
    )  # closes when the program begins
    os.close(write_fd)
    given = set(order["descriptors"].values())
    for fd in given:
        os.set_inheritable(fd, False)
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        become_the_program(order, guard, trouble_fd, begin)
    os.close(trouble_fd)
    for fd in given:
        os.close(fd)  # else the sidecar would never see the end of its pipes
    trouble = b""
    while piece := os.read(heard_fd, 1024):
        trouble += piece
    os.close(heard_fd)
    return pid, trouble.decode(errors="replace")


# ---- the loop ----------------------------------------------------------------------------------------------


class Supervisor:
    """Running, then asked to end (TERM, and the grace runs), then killing until the kernel says that
    nothing is left.
    """

    def __init__(self, control: Control, wake_fd: int, program: int) -> None:
        self.control = control
        self.wake_fd = wake_fd
        self.family = Descendants(program)
        self.phase = "running"
        self.kill_again_s = KILL_AGAIN_S
        self.told_exit = False

    def watch(self) -> None:
        hearing = select.poll()
        hearing.register(self.control.fd, select.POLLIN)
        hearing.register(self.wake_fd, select.POLLIN)
        while not self.family.none_left:
            ready = {fd for fd, _ in hearing.poll()}
            if self.wake_fd in ready:
                self.woken(os.read(self.wake_fd, 512))
            if self.control.fd in ready and not self.family.none_left:
                try:
                    self.asked(self.control.hear())
                except SidecarGone:
                    hearing.unregister(self.control.fd)
                    self.kill()
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.control.say(gone={"signals": self.family.signals, "reaped": self.family.reaped})

    def woken(self, signals: bytes) -> None:
        self.family.reap()
        self.tell_exit()
        if self.family.none_left:
            return
        grace_is_over = self.phase == "ending" and signal.SIGALRM in signals
        program_is_over = self.phase == "running" and self.family.status is not None
        if SIDECAR_DIED in signals or self.phase == "killing" or grace_is_over or program_is_over:
            self.kill()  # what a finished program left behind is over, too

    def asked(self, frame: dict[str, Any]) -> None:
        if "stop" not in frame or self.phase == "killing":
            return
        grace_s = max(0, int(frame["stop"]["grace_ms"])) / 1000
        if self.phase == "running":
            self.phase = "ending"
            self.family.deliver(signal.SIGTERM)
        elif grace_s >= signal.getitimer(signal.ITIMER_REAL)[0]:
            return  # asked again: the grace may only become shorter
        if grace_s == 0:
            self.kill()
        else:
            signal.setitimer(signal.ITIMER_REAL, grace_s)

    def kill(self) -> None:
        self.phase = "killing"
        self.control.say(killing=True)  # a sign of life: the sidecar kills a guard that has fallen silent
        self.family.deliver(signal.SIGKILL)
        signal.setitimer(signal.ITIMER_REAL, self.kill_again_s)
        self.kill_again_s = min(self.kill_again_s * 2, KILL_AGAIN_S_MAX)

    def tell_exit(self) -> None:
        status = self.family.status
        if status is None or self.told_exit:
            return
        self.told_exit = True
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            known = number in signal.Signals.__members__.values()
            self.control.say(exited={"signal": signal.Signals(number).name if known else f"signal {number}"})
        else:
            self.control.say(exited={"code": os.WEXITSTATUS(status)})


def listen_for_signals() -> int:
    """Every signal that matters becomes a byte in a pipe, so that the loop waits in one place."""
    wake_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    os.set_blocking(wake_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    for number in HEARD:
        signal.signal(number, lambda *_: None)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    return wake_fd


def guard_one_run(control_fd: int, wake_fd: int, start: Start) -> None:
    """The whole life of a guard: hear the order, start it, watch over it until nothing of it is left."""
    control = Control(control_fd)
    os.set_inheritable(control_fd, False)
    try:
        order = control.hear()["start"]
    except SidecarGone:
        return
    program, trouble = start(order)
    if trouble:
        control.say(refused=trouble)
    else:
        control.say(started=program)
    Supervisor(control, wake_fd, program).watch()


def main(control_fd: int, sidecar: int) -> None:
    """A supervisor of its own, which the sidecar has just started."""
    wake_fd = listen_for_signals()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, SIDECAR_DIED)
    if os.getppid() != sidecar:
        return  # it died while we were being born
    guard_one_run(control_fd, wake_fd, start_program)
