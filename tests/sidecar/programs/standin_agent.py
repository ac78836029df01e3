"""Plays somebody else's coding agent: notes how it was called and what it was told, then says its script.

The script has a list of steps for each call in turn: an object is printed as a JSON line, a text as it is;
`$stderr`, `$exit`, `$signal` and `$hang` are not printed but done.
"""

import json
import os
import sys
import time
from pathlib import Path

folder = Path(os.environ["STANDIN_FOLDER"])
calls = folder / "calls.jsonl"
number = len(calls.read_text().splitlines()) if calls.exists() else 0
called = {"argv": sys.argv[1:], "stdin": sys.stdin.read(), "cwd": os.getcwd(), "names": sorted(os.environ)}
with calls.open("a") as file:
    file.write(json.dumps(called) + "\n")

script = json.loads((folder / "script.json").read_text())
for step in script[min(number, len(script) - 1)]:
    if isinstance(step, str):
        print(step, flush=True)
    elif "$stderr" in step:
        print(step["$stderr"], file=sys.stderr, flush=True)
    elif "$exit" in step:
        sys.exit(step["$exit"])
    elif "$signal" in step:
        os.kill(os.getpid(), step["$signal"])
    elif "$hang" in step:
        time.sleep(step["$hang"])
    else:
        print(json.dumps(step), flush=True)
