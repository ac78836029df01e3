"""What a sidecar and its zygote say to each other: one JSON object a message, descriptors beside it.

Owns the form alone, for both ends. Asked: `{"ask": n, "ping": true}`, or `{"ask": n, "guard": [numbers]}` and
with it the control socket and the program's five descriptors, whose numbers in the sidecar are told because
the order will name them so. Answered: `{"answer": n}`, for a guard with its `pid` and a descriptor of that
process, or with `trouble`. Standard library only. Never waits.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable
from typing import Any, Final

MESSAGE_BYTES_MAX: Final = 4096
"""A message is a few numbers and at most one sentence."""

DESCRIPTORS_MAX: Final = 16
"""A guard takes six; whatever is more would be closed unseen by the kernel."""


def say(end: socket.socket, message: dict[str, Any], descriptors: Iterable[int] = ()) -> None:
    """Send it whole or not at all; the other end gets duplicates of the descriptors."""
    body = json.dumps(message).encode()
    assert len(body) <= MESSAGE_BYTES_MAX, "a message is small by its making"
    socket.send_fds(end, [body], list(descriptors))


def hear(end: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and what came with it, now ours to close. EOFError when the other end has gone."""
    body, descriptors, _, _ = socket.recv_fds(end, MESSAGE_BYTES_MAX, DESCRIPTORS_MAX)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # the flag that would do it is not heard (CPython 3.11)
    if not body:
        drop(descriptors)
        raise EOFError
    message: dict[str, Any] = json.loads(body)
    return message, descriptors


def drop(descriptors: Iterable[int]) -> None:
    """Close what is not needed, or was passed on."""
    for descriptor in descriptors:
        os.close(descriptor)
