"""Prints 100 MiB in lines, half of it as errors, and then says how it went."""

import os

LINE = b"x" * 1023 + b"\n"
BLOCK = LINE * 64
for turn in range(1600):
    os.write(1 + turn % 2, BLOCK)
os.write(3, b'{"result": "printed"}\n')
