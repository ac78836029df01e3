"""A runner's program that finishes a step, asks a person, and says what it was told and given.

Argument: the file to which its start is appended. A step that was kept is not done again.
"""

import json
import os
import sys
import time
from typing import Any

PROMPT = "Which colour?"


def report(**members: Any) -> None:
    os.write(int(os.environ["CREWHUB_REPORT_FD"]), json.dumps(members).encode() + b"\n")


task = json.load(sys.stdin)
done = task.get("done") or []
record = {"t": time.monotonic_ns(), "p": f"run:{os.getpid()}", "n": 1, "type": "ok", "f": "start"}
record |= {"task": task["task_id"], "gen": task["generation"], "value": {"pid": os.getpid()}}
history = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(history, json.dumps(record).encode() + b"\n")
if not done:
    report(step=0, output={"by": task["generation"]})
report(ask=PROMPT, schema={"enum": ["red", "blue"]})
with open(int(os.environ["CREWHUB_ANSWERS_FD"]), encoding="utf-8") as answers:
    told = json.loads(answers.readline())
report(result={"told": told["value"], "generation": task["generation"], "done": done})
