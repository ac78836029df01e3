"""What a fork of the zygote becomes: the guard of one run, and out of that the run's own process.

Owns what exec would have done for them: sessions, descriptors, environment, signals, chance. Everything that
the zygote had and they must not have is let go of here. None of these functions comes back to its caller's
loop, and none of these processes leaves by the interpreter's exit: what was imported has its work there.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Collection, Mapping
from functools import partial
from types import ModuleType
from typing import Any, NoReturn

from sidecar.runners.hunt import MARKER_VARIABLE
from sidecar.runners.mark import mark
from sidecar.runners.supervisor import (
    LIBC,
    PR_SET_CHILD_SUBREAPER,
    Order,
    guard_one_run,
    listen_for_signals,
    prctl,
    start_program,
)

PR_SET_NAME = 15
ITS_OWN = range(5)
"""The descriptors of a run: standard input, output, errors, report, answers."""


def name_process(name: str) -> None:
    """As `ps` and `top` show it: three processes of one command line are told apart."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def close_all_but(kept: Collection[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the listing's own
                os.close(int(name))


# ---- the guard ---------------------------------------------------------------------------------------------


def become_a_guard(child: ModuleType, numbers: list[int], descriptors: list[int]) -> NoReturn:
    """The fork's half of a request. It has no death signal: a dead zygote must not end a run, and the end of
    the control socket tells of a dead sidecar.
    """
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        name_process("run-guard")
        os.setsid()
        close_all_but({0, 1, 2, *descriptors})
        wake_fd = listen_for_signals()
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        control, *given = descriptors
        here = dict(zip(numbers, given, strict=True))
        guard_one_run(control, wake_fd, partial(start_here, child, here))
        code = 0
    except BaseException:  # noqa: BLE001  the edge of a process: said in the zygote's log, and the sidecar hunts
        traceback.print_exc()
    finally:
        os._exit(code)


def start_here(child: ModuleType, here: Mapping[int, int], order: Order) -> tuple[int, str]:
    """Fork the run. The order names descriptors as the sidecar knows them; `here` has their numbers here."""
    wanted = {target: here[number] for target, number in order["descriptors"].items()}
    mark(order["env"].get(MARKER_VARIABLE, ""))
    return start_program({**order, "descriptors": wanted}, partial(live, child))


# ---- the run -----------------------------------------------------------------------------------------------


def live(child: ModuleType, order: Order) -> NoReturn:
    """The last step of the run's own process, already in its session and its folder, with its limits."""
    name_process("run")
    dress(order["env"])
    begin_signals_anew()
    shuffle()
    close_all_but(ITS_OWN)  # from here on it has begun
    sys.argv = [child.__name__]
    os._exit(call(child))


def dress(environment: Mapping[str, str]) -> None:
    """This environment and no other, also for what has read the zygote's already."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None


def begin_signals_anew() -> None:
    """As a Python program finds them; the fork has set the defaults that a program of any kind expects."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def shuffle() -> None:
    """No two runs roll the same dice."""
    random.seed()
    numbers = sys.modules.get("numpy.random")
    if numbers is not None:
        numbers.seed()


def call(child: ModuleType) -> int:
    """Run the child module's `main`; its exit code, as an interpreter would have it."""
    code = 0
    try:
        for stream in (sys.stdout, sys.stderr):
            reconfigure: Any = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(line_buffering=True, errors="backslashreplace")
        child.main()
    except SystemExit as asked:
        code = _code_of(asked)
    except BaseException:  # noqa: BLE001  the edge of a process: whatever it is, it is said and ends here
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it
            stream.flush()
    return code


def _code_of(asked: SystemExit) -> int:
    if asked.code is None or isinstance(asked.code, int):
        return (asked.code or 0) & 0xFF
    sys.stderr.write(f"{asked.code}\n")
    return 1
