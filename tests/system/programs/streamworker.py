"""`sidecar work` with a stand-in for crews, so that a test's own lines are what runs. No test is here.

Arguments: the Redis, a folder of plugins, the state folder, the slots, the health port (0: none).
"""

import sys
from pathlib import Path

from console.logs import set_up_logs
from sidecar.settings import Settings
from sidecar.streamwork.program import StreamSidecar
from tests.sidecar.pluginyard import CHILD


def say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    url, plugins, state, slots, port = sys.argv[1:]
    settings = Settings(
        redis=url,
        plugins=(plugins,),
        model="offline",
        state_dir=Path(state),
        slots=int(slots),
        health_port=int(port),
    )
    set_up_logs("info")
    sys.exit(StreamSidecar(settings, say, CHILD).run())
