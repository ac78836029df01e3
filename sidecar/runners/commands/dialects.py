"""Reads what an agent prints, line by line, and says it as if the agent had written on the report descriptor.

Owns lines, what is gathered over several of them, and the running sums of tokens. A line that is no JSON
object is output like any other; JSON that no rule knows is counted, and the count is said once. Nothing here
fails a run but a rule's `error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.runners.commands.rules import Found, Rule, Usage, is_number, matching
from sidecar.runners.output import Output
from sidecar.runners.process import STDOUT
from sidecar.runners.reported import Said

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A line of an agent carries a whole file now and then; a longer one is skipped, and that is said."""

GATHERED_LENGTH_MAX: Final = 200_000
"""Characters of an answer that comes in pieces; a result has room for 256 KiB of JSON."""

CALLS_MAX: Final = 10_000
"""Messages whose tokens are remembered apart; of a longer run the oldest are summed up for good."""

TURNS_FROM: Final = 30.0
TURNS_TO: Final = 70.0
TURN_SHARE: Final = 0.15
"""Agentic work goes from 30 to 70 per cent by its turns. How many there will be nobody knows, so each takes a
share of what is left and 70 is never reached.
"""

SESSION_STEP: Final = 0
"""The kept step in which a session lies."""

GATHERED: Final = "@gathered"

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class Tally:
    """Tokens and cost of one run, from lines that say them in pieces or as a whole."""

    def __init__(self) -> None:
        self._whole = (0, 0)
        self._calls: dict[str, tuple[int, int]] = {}
        self._model: str | None = None
        self._cost: float | None = None

    def add(self, usage: Usage, found: Found) -> dict[str, Any]:
        """What the run has used so far."""
        numbers = (found.count(usage.tokens_in), found.count(usage.tokens_out))
        call = found.value(usage.of)
        if isinstance(call, str):
            self._calls[call] = numbers
            if len(self._calls) > CALLS_MAX:
                self._whole = _sum(self._whole, self._calls.pop(next(iter(self._calls))))
        elif usage.adds or usage.of is not None:
            self._whole = _sum(self._whole, numbers)
        else:
            self._whole, self._calls = numbers, {}
        model, cost = found.value(usage.model), found.value(usage.cost)
        self._model = model if isinstance(model, str) else self._model
        self._cost = float(cost) if is_number(cost) and cost >= 0 else self._cost
        tokens_in, tokens_out = _sum(self._whole, *self._calls.values())
        said = {"tokens_in": tokens_in, "tokens_out": tokens_out, "model": self._model, "cost": self._cost}
        return {name: value for name, value in said.items() if value is not None}


def _sum(*numbers: tuple[int, int]) -> tuple[int, int]:
    return sum(one for one, _ in numbers), sum(other for _, other in numbers)


class Reading:
    """One run's standard output, read by rules; without rules its lines are report lines themselves."""

    def __init__(
        self, rules: tuple[Rule, ...], about_session: Mapping[str, Any], said: Said, output: Output
    ) -> None:
        self._rules = rules
        self._about_session = about_session
        self._said = said
        self._output = output
        self._tally = Tally()
        self._open = bytearray()
        self._skipped_bytes = 0
        self._gathered = ""
        self._is_gathering = False
        self._session: str | None = None
        self._progress = TURNS_FROM
        self.unknown = 0
        """JSON objects that no rule was about."""

    def heard(self, piece: bytes) -> None:
        """Take what came out of standard output."""
        *whole, rest = piece.split(b"\n")
        for end in whole:
            self._grow(end)
            self._end_of_line()
        self._grow(rest)

    def finish(self) -> None:
        """The end: a last line may lack its newline."""
        self._end_of_line()
        self._end_of_text()
        if self.unknown:
            text = f"{self.unknown} JSON lines were of a kind that no rule reads"
            self._say(log=text, level="debug")

    # -- lines

    def _grow(self, piece: bytes) -> None:
        if self._skipped_bytes or len(self._open) + len(piece) > LINE_BYTES_MAX:
            self._skipped_bytes += len(piece) + len(self._open)
            self._open.clear()
        else:
            self._open += piece

    def _end_of_line(self) -> None:
        line, skipped = bytes(self._open), self._skipped_bytes
        self._open.clear()
        self._skipped_bytes = 0
        if skipped:
            self._say(log=f"a line of {skipped} bytes was skipped", level="warning")
        elif line.strip():
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            found = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._output.heard(STDOUT, line + b"\n")
            return
        if not self._rules:
            self._said.heard(line + b"\n")
            return
        fitting = list(matching(self._rules, found))
        self.unknown += not fitting
        for one in fitting:
            self._apply(one)

    # -- rules

    def _apply(self, found: Found) -> None:
        rule = found.rule
        if rule.gather is not None:
            self._gather(found.value(rule.gather))
            return
        self._end_of_text()
        self._talk(found)
        if rule.usage is not None:
            self._say(usage=self._tally.add(rule.usage, found))
        self._keep_session(found.value(rule.session))
        if rule.result is not None:
            values = {name: self._value(found, path) for name, path in rule.result.items()}
            self._say(result={name: value for name, value in values.items() if value is not None})
        if rule.error is not None:
            error = found.text(rule.error) or "the agent failed and said no reason"
            self._say(error=error, retryable=rule.retryable)

    def _talk(self, found: Found) -> None:
        rule = found.rule
        text, message = found.text(rule.log), found.text(rule.message)
        if text:
            values = {name: found.value(path) for name, path in rule.data.items()}
            data = {name: value for name, value in values.items() if isinstance(value, str | int | float)}
            self._say(log=text, kind=rule.kind, level=rule.level, **({"data": data} if data else {}))
            if rule.level == "error":
                self._output.last.append(text)  # what an exit code is explained by
        progress = rule.progress
        if rule.turn:
            self._progress += (TURNS_TO - self._progress) * TURN_SHARE
            progress = round(self._progress, 1)
        if progress is not None or message:
            said = {"progress": progress, "message": message or None}
            self._say(**{name: value for name, value in said.items() if value is not None})

    def _value(self, found: Found, path: str) -> Any:
        return self._gathered if path == GATHERED else found.value(path)

    def _gather(self, piece: Any) -> None:
        """An answer in pieces. The text after the last thing that was no piece of it is what counts."""
        if not isinstance(piece, str):
            return
        if not self._is_gathering:
            self._is_gathering, self._gathered = True, ""
        self._gathered = (self._gathered + piece)[:GATHERED_LENGTH_MAX]

    def _end_of_text(self) -> None:
        if self._is_gathering and self._gathered.strip():
            self._say(log=self._gathered.strip(), kind="model")
        self._is_gathering = False

    def _keep_session(self, session: Any) -> None:
        if isinstance(session, str) and session and session != self._session:
            self._session = session
            self._say(step=SESSION_STEP, output={"session": session, **self._about_session})

    def _say(self, **line: Any) -> None:
        self._said.heard(_encode(line) + b"\n")
