"""A runner's program that works until somebody opens its gate: then it says its phases and its result.

Arguments: the file to append its account to, and the file whose existence opens the gate.
"""

import json
import os
import sys
import time


def report(**members: object) -> None:
    os.write(int(os.environ["CREWHUB_REPORT_FD"]), json.dumps(members).encode() + b"\n")


task = json.load(sys.stdin)
record = {"t": time.monotonic_ns(), "p": f"run:{os.getpid()}", "n": 1, "type": "ok", "f": "start"}
whole = record | {"task": task["task_id"], "gen": task["generation"], "value": None}
history = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(history, json.dumps(whole).encode() + b"\n")
report(phase="Container provisioned")
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
report(phase="Starting agentic loop")
report(phase="Code pushed to GitHub")
report(result={"summary": f"done with {task['plugin']}"})
