"""Never the same process twice: forks, opens a session in the child, lets the parent end, again and again."""

import os
import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.write(3, b'{"log": "up"}\n')
    while True:
        if os.fork() != 0:
            os._exit(0)
        os.setsid()
while True:
    time.sleep(60)
