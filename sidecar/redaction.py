"""Keeping secrets out of everything a run says, before it is journaled or sent (L40).

Owns two rules: the exact values of the secrets that the owner has listed, and the shapes of well-known keys.
One `Redactor` serves one run, because a private key printed line by line is recognised only by who remembers
its first line. `guarded` puts it round a runner, so that nobody downstream can forget. Never logs a finding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, Protocol, assert_never, runtime_checkable

import msgspec

from sidecar.runners.contract import (
    Answers,
    AnswersAtOnce,
    Asked,
    Failed,
    Finished,
    Logged,
    Order,
    Outcome,
    Progress,
    Rejection,
    Report,
    Reporter,
    Runner,
    StepDone,
    Stopped,
    StopSignal,
    Used,
)

REDACTED: Final = "[redacted]"

SECRET_LENGTH_MIN: Final = 6
"""A shorter value is a word like `dev` or `1`: taking it out of every text would hide more than it
protects.
"""

_SHAPES: Final = (
    r"\bhub[advsj]_[A-Za-z0-9]{20,}",  # a hub's own tokens (security A1)
    r"\bsk-[A-Za-z0-9_-]{16,}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bAKIA[0-9A-Z]{16}",
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:[\s\S]*?-----END [A-Z0-9 ]*PRIVATE KEY-----|[\s\S]*)",
)
_PEM_BEGINS: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_PEM_ENDS: Final = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")


class Redactor:
    """Takes secrets out of text and JSON of one run."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        values = sorted(
            {value for value in secrets if len(value) >= SECRET_LENGTH_MIN}, key=len, reverse=True
        )
        self._text = re.compile("|".join([*(re.escape(value) for value in values), *_SHAPES]))
        self._inside_key: set[bytes | None] = set()  # the streams that have begun to print a private key

    def text(self, text: str) -> str:
        return self._text.sub(REDACTED, text)

    def json(self, raw: bytes) -> bytes:
        """JSON text without secrets; the very same bytes when there were none. What is no JSON is judged
        elsewhere.
        """
        text = raw.decode(errors="replace")
        if "\\" not in text and self._text.search(text) is None:
            return raw
        try:
            value = json.loads(text)
            clean = self._value(value)
            return raw if clean == value else msgspec.json.encode(clean)
        except (ValueError, RecursionError):
            return self._text.sub(REDACTED, text).encode()

    def report(self, report: Report) -> Report:
        match report:
            case Logged():
                return self._logged(report)
            case Progress():
                return msgspec.structs.replace(
                    report,
                    message=self._maybe(report.message),
                    execution_event=self._maybe_json(report.execution_event),
                )
            case StepDone():
                return msgspec.structs.replace(report, output=self.json(report.output))
            case Asked():
                return msgspec.structs.replace(
                    report, prompt=self.text(report.prompt), schema=self._maybe_json(report.schema)
                )
            case Used():
                return msgspec.structs.replace(report, model=self._maybe(report.model))
            case _:
                assert_never(report)

    def outcome(self, outcome: Outcome) -> Outcome:
        match outcome:
            case Finished():
                clean = self.json(outcome.result)
                return outcome if clean is outcome.result else msgspec.structs.replace(outcome, result=clean)
            case Failed():
                return msgspec.structs.replace(outcome, error=self.text(outcome.error))
            case Stopped():
                return outcome
            case _:
                assert_never(outcome)

    def _logged(self, report: Logged) -> Logged:
        """A line of output is a piece of a text: a key that began on an earlier line of its stream goes on
        in this one.
        """
        text, stream = report.text, report.data
        if report.kind == "output" and stream in self._inside_key:
            end = _PEM_ENDS.search(text)
            text = REDACTED + text[end.end() :] if end else REDACTED
            if end:
                self._inside_key.discard(stream)
        begins = list(_PEM_BEGINS.finditer(text))
        if report.kind == "output" and begins and not _PEM_ENDS.search(text, begins[-1].end()):
            self._inside_key.add(stream)
        return msgspec.structs.replace(report, text=self.text(text), data=self._maybe_json(report.data))

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self._value(item) for key, item in value.items()}
        return value

    def _maybe(self, text: str | None) -> str | None:
        return None if text is None else self.text(text)

    def _maybe_json(self, raw: bytes | None) -> bytes | None:
        return None if raw is None else self.json(raw)


@runtime_checkable
class KnowsSecrets(Protocol):
    """A runner whose orders bring secrets of their own."""

    def secrets_of(self, order: Order) -> Iterable[str]:
        """The values that this run must not say, besides those of every run."""
        ...


class _Guarded:
    """A runner whose every word passes a redactor of its run. What one order brought is taken out of its own
    run's words alone, and forgotten with it.
    """

    def __init__(self, runner: Runner, secrets: tuple[str, ...]) -> None:
        self._runner = runner
        self._secrets = secrets

    @property
    def name(self) -> str:
        return self._runner.name

    def accepts(self, order: Order) -> Rejection | None:
        return self._runner.accepts(order)

    def at_once(self, order: Order) -> Outcome | None:
        """What the runner itself can say at once (`sidecar/runs.py`), redacted."""
        outcome = self._runner.at_once(order) if isinstance(self._runner, AnswersAtOnce) else None
        return None if outcome is None else self._redactor(order).outcome(outcome)

    async def run(
        self, order: Order, report: Reporter, stop: StopSignal, answers: Answers | None = None
    ) -> Outcome:
        redactor = self._redactor(order)
        outcome = await self._runner.run(order, lambda said: report(redactor.report(said)), stop, answers)
        return redactor.outcome(outcome)

    def _redactor(self, order: Order) -> Redactor:
        runner = self._runner
        brought = runner.secrets_of(order) if isinstance(runner, KnowsSecrets) else ()
        return Redactor((*self._secrets, *brought))


def guarded(runner: Runner, secrets: Iterable[str]) -> Runner:
    """The same runner, with the listed secrets and everything of a known shape taken out of what it says."""
    return _Guarded(runner, tuple(secrets))
