"""Ignores SIGTERM, forks, forks twice, opens new sessions; says when it is ready."""

import os
import signal
import time

FAMILY = 6


def stay() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.write(3, b'{"log": "up"}\n')
    while True:
        time.sleep(60)


for member in range(FAMILY - 1):
    if os.fork() == 0:
        if member % 2:
            os.setsid()
        if member % 3 == 0 and os.fork() != 0:
            os._exit(0)  # the grandchild is an orphan now
        stay()
stay()
