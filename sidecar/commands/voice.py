"""What a run says and asks: steps and questions on standard error, the result on standard output.

Owns the wording of `sidecar run` and who answers its questions: whoever types, or a pipe, line by line. Never
knows where the run is from, and decides nothing about it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import ExitStack, suppress
from functools import partial
from signal import Signals
from typing import TYPE_CHECKING, Any, Final

import msgspec

from console.harmless import harmless
from console.live import FootLine
from console.output import Output, cut
from console.questions import choices_of, say_prompt, typed_lines, value_for
from console.results import say_result
from console.story import Story
from protocol.limits import CANCEL_GRACE_MS
from sidecar.clock import SidecarClock
from sidecar.runners.contract import (
    Answers,
    Asked,
    Failed,
    Finished,
    Logged,
    Outcome,
    Progress,
    Report,
    StepDone,
    Stopped,
    StopSignal,
    Used,
)

if TYPE_CHECKING:
    from types import TracebackType

PROMPT: Final = "> "


class Voice:
    """One run's. Use as a context, and from the loop's own thread only."""

    def __init__(self, output: Output) -> None:
        self.interrupted_by: Signals | None = None
        self.is_unanswered = False
        """It asked, and nobody was there."""
        self._output = output
        self._notes = Output(as_json=False, quiet=output.quiet, out=sys.stderr, err=sys.stderr)
        self._clock = SidecarClock()
        self._foot = FootLine(self._notes, lambda: self._clock.now().wall_ms)
        self._story = Story()
        self._tells_steps = False
        self._said = ""
        self._words = ""
        self._usage: Used | None = None
        self._open = ExitStack()
        self._stop: StopSignal | None = None
        self._answers = Answers()
        self._questions: deque[Asked] = deque()
        self._typed: deque[str] = deque()
        self._is_over = False
        self._is_listening = False

    def __enter__(self) -> Voice:
        self._open.enter_context(self._foot)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def remark(self, sentence: str) -> None:
        """A note for the person."""
        if not self._output.quiet:
            with self._foot.lifted():
                self._notes.note(sentence)

    def begin(self) -> None:
        """The run is on: from now on time passes at the foot."""
        self._foot.begin(self._clock.now().wall_ms)

    # --- what it says ---------------------------------------------------------------------------------------

    def report(self, said: Report) -> None:
        """Anything that a run says on the way."""
        match said:
            case Progress():
                self._progress(said)
            case Logged():
                self._logged(said)
            case Used():
                self._usage = said
                self._words = f"{said.tokens_in} tokens in, {said.tokens_out} out"
                self._show()
            case Asked():
                self._ask(said)
            case StepDone():
                pass  # kept for a later attempt, of which there is none

    def _progress(self, said: Progress) -> None:
        """It moves the bar, and is a line only where no step has said the same."""
        self._show(said.progress)
        message = said.message or ""
        if message not in ("", self._said) and not self._tells_steps:
            self._said = message
            percent = "" if said.progress is None else f"{said.progress:3.0f} %  "
            self._line(f"{percent}{message}", "strong")

    def _logged(self, said: Logged) -> None:
        entry = {"text": said.text, "level": said.level, "kind": said.kind, "data": value_of(said.data)}
        step = self._story.heard(entry)
        if step is not None and step.kind != "question":
            self._tells_steps = self._tells_steps or step.kind in ("crew", "task", "agent")
            self._line(step.indented, step.tone)
        self._show()

    def _line(self, text: str, tone: str) -> None:
        if self._notes.quiet:
            return
        shown = cut(harmless(text), self._notes.columns)
        with self._foot.lifted():
            self._notes.line(self._notes.paint(shown, tone) if tone else shown)

    def _show(self, percent: float | None = None) -> None:
        spoken = self._story.spoken
        room = max(20, self._notes.columns - 60) if self._foot.is_seen else 0
        tail = f"…{spoken[-room:]}" if len(spoken) > room else spoken
        self._foot.show(percent, "  ".join(filter(None, (self._words, tail))))

    # --- what it asks ---------------------------------------------------------------------------------------

    def listen_for(self, stop: StopSignal) -> Answers:
        """Where the answers of this run come from. When nobody can answer, it is stopped."""
        self._stop = stop
        return self._answers

    def _ask(self, question: Asked) -> None:
        self._questions.append(question)
        if len(self._questions) == 1:
            self._put_question()

    def _put_question(self) -> None:
        question = self._questions[0]
        with self._foot.lifted():
            say_prompt(self._notes, question.prompt, value_of(question.schema))
        if self._typed:
            self._answer(self._typed.popleft())
        elif self._is_over:
            self._nobody_answers()
        else:
            self._foot.hold(PROMPT)
            self._listen()

    def _listen(self) -> None:
        if not self._is_listening:
            self._is_listening = True
            loop = asyncio.get_running_loop()
            self._open.enter_context(typed_lines(partial(self._hand_over, loop)))

    def _hand_over(self, loop: asyncio.AbstractEventLoop, line: str | None) -> None:
        """On the listening thread; a line that comes when the run is over is nobody's."""
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._heard, line)

    def _heard(self, line: str | None) -> None:
        """A line of standard input; a pipe's lines wait for their questions, a person's do not."""
        if line is None:
            self._is_over = True
            if self._questions:
                self._nobody_answers()
        elif self._questions:
            self._answer(line)
        elif not sys.stdin.isatty():
            self._typed.append(line)

    def _answer(self, line: str) -> None:
        question = self._questions[0]
        self._foot.hold(None)
        schema = value_of(question.schema)
        value, choices = value_for(line, schema), choices_of(schema)
        if choices and value not in choices:
            self.remark(f"That is none of: {', '.join(choices)}")
        else:
            self._questions.popleft()
            self._answers.put(question.request_id, msgspec.json.encode(value))
        if self._questions:
            self._put_question()

    def _nobody_answers(self) -> None:
        self._foot.hold(None)
        self.is_unanswered = True
        self.remark("Nobody answers: standard input has ended. Run it in a terminal, or pipe the answers in.")
        assert self._stop is not None, "a run that asks has begun"
        self._stop.set("cancel", CANCEL_GRACE_MS)

    # --- how it ends ----------------------------------------------------------------------------------------

    def say_outcome(self, outcome: Outcome) -> None:
        """The end: for a pipe one line of JSON, for a person what matters."""
        with self._foot.lifted():
            if self._output.is_json:
                self._output.record(self._record(outcome))
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        if isinstance(outcome, Failed):
            self._notes.note(outcome.error)
        elif isinstance(outcome, Stopped):
            proof = outcome.proof
            signals = f" by {', '.join(proof.signals)}" if proof.signals else ""
            self.remark(f"stopped: {outcome.how}{signals} ({proof.reaped} reaped, {proof.survivors} left)")
        elif not self._output.is_json:
            say_result(self._output, value_of(outcome.result))

    def _record(self, outcome: Outcome) -> dict[str, Any]:
        record: dict[str, Any] = {}
        match outcome:
            case Finished():
                record = {"state": "completed", "result": value_of(outcome.result)}
            case Failed():
                record = {"state": "failed", "error": outcome.error, "cause": outcome.cause}
            case Stopped():
                proof = msgspec.to_builtins(outcome.proof)
                record = {"state": "cancelled", "stopped": outcome.how, "proof": proof}
        if self._usage is not None:
            record["usage"] = msgspec.to_builtins(self._usage)
        return record


def value_of(raw: bytes | None) -> Any:
    """JSON that a run has said. It was only looked at from outside: what is none is taken as text."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return raw.decode(errors="replace")
