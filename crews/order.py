"""The order that a run reads from its standard input: the task, its settings, and its credentials.

Owns that document as a type, and the reading of it. Never passes a credential on to settings or environment.
"""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

STDIN_FD: Final = 0

ORDER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Description, inputs, metadata, kept steps and answers fit into one frame of 1 MiB; escaped as JSON text
they may grow."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One finished task of an earlier attempt. Its output is an object, unless something else than a crew
    made that attempt.
    """

    index: int
    output: Any


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said to an earlier attempt."""

    request_id: str
    value: Any = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run is given. `keys` are credentials, for the model and the search and nobody else."""

    task_id: str
    plugin: str
    generation: int = 1
    attempt: int = 1
    attempts_max: int = 1
    description: str = ""
    settings: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    inputs: Any = None
    metadata: Any = None
    done: list[Step] | None = None
    answers: list[Answer] | None = None
    time_left_ms: int | None = None
    trace: str | None = None

    def __repr__(self) -> str:
        return f"Order({self.task_id}, {self.plugin})"  # whoever prints it prints no credential


class BadOrder(ValueError):
    """What came on standard input is no order."""


_decode = msgspec.json.Decoder(Order).decode


def read_order(fd: int = STDIN_FD) -> Order:
    """The whole of standard input as an order."""
    raw = bytearray()
    while piece := os.read(fd, 1 << 16):
        raw += piece
        if len(raw) > ORDER_BYTES_MAX:
            raise BadOrder(f"the order is longer than {ORDER_BYTES_MAX} bytes")
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as trouble:
        raise BadOrder(f"the order on standard input is unreadable: {trouble}") from None
