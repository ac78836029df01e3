"""A process with nothing but a zygote and one run of it, to be killed. Says when the run's family is up.

Arguments: a folder, what the run does.
"""

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path

from sidecar.runners.process import Program, Run
from sidecar.runners.warm import Zygote

FAMILY = {"stubborn": 6, "succeed": 1}


async def main(folder: str, act: str) -> None:
    passed = ("TEST_MARK", "PATH")
    zygote = Zygote(Path(folder), [], os.environ, passed_on=passed, child="tests.sidecar.programs.child")
    heard = {"up": 0, "printed": act != "succeed"}

    def hear(descriptor: int, piece: bytes) -> None:
        heard["up"] += piece.count(b'"up"')
        heard["printed"] |= descriptor == 1
        if heard["up"] == FAMILY[act] and heard["printed"]:
            print(json.dumps({"up": True}), flush=True)

    marker = uuid.uuid4().hex
    environment = {name: os.environ[name] for name in passed} | {"CREWHUB_RUN": marker}
    order = json.dumps({"act": act}).encode()
    program = Program(argv=(), environment=environment, cwd=folder, marker=marker, stdin=order)
    run = Run(program, hear, zygote.launcher)
    await run.begin()
    await run.ended()


asyncio.run(main(*sys.argv[1:]))
