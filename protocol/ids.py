"""The names of things on the wire. Owns what an id is and looks like; never makes one (that needs a die)."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, NewType

TaskId = NewType("TaskId", str)
"""`task-` and 16 lowercase hex digits."""

TASK_ID_PATTERN: Final = re.compile(r"task-[0-9a-f]{16}")
"""How ours look; a request id begins with one."""

AgentId = NewType("AgentId", str)
"""The name a person gave to an agent. It says who is meant, not which process answers."""

InstanceId = NewType("InstanceId", str)
"""One journal's life. A new journal is a new instance, whatever name it carries. A v1 client's instance is
its token."""

Generation = NewType("Generation", int)
"""The fence of a task: raised by one at each assignment, never reused, never lowered."""

Seq = NewType("Seq", int)
"""The number of a fact, per instance, from 1, without gaps."""

RequestId = NewType("RequestId", str)
"""A question to a person: see `question_id`."""

MessageId = NewType("MessageId", str)
"""16 lowercase hex digits."""

TokenId = NewType("TokenId", str)
"""The public half of a token: may be shown, logged and revoked by."""


QUESTION_MARK_LENGTH: Final = 8
"""Hex digits of a question's text in its id: enough to tell the questions of one task apart."""


def question_id(task_id: TaskId, ordinal: int, prompt: str) -> RequestId:
    """The id of a question: the task, how often its run has asked this very text by now, and a mark of the
    text. A later attempt that begins at another step still gets the answers to what it asks again, and never
    the answer to something else.
    """
    mark = sha256(prompt.encode(errors="surrogatepass")).hexdigest()[:QUESTION_MARK_LENGTH]
    return RequestId(f"{task_id}-{ordinal}-{mark}")
