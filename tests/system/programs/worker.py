"""A runner's program that keeps its own account: one line when it starts, one when it is about to report.

Arguments: the file to append to. Reads its task from standard input; `metadata.work` may ask for `steps`,
`pause_s`, `fail`, `stubborn` (ignores SIGTERM, forks, opens a new session).
"""

import json
import os
import signal
import sys
import time
from typing import Any


def note(deed: str, value: Any) -> None:
    """One record of the checker's format, in one write, so that lines of many processes never mix."""
    record = {"t": time.monotonic_ns(), "p": f"run:{os.getpid()}", "n": 1, "type": "ok", "f": deed}
    whole = record | {"task": task["task_id"], "gen": task["generation"], "value": value}
    os.write(history, json.dumps(whole).encode() + b"\n")


def report(**members: Any) -> None:
    os.write(int(os.environ["CREWHUB_REPORT_FD"]), json.dumps(members).encode() + b"\n")


def be_stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                note("log", {"pid": os.getpid()})
                time.sleep(600)
            os._exit(0)


history = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
task = json.load(sys.stdin)
wishes = (task.get("metadata") or {}).get("work", {})
note("start", {"pid": os.getpid()})
if wishes.get("stubborn"):
    be_stubborn()
steps = wishes.get("steps", 1)
for step in range(1, steps + 1):
    time.sleep(wishes.get("pause_s", 0))
    report(progress=100 * step / steps, message=f"step {step}")
if wishes.get("fail"):
    report(error="as it was told", retryable=task["attempt"] < 2)
    sys.exit(1)
result = {"pid": os.getpid(), "generation": task["generation"], "of": task["task_id"]}
note("finish", result)
report(result=result)
