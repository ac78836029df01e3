"""What a program says on its report descriptor: JSON lines, one object a line, read one by one.

Owns that grammar: progress, phase, iteration, log, usage, step, event, ask, result, error, stopped.
A line that is not of it becomes a log entry and never a failure; progress never falls.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from protocol.ids import RequestId, TaskId, question_id
from protocol.limits import RESULT_BYTES_MAX
from sidecar.runners.contract import (
    REPORT_TEXT_LENGTH_MAX,
    Asked,
    Level,
    Logged,
    Progress,
    Reporter,
    StepDone,
    Used,
)
from sidecar.runners.phases import iteration, phase_named

LINE_BYTES_MAX: Final = 2 * RESULT_BYTES_MAX
"""A longer line is not kept while it grows; a result may be as big as it likes and still gets its own
answer.
"""

LOG_BYTES_MAX: Final = 256 * 1024
"""Log entries and garbage of one run; what comes after is counted and said once."""

LOG_FIELDS_BYTES_MAX: Final = 16 * 1024
"""`data` of one log entry: with the longest text it still fits into one frame of small talk. More is left
out, and its size is said in its place.
"""

PROMPT_LENGTH_MAX: Final = 16 * 1024
"""Characters of a question that travel: more than a person reads, and below what a frame may hold."""

SCHEMA_BYTES_MAX: Final = 16 * 1024
"""A bigger schema is left out, so that the question itself can travel."""

QUESTIONS_MAX: Final = 1_000
"""More questions than this is a program in a loop: the rest is a log entry."""


class _Usage(msgspec.Struct):
    tokens_in: int = 0
    tokens_out: int = 0
    model: str | None = None
    cost: float | None = None


class _Line(msgspec.Struct):
    progress: float | None = None
    message: str | None = None
    phase: str | None = None
    iteration: int | None = None
    iterations: int = 0
    log: str | None = None
    level: Level = "info"
    kind: str = "log"
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    usage: _Usage | None = None
    step: int | None = None
    output: msgspec.Raw = msgspec.Raw(b"null")
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    ask: str | None = None
    schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: str | None = None
    retryable: bool = True
    retry_after_ms: int | None = None
    stopped: bool = False


_line = msgspec.json.Decoder(_Line)


class Said:
    """Everything one run has said so far; `result` and `error` wait here until the program has ended.
    `stopped`: it ended because it was told to.
    """

    def __init__(self, task_id: TaskId, report: Reporter, log_bytes_max: int = LOG_BYTES_MAX) -> None:
        self.task_id = task_id
        self.report = report
        self.result: bytes | None = None
        self.result_bytes = 0
        self.error: str | None = None
        self.retryable = True
        self.retry_after_ms: int | None = None
        self.stopped = False
        self.tokens: int | None = None
        self.phase: str | None = None
        self.questions = 0
        self.progress = 0.0
        self.dropped_lines = 0
        self._asked: Counter[RequestId] = Counter()  # how often each text, by the id of its "zeroth" question
        self._log_left = log_bytes_max
        self._open = bytearray()
        self._overlong = 0  # bytes of the line that is being skipped

    def heard(self, piece: bytes) -> None:
        """Take what came out of the report descriptor."""
        *whole, rest = piece.split(b"\n")
        for end in whole:
            self._grow(end)
            self._end_of_line()
        self._grow(rest)

    def finish(self) -> None:
        """The end: a last line may lack its newline."""
        self._end_of_line()
        if self.dropped_lines:
            self.report(Logged(level="warning", text=f"{self.dropped_lines} more log lines were dropped"))

    def _grow(self, piece: bytes) -> None:
        if self._overlong or len(self._open) + len(piece) > LINE_BYTES_MAX:
            self._overlong += len(piece) + (0 if self._overlong else len(self._open))
            del self._open[256:]  # how it began tells what it was
            self._open += piece[: max(0, 256 - len(self._open))]
        else:
            self._open += piece

    def _end_of_line(self) -> None:
        line, size = bytes(self._open).strip(), self._overlong
        self._open.clear()
        self._overlong = 0
        if size:
            self._too_long(line, size)
        elif line:
            self._take(line)

    def _too_long(self, beginning: bytes, size: int) -> None:
        if beginning.replace(b" ", b"").startswith(b'{"result":'):
            self.result, self.result_bytes = None, size
        else:
            self._log(f"a line of {size} bytes was skipped: {beginning.decode(errors='replace')}", "warning")

    def _take(self, line: bytes) -> None:
        try:
            said = _line.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._log(line.decode(errors="replace"), "info", kind="output")
            return
        self._facts(said)
        self._news(said)

    def _facts(self, said: _Line) -> None:
        if said.result is not msgspec.UNSET:
            self.result_bytes = len(bytes(said.result))
            self.result = bytes(said.result) if self.result_bytes <= RESULT_BYTES_MAX else None
        if said.error is not None:
            self.error, self.retryable, self.retry_after_ms = said.error, said.retryable, said.retry_after_ms
        self.stopped = self.stopped or said.stopped
        if said.step is not None:
            self.report(StepDone(index=said.step, output=bytes(said.output)))
        if said.ask is not None:
            self._ask(said)

    def _ask(self, said: _Line) -> None:
        if self.questions >= QUESTIONS_MAX:
            self._log(f"not asked, {QUESTIONS_MAX} questions are enough: {said.ask}", "warning")
            return
        self.questions += 1
        prompt = said.ask or ""
        self._asked[question_id(self.task_id, 0, prompt)] += 1
        ordinal = self._asked[question_id(self.task_id, 0, prompt)]
        schema = None if said.schema is msgspec.UNSET else bytes(said.schema)
        if schema is not None and len(schema) > SCHEMA_BYTES_MAX:
            self._log(f"the question's schema of {len(schema)} bytes was left out", "warning")
            schema = None
        self.report(
            Asked(
                request_id=question_id(self.task_id, ordinal, prompt),
                prompt=prompt[:PROMPT_LENGTH_MAX].replace("\0", "\ufffd"),
                schema=schema,
            )
        )

    def _news(self, said: _Line) -> None:
        if said.usage is not None:
            usage = said.usage
            self.tokens = usage.tokens_in + usage.tokens_out
            self.report(Used(**msgspec.structs.asdict(usage)))
        if said.log is not None:
            self._log(said.log, said.level, said.kind, _fields(said.data))
        self._progress(said)

    def _progress(self, said: _Line) -> None:
        percent, message = said.progress, said.message
        if said.phase is not None:
            self.phase, of_phase = phase_named(said.phase)
            percent, message = (of_phase if percent is None else percent), message or self.phase
        if said.iteration is not None:
            percent = iteration(said.iteration, said.iterations) if percent is None else percent
            message = message or f"Iteration {said.iteration} of {said.iterations}"
        event = None if said.event is msgspec.UNSET else bytes(said.event)
        if percent is None and message is None and event is None:
            return
        if percent is not None:
            self.progress = percent = max(self.progress, min(100.0, percent))
        self.report(Progress(progress=percent, message=message, execution_event=event))

    def _log(self, text: str, level: Level, kind: str = "log", fields: bytes | None = None) -> None:
        text = text[:REPORT_TEXT_LENGTH_MAX].replace("\0", "\ufffd")
        size = len(text) + len(fields or b"")
        if self._log_left < size:
            self._log_left = 0
            self.dropped_lines += 1
            return
        self._log_left -= size + 1
        self.report(Logged(text=text, level=level, kind=kind, data=fields))


def _fields(raw: msgspec.Raw | msgspec.UnsetType) -> bytes | None:
    """The fields of a log entry: a JSON object, or what is told instead of one."""
    fields = b"" if raw is msgspec.UNSET else bytes(raw)
    if not fields or fields == b"null":
        return None
    if not fields.startswith(b"{") or len(fields) > LOG_FIELDS_BYTES_MAX:
        return f'{{"left_out_bytes":{len(fields)}}}'.encode()
    return fields
