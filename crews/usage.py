"""What a run has used: the tokens of its completed model calls, summed by model.

Owns the sum, and how the various providers call their numbers. A call that is told twice counts once; one
without numbers counts nothing. Never asks a crew for its own total, which multiplies (see docs/crews.md).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec

CALLS_MAX: Final = 1_024
"""Calls that are remembered to know a repetition: those that are open at once, and many more."""

MODELS_MAX: Final = 32
"""Models that are counted apart; what more there are is counted as one."""

OTHERS: Final = "others"

IN_NAMES: Final = ("prompt_tokens", "prompt_token_count", "input_tokens", "inputTokens")
OUT_NAMES: Final = ("completion_tokens", "candidates_token_count", "output_tokens", "outputTokens")
CACHE_NAMES: Final = ("cache_read_input_tokens", "cache_creation_input_tokens")
"""Anthropic's: tokens that came in beside its `input_tokens`."""


class Used(msgspec.Struct, frozen=True):
    """An amount: of one call, of one model, or of the run."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0

    def __add__(self, other: Used) -> Used:
        return Used(
            self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out, self.cost + other.cost
        )

    def __sub__(self, other: Used) -> Used:
        return Used(
            self.tokens_in - other.tokens_in, self.tokens_out - other.tokens_out, self.cost - other.cost
        )

    def largest(self, other: Used) -> Used:
        return Used(
            max(self.tokens_in, other.tokens_in),
            max(self.tokens_out, other.tokens_out),
            max(self.cost, other.cost),
        )


class Tally:
    """The sums of one run."""

    def __init__(self) -> None:
        self.total = Used()
        self.by_model: dict[str, Used] = {}
        self._calls: OrderedDict[str, Used] = OrderedDict()

    def add(self, call_id: str, model: str, usage: object) -> Used:
        """Count what a completed call says it used; the answer is what was new in it."""
        said = used_in(usage)
        known = self._calls.get(call_id, Used())
        news = known.largest(said) - known
        self._remember(call_id, known.largest(said))
        if news != Used():
            name = model if model in self.by_model or len(self.by_model) < MODELS_MAX else OTHERS
            self.by_model[name] = self.by_model.get(name, Used()) + news
            self.total += news
        return news

    @property
    def model(self) -> str | None:
        """The one model of the run, or all of them in a row."""
        return ", ".join(sorted(self.by_model)) or None

    def line(self) -> dict[str, Any]:
        """What has been used so far, as a report says it."""
        total: dict[str, Any] = {"tokens_in": self.total.tokens_in, "tokens_out": self.total.tokens_out}
        if self.model is not None:
            total["model"] = self.model
        if self.total.cost:
            total["cost"] = self.total.cost
        return total

    def _remember(self, call_id: str, used: Used) -> None:
        if not call_id:
            return
        self._calls[call_id] = used
        self._calls.move_to_end(call_id)
        if len(self._calls) > CALLS_MAX:
            self._calls.popitem(last=False)


def used_in(usage: object) -> Used:
    """The numbers in what a provider says; whatever is no number is none."""
    if not isinstance(usage, Mapping):
        return Used()
    tokens_in = _first(usage, IN_NAMES)
    if not any(name in usage for name in IN_NAMES[:2]):
        tokens_in += sum(_count(usage.get(name)) for name in CACHE_NAMES)
    tokens_out = _first(usage, OUT_NAMES)
    if not tokens_in and not tokens_out:
        tokens_in = _count(usage.get("total_tokens"))
    return Used(tokens_in, tokens_out, _cost(usage.get("cost")))


def _first(usage: Mapping[Any, Any], names: tuple[str, ...]) -> int:
    return next((count for name in names if (count := _count(usage.get(name)))), 0)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return max(0, int(value))


def _cost(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return max(0.0, float(value))
