"""Ends well at once, but leaves a grandchild in a new session that holds every descriptor open."""

import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
print("done", flush=True)
