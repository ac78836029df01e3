"""One attempt of any program: heard while it goes, answered, ended in steps, and read at its end.

Owns what lies between a `Run`, which knows only bytes and processes, and the one `Outcome` of it. Time rests
while a person is asked. What a person has answered in an earlier attempt is answered again without asking.
Never decides what to start, and what an end means is `verdict.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from protocol.ids import RequestId
from sidecar.clock import loop_s
from sidecar.runners.allowance import Allowance
from sidecar.runners.contract import (
    Answers,
    Asked,
    Failed,
    Logged,
    Order,
    Outcome,
    Proof,
    Report,
    Reporter,
    Stopped,
    StopSignal,
)
from sidecar.runners.output import OUTPUT_BYTES_MAX, Output
from sidecar.runners.process import (
    REPORT,
    STDOUT,
    SUPERVISED,
    TIMEOUT_GRACE_MS,
    Ended,
    Launcher,
    Program,
    Run,
)
from sidecar.runners.reported import LOG_BYTES_MAX, Said
from sidecar.runners.verdict import AskedToEnd, Verdict

COOPERATE_MS: Final = 2_000
"""What a program that hears a stop gets to end by itself before TERM, at most half of the grace: a model
that streams reaches its next word in milliseconds, and one that hangs hears nothing.
"""

_encode = msgspec.json.Encoder().encode


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a kind of program is treated. `speaks`: it was written for the sidecar, so it hears
    `{"stop": why}` before any signal, and says result, error or `stopped` itself.
    """

    time_ms: int
    output_bytes_max: int = OUTPUT_BYTES_MAX
    log_bytes_max: int = LOG_BYTES_MAX
    speaks: bool = False


class Dialect(Protocol):
    """Reads what a program prints as what it would have reported: `heard` is called with each piece of
    standard output, `finish` at its end.
    """

    def heard(self, piece: bytes) -> None:
        """Take a piece. What it means is said with `Said.heard`, what is only text with `Output.heard`."""

    def finish(self) -> None:
        """The end: a last line may lack its newline."""


MakeDialect: TypeAlias = Callable[[Said, Output], Dialect]


class _GivenBefore(msgspec.Struct):
    request_id: RequestId
    value: msgspec.Raw


_given_before = msgspec.json.Decoder(list[_GivenBefore])


def answers_of(order: Order) -> dict[RequestId, bytes]:
    """What people answered in earlier attempts, by request id. An order whose answers have another form has
    none: its questions are asked again.
    """
    try:
        given = _given_before.decode(order.answers or b"[]")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return {one.request_id: bytes(one.value) for one in given}


class Attempt:
    """One run of one program; `make` is called once."""

    def __init__(
        self,
        order: Order,
        report: Reporter,
        manner: Manner,
        launcher: Launcher = SUPERVISED,
        dialect: MakeDialect | None = None,
    ) -> None:
        self.manner = manner
        self.report = report
        self.launcher = launcher
        self.output = Output(report, manner.output_bytes_max)
        self.said = Said(order.task_id, self._hear, manner.log_bytes_max)
        self.dialect = None if dialect is None else dialect(self.said, self.output)
        self.allowance = Allowance(manner.time_ms, self._time_is_up)
        self.answered = answers_of(order)
        self.open_questions: set[RequestId] = set()
        self.run: Run | None = None
        self.asked: AskedToEnd | None = None
        self.excess = ""
        self.is_over = False
        self._failed_before = False
        self._kill_at = float("inf")
        self._term: asyncio.TimerHandle | None = None

    async def make(self, program: Program, stop: StopSignal, answers: Answers | None) -> Outcome:
        """Start it, hear it, end it when that is asked for; returns when nothing of it is left."""
        self.run = run = Run(program, self._heard, self.launcher)
        not_begun = await self._begin(run, stop)
        if not_begun is not None:
            return not_begun
        if not self.open_questions:
            self.allowance.run()
        stop.subscribe(lambda: self._end("stop", stop.grace_ms, stop.reason or "cancel"))
        if answers is not None:
            answers.subscribe(self._answer)
        try:
            ended = await run.ended()
        finally:
            self._close()
        self._finish()
        return self._outcome(ended)

    async def _begin(self, run: Run, stop: StopSignal) -> Outcome | None:
        """Start it; the outcome when that cannot be, or when the stop came first: to wait for a process that
        can be forked may take minutes.
        """
        beginning: asyncio.Task[str] | None = None
        try:
            async with asyncio.TaskGroup() as group:
                beginning = group.create_task(_begun(run))
                stop.subscribe(partial(_give_up, beginning))
        except asyncio.CancelledError:
            if beginning is not None and not beginning.cancelled() and not beginning.result():
                run.end("stop", 0)  # it began in the very moment in which we were cancelled
                await run.ended()
            raise
        if beginning.cancelled():
            return Stopped(how="cooperative", proof=Proof())
        trouble = beginning.result()
        return Failed(error=f"no process for the run: {trouble}", cause="machine") if trouble else None

    def cut(self, excess: str) -> None:
        """It takes more than it may: killed without a grace, because a grace would let it take more still."""
        if self.run is not None and self.asked is None and not self.is_over:
            self.asked, self.excess = "memory", excess
            self.run.end("stop", 0)

    def leader(self) -> int | None:
        """The first process of the run, which leads its session; None before there is one."""
        return None if self.run is None else self.run.session

    # -- while it goes

    def _heard(self, descriptor: int, piece: bytes) -> None:
        if descriptor == REPORT:
            self.said.heard(piece)
        elif descriptor == STDOUT and self.dialect is not None:
            self.dialect.heard(piece)
        else:
            self.output.heard(descriptor, piece)

    def _hear(self, report: Report) -> None:
        if isinstance(report, Asked) and not self._ask(report):
            return
        self.report(report)

    def _ask(self, question: Asked) -> bool:
        """Whether a person must be asked. Time rests from now on if so: people take as long as they do."""
        known = self.answered.get(question.request_id)
        if known is None:
            self.open_questions.add(question.request_id)
            self.allowance.rest()
            return True
        self.report(Logged(kind="question", text=f"answered before: {question.prompt}"))
        self._say_answer(question.request_id, known)
        return False

    def _answer(self, request_id: RequestId, value: bytes) -> None:
        """Hand an answer to the program, or keep it until it asks. With the last open question answered,
        time passes again.
        """
        if request_id not in self.open_questions:
            self.answered.setdefault(request_id, value)
            return
        self.open_questions.discard(request_id)
        self._say_answer(request_id, value)
        if not self.open_questions and not self.is_over and self.asked is None:
            self.allowance.run()

    def _say_answer(self, request_id: RequestId, value: bytes) -> None:
        if self.run is not None:
            self.run.say(_encode({"request_id": request_id, "value": msgspec.Raw(value)}))

    # -- being told to end

    def _time_is_up(self) -> None:
        self._end("timeout", TIMEOUT_GRACE_MS, "timeout")

    def _end(self, why: Literal["stop", "timeout"], grace_ms: int, word: str) -> None:
        """One that speaks hears of it first and gets its TERM later; the KILL at the end of the grace is the
        same for all. Asking again may only shorten the grace.
        """
        run = self.run
        if run is None or self.is_over:
            return
        kill_at = loop_s() + grace_ms / 1000
        if self.asked is None:
            self.asked, self._failed_before = why, self.said.error is not None
            if self.manner.speaks:
                run.say(_encode({"stop": word}))
        elif kill_at >= self._kill_at:
            return
        self._kill_at = kill_at
        cooperate_ms = min(grace_ms // 2, COOPERATE_MS) if self.manner.speaks else 0
        if self._term is not None:
            self._term.cancel()
        if cooperate_ms == 0:
            run.end(why, grace_ms)
        else:
            self._term = run.loop.call_later(cooperate_ms / 1000, run.end, why, grace_ms - cooperate_ms)

    # -- the end

    def _close(self) -> None:
        self.is_over = True
        self.allowance.rest()
        if self._term is not None:
            self._term.cancel()

    def _finish(self) -> None:
        if self.dialect is not None:
            self.dialect.finish()
        self.said.finish()
        self.output.finish()

    def _outcome(self, ended: Ended) -> Outcome:
        verdict = Verdict(self.said, self.output, self.manner.time_ms)
        asked = None if self._failed_before else self.asked
        outcome = (
            verdict.of_a_crew(ended, asked, self.excess)
            if self.manner.speaks
            else verdict.of_a_command(ended)
        )
        if ended.why == "timeout" and self.said.result_bytes and self.said.error is None:
            self.report(
                Logged(level="warning", text="the program did not end after its result and was stopped")
            )
        return outcome


async def _begun(run: Run) -> str:
    """Start it; why that cannot be, or nothing."""
    try:
        await run.begin()
    except OSError as trouble:
        return trouble.strerror or str(trouble) or type(trouble).__name__
    return ""


def _give_up(beginning: asyncio.Task[str]) -> None:
    beginning.cancel()  # nothing when it has begun
