"""What a request means to a runner, and what the end of a run means to whoever asked.

Owns the translation both ways: entries know nothing of orders, and runners nothing of entries. Pure; never
looks at a credential, which travels in the settings as it came.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from protocol.ids import Generation, TaskId
from protocol.limits import DONE_BYTES_MAX
from sidecar.runners.contract import Failed, Finished, Order, StepDone
from streams.entries import Request, Result
from streams.names import RUN_MS_MAX

ATTEMPTS_MAX: Final = 3
"""The first and two retries."""

RUN_MS: Final = RUN_MS_MAX
"""All attempts of one run together: below what an entry may be quiet before it is somebody else's (L93)."""

_encode = msgspec.json.Encoder().encode


class Steps:
    """What earlier attempts of a run have finished: the next one need not do it again."""

    def __init__(self) -> None:
        self._kept: dict[int, bytes] = {}

    def keep(self, step: StepDone) -> None:
        """One that was done again with another outcome takes those after it away: they were made from the
        first. What does not fit is not kept, and done again.
        """
        known = self._kept.get(step.index)
        if known is not None and known != step.output:
            self._kept = {index: output for index, output in self._kept.items() if index < step.index}
        size = sum(map(len, self._kept.values()))
        if step.index in self._kept or size + len(step.output) <= DONE_BYTES_MAX:
            self._kept[step.index] = step.output

    @property
    def done(self) -> bytes | None:
        """As an order carries them."""
        if not self._kept:
            return None
        steps = [{"index": index, "output": msgspec.Raw(self._kept[index])} for index in sorted(self._kept)]
        return _encode(steps)


def task_id_of(plugin_run_id: str) -> TaskId:
    """A run's task id: the same in every attempt and with every worker, as the run's id is (L86)."""
    return TaskId(f"task-{hashlib.sha256(plugin_run_id.encode()).hexdigest()[:16]}")


def order_of(request: Request, attempt: int, time_left_ms: int, steps: Steps) -> Order:
    """One attempt at a request."""
    whose = {"plugin_run_id": request.plugin_run_id, "user_id": request.user_id}
    return Order(
        task_id=task_id_of(request.plugin_run_id),
        generation=Generation(attempt),
        attempt=attempt,
        attempts_max=ATTEMPTS_MAX,
        metadata=_encode(whose),
        plugin=request.plugin_name,
        inputs=_encode(request.settings),
        time_left_ms=time_left_ms,
        done=steps.done,
    )


def result_of(request: Request, outcome: Finished | Failed) -> Result:
    """The entry that tells how a run ended. A failure always says why (L92)."""
    if isinstance(outcome, Finished):
        output = output_of(outcome.result)
        return Result(plugin_run_id=request.plugin_run_id, status="completed", output=output)
    return failure(request, outcome.error or "it failed without a reason")


def failure(request: Request, error: str) -> Result:
    """A run that has no result, and why."""
    return Result(plugin_run_id=request.plugin_run_id, status="failed", error=error)


def output_of(result: bytes) -> str:
    """What a crew has made, as text: its words as they are, anything else as JSON (L88)."""
    found = msgspec.json.decode(result)
    text = found.get("output") if isinstance(found, dict) and len(found) == 1 else found
    return text if isinstance(text, str) else result.decode()
