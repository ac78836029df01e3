"""A run that tells of its steps as a crew does, and does what its task says: ask, fail, hang, or finish."""

import json
import os
import sys
import time

order = json.load(sys.stdin)
wish = order["description"].split()[0]
report = os.fdopen(3, "w", buffering=1)


def say(**line: object) -> None:
    report.write(json.dumps(line) + "\n")


def step(number: int, parent: int | None, kind: str, text: str) -> None:
    say(log=text, kind=kind, data={"id": number, "parent": parent, "state": "began"})


step(1, None, "crew", "digest began: 2 tasks")
step(2, 1, "task", "Task 1/2: research")
step(3, 2, "agent", "Researcher began")
step(4, 3, "tool", "Researcher uses search")
for word in ("The ", "sea ", "is ", "blue."):
    say(log=word, kind="chunk", data={"parent": 3, "call": "c1", "agent": "Researcher"})
say(usage={"tokens_in": 120, "tokens_out": 30}, progress=50, message="Task 1/2: research")
if wish == "hang":
    time.sleep(600)
if wish == "fail":
    say(error="no ink left", retryable=False)
    sys.exit(1)
answer = None
if wish == "ask":
    say(ask="Release it?", schema={"type": "string", "enum": ["release", "hold"]})
    answer = json.loads(os.fdopen(4).readline())["value"]
    step(5, 1, "task", f"Task 2/2: {answer}")
say(result={"summary": f"Decided: {answer}", "sections": [{"title": "Why", "content": "It was time."}]})
