"""A child module as a zygote imports it, without any crew: it does what its order says.

`prepare` does what a file named `prepare` in a plugin folder says. Bad manners are its part. No test is here.
"""

import ctypes
import gc
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

IMPORTED_BY = os.getpid()


def prepare(folders: Sequence[str]) -> dict[str, Any]:
    tempfile.gettempdir()  # a library that remembers the zygote's own folder
    names = []
    for folder in map(Path, folders):
        with (folder / "prepared").open("a") as count:
            count.write("once\n")
        words = folder / "prepare"
        if words.exists():
            PREPARES[words.read_text().strip()]()
        names += sorted(path.name for path in folder.iterdir() if path.is_dir())
    return {"plugins": [{"name": name, "version": "1"} for name in names], "troubles": [], "crewai": "none"}


def start_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(600,), name="left-behind", daemon=True).start()


def shout() -> None:
    print("words of the import", flush=True)
    os._exit(3)


def take_signals() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(4))


def be_long() -> None:
    raise RuntimeError("x" * 100_000)


PREPARES: dict[str, Callable[[], object]] = {
    "raise": lambda: 1 // 0,
    "leave": lambda: sys.exit("a plugin wants to leave"),
    "thread": start_a_thread,
    "die": shout,
    "crash": lambda: ctypes.string_at(0),
    "hang": lambda: time.sleep(600),
    "signals": take_signals,
    "long": be_long,
}


# ---- the run


def say(**members: object) -> None:
    os.write(3, json.dumps(members).encode() + b"\n")


def main() -> None:
    order = json.loads(sys.stdin.buffer.read() or b"{}")
    ACTS[order.get("act", "echo")](order)


def echo(order: dict[str, Any]) -> None:
    """Everything a run can see of itself."""
    seen = {
        "order": order,
        "imported_by": IMPORTED_BY,
        "pid": os.getpid(),
        "session": os.getsid(0),
        "cwd": os.getcwd(),
        "environ": dict(os.environ),
        "shown": Path("/proc/self/environ").read_bytes().decode().split("\0"),
        "descriptors": sorted(os.listdir("/proc/self/fd"), key=int),
        "umask": os.umask(0o077),
        "temporary": tempfile.gettempdir(),
        "zone": time.tzname[0],
        "dice": random.random(),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "threads": len(os.listdir("/proc/self/task")),
        "signals": [
            number.name
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD, signal.SIGUSR2)
            if signal.getsignal(number) is not signal.SIG_DFL
        ],
        "argv": sys.argv,
        "frozen": gc.get_freeze_count(),
    }
    say(result=seen)


def talk(order: dict[str, Any]) -> None:
    """Outputs, a question, and the answer as the result."""
    print("to whom it may concern")
    print("an oddity", file=sys.stderr)
    say(ask="how many?")
    say(result=heard())


def heard() -> Any:
    with open(4, "rb") as answers:
        return json.loads(answers.readline())


def stay(order: dict[str, Any]) -> None:
    say(log="up")
    while True:
        time.sleep(60)


def wait(order: dict[str, Any]) -> None:
    """Until a line comes on the answers."""
    say(log="up")
    say(result=heard())


def stubborn(order: dict[str, Any]) -> None:
    """Six processes that ignore SIGTERM, some of them orphans, some in sessions of their own."""
    for member in range(5):
        if os.fork() == 0:
            if member % 2:
                os.setsid()
            if member % 3 == 0 and os.fork() != 0:
                os._exit(0)
            deaf()
    deaf()


def deaf() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    stay({})


def family(end: Callable[[], object]) -> Callable[[dict[str, Any]], None]:
    """A grandchild by fork, one by exec, both in new sessions; then the end that was asked for."""

    def act(order: dict[str, Any]) -> None:
        subprocess.Popen(
            [sys.executable, "-c", "import os, time; os.write(1, b'.'); time.sleep(600)"],
            start_new_session=True,
        )
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                stay(order)
            os._exit(0)
        os.wait()
        heard()  # the test says when
        end()

    return act


def raise_it() -> None:
    raise ValueError("this crew is not for sale")


def kill_guard() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def freeze_guard() -> None:
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(600)


ACTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "echo": echo,
    "talk": talk,
    "wait": wait,
    "stay": stay,
    "stubborn": stubborn,
    "succeed": family(lambda: say(result="done")),
    "raise": family(raise_it),
    "leave": family(lambda: os._exit(7)),
    "exit": family(lambda: sys.exit("a sentence")),
    "crash": family(lambda: ctypes.string_at(0)),
    "kill guard": family(kill_guard),
    "freeze guard": family(freeze_guard),
}

if __name__ == "__main__":
    prepare(sys.argv[1:])
    main()
