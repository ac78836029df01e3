"""A process with nothing but a zygote and one run of it, to be killed. Says when all are up.

Arguments: a folder, what the run does. For `import` there is no run: the folder `plugins` in it is imported,
and it says when that has begun.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from sidecar.runners.warm import Zygote
from tests.sidecar.forks import CHILD, PATIENCE_S, One
from tests.waiting import until

PASSED_ON = ("TEST_MARK", "PATH")


async def main(folder: str, act: str) -> None:
    plugins = Path(folder, "plugins")
    folders = [plugins] if act == "import" else []
    zygote = Zygote(Path(folder), folders, os.environ, passed_on=PASSED_ON, child=CHILD)
    if act == "import":
        async with asyncio.TaskGroup() as group:
            group.create_task(zygote.start())
            await until((plugins / "prepared").exists, "the import hangs", PATIENCE_S)
            print("{}", flush=True)
    one = One(act, zygote.launcher, Path(folder), {name: os.environ[name] for name in PASSED_ON}, ())
    await one.run.begin()
    if act == "stubborn":
        await one.is_up(6)
    else:
        await one.family_is_up()
    print(json.dumps({"marker": one.marker, "run": one.run.session}), flush=True)
    await one.run.ended()


asyncio.run(main(*sys.argv[1:]))
