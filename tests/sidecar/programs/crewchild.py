"""A child module that behaves as a crew's does, without any crew: the task's text says what it shall do."""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any


def prepare(folders: Sequence[str]) -> dict[str, Any]:
    return {"plugins": [{"name": "digest", "version": "1"}], "troubles": [], "crewai": "none"}


def say(**members: object) -> None:
    os.write(3, json.dumps(members).encode() + b"\n")


def show(order: dict[str, Any]) -> None:
    say(result=[order, dict(os.environ), sys.argv, os.getcwd()])


def obey(order: dict[str, Any]) -> None:
    say(log="up", data={"pid": os.getpid()})
    with open(4, "rb") as answers:
        say(log=json.loads(answers.readline())["stop"])
    say(stopped=True)


def hang(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        say(log="up")
    while True:
        time.sleep(60)


def crash(order: dict[str, Any]) -> None:
    print("about to fall", flush=True)
    ctypes.string_at(0)


def chat(order: dict[str, Any]) -> None:
    for step in range(20):
        say(log=f"{order['task_id']} {step}")
    say(result=order["task_id"])


ACTS: dict[str, Callable[[dict[str, Any]], None]] = {
    act.__name__: act for act in (show, obey, hang, crash, chat)
}


def main() -> None:
    order = json.loads(sys.stdin.buffer.read())
    ACTS[order["description"]](order)
    os._exit(0)
