"""Tasks that are done by calling out: the work of the agent `hub:webhooks`.

Owns the body of a call, its id (one for each generation, so that the other side can tell a repeat from a new
try), the token by which the callback is believed, and what an answer means. Keeps nothing: whether a call was
taken is in the ledger. Never sends credentials, and never logs a key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from hub.core.task import Task
from hub.inner.job import Job, Undelivered
from hub.ports import Clock
from hub.webhooks import signing
from hub.webhooks.config import CallPlace
from hub.webhooks.guard import BadTarget
from hub.webhooks.posting import TOTAL_S, Answered, Unanswered, post
from protocol.ids import AgentId

CALLS_AGENT: Final = AgentId("hub:webhooks")

SLOTS: Final = 256
"""Calls whose callback is waited for at once."""

ANSWER_SHARE: Final = 0.8
"""So much of the time to accept an order a call may take: then it is given up before the board gives up."""

TRY_AGAIN: Final = frozenset({408, 409, 423, 425, 429})
"""Refusals that may be otherwise in a moment; every other 4xx says that the call itself is wrong."""

TOKEN_PREFIX: Final = "cb_"  # noqa: S105  the form of a token, not one


class Calls:
    """Implements `inner.Work`."""

    def __init__(
        self,
        places: Mapping[str, CallPlace],
        *,
        pepper: bytes,
        hub_address: str,
        accept_ms: int,
        allow_private: bool,
        clock: Clock,
    ) -> None:
        self.places = places
        self._token_key = hmac.new(pepper, b"callbacks of webhooks", hashlib.sha256).digest()
        self._hub_address = hub_address.rstrip("/")
        self._answer_s = min(TOTAL_S, accept_ms * ANSWER_SHARE / 1000)
        self._allow_private = allow_private
        self._clock = clock

    # --- inner.Work ------------------------------------------------------------------------------------

    async def deliver(self, job: Job) -> Undelivered | None:
        place = self.place_of(job.task)
        if place is None:
            return Undelivered(error="no call is configured for this plugin", is_retryable=False)
        body = self.body_of(job)
        now_s = self._clock.now().wall_ms // 1000
        headers = signing.headers_of(place.keys[0], call_id(job), now_s, body)
        try:
            answer = await post(
                place.target, body, headers, allow_private=self._allow_private, total_s=self._answer_s
            )
        except BadTarget as wrong:
            return Undelivered(error=f"the webhook was not called: {wrong}", is_retryable=False)
        return failure_in(answer)

    def forget(self, job: Job) -> None:
        """Whoever was called is not told: its callback is refused, and that says it."""

    # --- what a call says ------------------------------------------------------------------------------

    def place_of(self, task: Task) -> CallPlace | None:
        return self.places.get(task.spec.plugin or "")

    def body_of(self, job: Job) -> bytes:
        spec = job.task.spec
        return msgspec.json.encode(
            {
                "task_id": job.task_id,
                "generation": job.generation,
                "attempt": job.task.attempt + 1,
                "plugin": spec.plugin,
                "description": spec.description,
                "metadata": spec.metadata,
                "inputs": spec.inputs if spec.inputs is not None else Raw(b"null"),
                "timeout_ms": spec.timeout_ms,
                "callback_url": f"{self._hub_address}/api/callbacks/{job.task_id}",
                "callback_token": self.token_of(job.task),
            }
        )

    def token_of(self, task: Task) -> str:
        """Believed for this generation and no other: it is used up when that is over."""
        named = f"{task.task_id}:{task.generation}".encode()
        digest = hmac.new(self._token_key, named, hashlib.sha256).digest()
        return TOKEN_PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def believes(self, task: Task, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token_of(task).encode())


def call_id(job: Job) -> str:
    return f"{job.task_id}.{job.generation}"


def failure_in(answer: Answered | Unanswered) -> Undelivered | None:
    """A call is taken by any 2xx; a redirect is a wrong address."""
    if isinstance(answer, Unanswered):
        return Undelivered(error=f"the webhook was not reached: {answer.reason}")
    if answer.is_taken:
        return None
    may_be_otherwise = answer.status >= 500 or answer.status in TRY_AGAIN
    return Undelivered(
        error=f"the webhook answered {answer.status}",
        is_retryable=may_be_otherwise,
        retry_after_ms=answer.retry_after_ms,
    )
