"""All attempts at one request: the first, and two more where a failure allows it.

Owns the time of the whole run, the pause between attempts, and what becomes of a question that nobody here
can answer. Never reads or writes an entry, and never starts a process itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from protocol.limits import CANCEL_GRACE_MS
from sidecar.events import Now
from sidecar.runners.contract import (
    Asked,
    Failed,
    Finished,
    Outcome,
    Report,
    Runner,
    StepDone,
    Stopped,
    StopSignal,
)
from sidecar.streamwork.orders import ATTEMPTS_MAX, RUN_MS, Steps, failure, order_of, result_of
from streams.entries import Request, Result

PAUSE_MS: Final = 1_000
"""Before the first retry, and twice as long before the second: what fails at once often fails again at
once."""

NOBODY: Final = "the crew asked a person, and without a hub nobody can answer: {prompt}"

log = logging.getLogger("sidecar.streamwork")


class Clock(Protocol):
    def now(self) -> Now: ...


class Effort:
    """One request. `make` is called once."""

    def __init__(self, request: Request, runner: Runner, clock: Clock, *, pause_ms: int = PAUSE_MS) -> None:
        self._request = request
        self._runner = runner
        self._clock = clock
        self._pause_ms = pause_ms
        self._until_ms = clock.now().mono_ms + RUN_MS
        self._steps = Steps()

    async def make(self, stop: StopSignal) -> Result | None:
        """How the run ended; None when it was told to stop before it had an end. Never raises."""
        try:
            return await self._make(stop)
        except Exception as error:
            log.exception("the runner broke", extra={"run": self._request.plugin_run_id})
            return failure(self._request, f"the runner broke: {type(error).__name__}: {error}")

    async def _make(self, stop: StopSignal) -> Result | None:
        attempt = 1
        while True:
            outcome = await self._attempt(attempt, stop)
            if isinstance(outcome, Finished):
                return result_of(self._request, outcome)
            if isinstance(outcome, Stopped) or (stop.is_set and outcome.retryable):
                return None
            pause_ms = outcome.retry_after_ms or self._pause_ms * 2 ** (attempt - 1)
            if not outcome.retryable or attempt == ATTEMPTS_MAX or self._left_ms() <= pause_ms:
                return result_of(self._request, outcome)
            log.info("run %s failed, once more: %s", self._request.plugin_run_id, outcome.error)
            if await stops_within(stop, pause_ms):
                return None
            attempt += 1

    def _left_ms(self) -> int:
        return max(0, self._until_ms - self._clock.now().mono_ms)

    async def _attempt(self, attempt: int, stop: StopSignal) -> Outcome:
        order = order_of(self._request, attempt, self._left_ms(), self._steps)
        its_stop, questions = StopSignal(), list[str]()
        stop.subscribe(lambda: its_stop.set(stop.reason or "shutdown", stop.grace_ms))

        def report(said: Report) -> None:
            if isinstance(said, StepDone):
                self._steps.keep(said)
            elif isinstance(said, Asked):
                questions.append(said.prompt)
                its_stop.set("cancel", CANCEL_GRACE_MS)

        outcome = await self._runner.run(order, report, its_stop)
        if questions and not stop.is_set:
            return Failed(error=NOBODY.format(prompt=questions[0]), retryable=False)
        return outcome


async def stops_within(stop: StopSignal, ms: float) -> bool:
    """Wait so long, or until the end is asked for; whether it is."""
    try:
        async with asyncio.timeout(ms / 1000):
            await stop.wait()
    except TimeoutError:
        return False
    return True
