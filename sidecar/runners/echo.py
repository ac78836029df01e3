"""The runner that gives back what it was told: for first steps, demonstrations and measurements.

Owns a tiny language in the task's metadata, so that a demonstration can misbehave on purpose (all optional):

    {"echo": {"steps": 5, "sleep_ms": 2000, "fail": "no luck", "retryable": false, "result": {...}}}

`steps` progress reports are spread over `sleep_ms`; then it fails, or gives `result` or the description.
Without an `echo` member it only answers: no timer, no task. It never starts a process.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec

from protocol.limits import RESULT_BYTES_MAX
from sidecar.runners.contract import (
    Answers,
    Failed,
    Finished,
    Order,
    Outcome,
    Progress,
    Proof,
    Rejection,
    Reporter,
    Stopped,
    StopSignal,
)

SLEEP_MS_MAX: Final = 24 * 60 * 60 * 1000
STEPS_MAX: Final = 1_000
"""A demonstration that sends more progress than this measures something else."""


class Wishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the metadata asks of the echo."""

    steps: Annotated[int, msgspec.Meta(ge=0, le=STEPS_MAX)] = 0
    sleep_ms: Annotated[int, msgspec.Meta(ge=0, le=SLEEP_MS_MAX)] = 0
    fail: str | None = None
    retryable: bool = True
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Metadata(msgspec.Struct, frozen=True):
    echo: Wishes | None = None


_metadata = msgspec.json.Decoder(_Metadata)
_encode = msgspec.json.Encoder().encode


class EchoRunner:
    """Answers with the description of the task."""

    name = "echo"

    def accepts(self, order: Order) -> Rejection | None:
        if order.plugin is None or order.plugin == self.name:
            return None
        return Rejection(reason="unknown_plugin", sentence=f"echo does not know the plugin {order.plugin}")

    def at_once(self, order: Order) -> Outcome | None:
        """The outcome of an order that asks for nothing special: no task of the loop is needed for it."""
        if b'"echo"' in order.metadata:
            return None
        return _finished(_encode({"echo": order.description}))

    async def run(
        self, order: Order, report: Reporter, stop: StopSignal, answers: Answers | None = None
    ) -> Outcome:
        if stop.is_set:
            return Stopped(how="cooperative", proof=Proof())
        outcome = self.at_once(order)
        if outcome is not None:
            return outcome
        try:
            wishes = _metadata.decode(order.metadata).echo or Wishes()
        except msgspec.MsgspecError as trouble:
            return Failed(error=f"metadata.echo is not understood: {trouble}", retryable=False, cause="setup")
        return await _perform(order, wishes, report, stop)


async def _perform(order: Order, wishes: Wishes, report: Reporter, stop: StopSignal) -> Outcome:
    rests = max(1, wishes.steps)
    left_ms = wishes.sleep_ms if order.time_left_ms is None else min(wishes.sleep_ms, order.time_left_ms)
    for step in range(rests):
        if await _stopped_within(left_ms / rests, stop):
            return Stopped(how="cooperative", proof=Proof())
        if step < wishes.steps:
            report(
                Progress(
                    progress=100 * (step + 1) / wishes.steps, message=f"step {step + 1} of {wishes.steps}"
                )
            )
    if left_ms < wishes.sleep_ms:
        return Failed(error=f"Workflow exceeded {left_ms / 1000:g}s timeout", cause="timeout")
    if wishes.fail is not None:
        return Failed(error=wishes.fail, retryable=wishes.retryable)
    if wishes.result is not msgspec.UNSET:
        return _finished(bytes(wishes.result))
    return _finished(_encode({"echo": order.description}))


def _finished(result: bytes) -> Outcome:
    if len(result) > RESULT_BYTES_MAX:
        return Failed(error=result_too_big(len(result)), retryable=False, cause="result_too_big")
    return Finished(result=result)


def result_too_big(size: int) -> str:
    """The sentence for a result that may not travel: that task fails alone (L60)."""
    return f"the result has {size} bytes, at most {RESULT_BYTES_MAX} may travel"


async def _stopped_within(rest_ms: float, stop: StopSignal) -> bool:
    if rest_ms > 0 and not stop.is_set:
        try:
            async with asyncio.timeout(rest_ms / 1000):
                await stop.wait()
        except TimeoutError:
            pass
    return stop.is_set
