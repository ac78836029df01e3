"""A process with nothing but a command runner in it: to be killed, or to have its memory measured.

Arguments: the state folder, the program to run. Prints what the program logs, and at the end one JSON line.
"""

import asyncio
import json
import os
import resource
import sys
from pathlib import Path

from protocol.ids import Generation, TaskId
from sidecar.runners.command import CommandRunner, CommandSettings
from sidecar.runners.contract import Logged, Order, Report, StopSignal
from sidecar.workspace import Workspaces


def say(report: Report) -> None:
    if isinstance(report, Logged) and report.kind == "log":
        print(report.text, flush=True)


async def main(state: str, program: str) -> None:
    settings = CommandSettings(argv=(sys.executable, program), environment=("TEST_MARK",))
    runner = CommandRunner(settings, Workspaces(Path(state)), os.environ)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = await runner.run(Order(task_id=TaskId("task-1"), generation=Generation(1)), say, StopSignal())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"outcome": type(outcome).__name__, "grown_kib": grown}), flush=True)


asyncio.run(main(*sys.argv[1:]))
