"""Rules that say what a JSON line of somebody else's program means, in words of the report descriptor.

Owns the language: which lines a rule is about, and from which members it takes what it says. A rule is data,
never code: a path, a template with paths, a value to compare. Pure: a line may make it say nothing, and never
makes it raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from sidecar.runners.contract import Level

TEXT_LENGTH_MAX: Final = 2_000
"""Characters of what a template makes: a log entry, a message. Longer texts are the result's, whole."""

VALUE_LENGTH_MAX: Final = 300
"""Characters of one object or list inside a template, as JSON."""

EACH_MAX: Final = 64
"""Items of one list that a rule looks at; one message of an agent has a handful."""

RULES_MAX: Final = 64
PATH: Final = re.compile(r"[A-Za-z_@][\w-]*(?:\.[\w-]+)*", re.ASCII)

_PLACE: Final = re.compile(r"\{([^{}]*)\}")

Scalar: TypeAlias = str | int | float | bool | None
Wanted: TypeAlias = Scalar | tuple[Scalar, ...]
"""What a member must be; of several, any."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the numbers of tokens stand. Several paths are summed. The numbers are the whole run's, unless
    `adds` (each line has its own) or `of` (each value at that path has its own, and a later line of it
    replaces an earlier one).
    """

    tokens_in: tuple[str, ...] = ()
    tokens_out: tuple[str, ...] = ()
    model: str | None = None
    cost: str | None = None
    adds: bool = False
    of: str | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lines that look like `when` say. With `each`, it is about every item of the list at that path that
    looks like `where`; paths are then looked up in the item first. Every rule that fits is applied, in order.
    """

    when: dict[str, Wanted] = {}
    each: str | None = None
    where: dict[str, Wanted] = {}
    log: str | None = None
    kind: str = "log"
    level: Level = "info"
    data: dict[str, str] = {}
    message: str | None = None
    progress: float | None = None
    turn: bool = False
    session: str | None = None
    gather: str | None = None
    usage: Usage | None = None
    result: dict[str, str] | None = None
    error: str | None = None
    retryable: bool = True

    def __post_init__(self) -> None:
        usage = self.usage or Usage()
        paths = [*self.when, *self.where, *self.data.values(), *(self.result or {}).values()]
        paths += [*usage.tokens_in, *usage.tokens_out]
        paths += [
            path for path in (self.each, self.session, self.gather, usage.model, usage.cost, usage.of) if path
        ]
        for template in (self.log, self.message, self.error):
            paths += [one for place in _PLACE.findall(template or "") for one in place.split("|")]
        for path in paths:
            if not PATH.fullmatch(path):
                raise ValueError(f"{path!r} is no path: names joined by dots, such as message.content")


class Found(msgspec.Struct, frozen=True):
    """A rule that fits, and what its paths are looked up in, the nearest first."""

    rule: Rule
    places: tuple[Mapping[str, Any], ...]

    def value(self, path: str | None) -> Any:
        """What stands at a path; None where nothing does."""
        return (
            None
            if path is None
            else next((found for place in self.places if (found := at(place, path)) is not None), None)
        )

    def text(self, template: str | None) -> str:
        """The template with what its places name: `{a.b}`, or the first that is there of `{a|b}`."""
        return "" if template is None else _PLACE.sub(self._filled, template)[:TEXT_LENGTH_MAX].strip()

    def count(self, paths: tuple[str, ...]) -> int:
        """The sum of the whole numbers at these paths."""
        numbers = (self.value(path) for path in paths)
        return sum(int(one) for one in numbers if is_number(one) and 0 <= one < 2**53)

    def _filled(self, place: re.Match[str]) -> str:
        return next((said for path in place[1].split("|") if (said := shown(self.value(path)))), "")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    text = msgspec.json.encode(value).decode(errors="replace")
    return text if len(text) <= VALUE_LENGTH_MAX else text[: VALUE_LENGTH_MAX - 1] + "…"


def at(place: Any, path: str) -> Any:
    """What stands at `a.b.0`; None where nothing does."""
    for name in path.split("."):
        if isinstance(place, Mapping):
            place = place.get(name)
        elif isinstance(place, list) and name.isdecimal() and len(name) < 4 and int(name) < len(place):
            place = place[int(name)]
        else:
            return None
    return place


def fits(place: Mapping[str, Any], wanted: Mapping[str, Wanted]) -> bool:
    return all(is_one_of(at(place, path), values) for path, values in wanted.items())


def is_one_of(found: Any, values: Wanted) -> bool:
    """The same, and of the same kind: 1 is not true."""
    if not isinstance(found, str | int | float | bool | None):
        return False
    allowed = values if isinstance(values, tuple) else (values,)
    return any(type(found) is type(one) and found == one for one in allowed)


def matching(rules: tuple[Rule, ...], line: Mapping[str, Any]) -> Iterator[Found]:
    """The rules that fit a line, each as often as it does."""
    for rule in rules:
        if not fits(line, rule.when):
            continue
        if rule.each is None:
            yield Found(rule, (line,))
            continue
        items = at(line, rule.each)
        for item in items[:EACH_MAX] if isinstance(items, list) else ():
            if isinstance(item, Mapping) and fits(item, rule.where):
                yield Found(rule, (item, line))
