"""What a task may ask of the queue, as options of `hub push`: who, when, how often, and after what.

Owns how these are written on the command line, and the members of a body that they become. Never asks a hub.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from console.values import duration_ms, moment_ms

F = TypeVar("F", bound=Callable[..., Any])

PAIRED: Final = {"labels": "--label", "needed_labels": "--need-label", "preferred_labels": "--prefer-label"}
DURATIONS: Final = ("accept_timeout_ms", "lease_ms", "progress_timeout_ms")
MOMENTS: Final = ("run_at", "start_by")
WORDS: Final = ("priority", "slot", "sticky_key", "unique_key")

BACKOFF: Final = re.compile(r"(?P<first>\w+?)(?:\.\.(?P<max>\w+))?(?:,(?P<jitter>half|full))?")
LIMIT: Final = re.compile(r"\d{1,6}", re.ASCII)
RATE: Final = re.compile(r"(?P<count>\d{1,6})/(?P<per>\w+)", re.ASCII)
NOT_SAID: Final[tuple[Any, ...]] = (None, [], {})

OPTIONS: Final = (
    click.option("--capability", "capabilities", multiple=True, help="Whoever can do this; leave AGENT out."),
    click.option("--need-label", "needed_labels", multiple=True, metavar="K=V", help="The agent has it."),
    click.option(
        "--prefer-label", "preferred_labels", multiple=True, metavar="K=V", help="Rather these agents."
    ),
    click.option("--label", "labels", multiple=True, metavar="K=V", help="A label of the task itself."),
    click.option("--slot", metavar="KIND", help="It takes a slot of this kind, and no other."),
    click.option("--sticky", "sticky_key", metavar="KEY", help="Rather where the last of this key ran."),
    click.option(
        "--priority",
        type=click.Choice(["urgent", "high", "normal", "low"]),
        help="Its place in line; as with --at, it waits if the agent is not connected.",
    ),
    click.option("--at", "run_at", metavar="TIME", help="Not before this time."),
    click.option(
        "--start-by", "start_by", metavar="TIME", help="It is given up if it has not begun by then."
    ),
    click.option("--after", "depends_on", multiple=True, metavar="TASK", help="When this one has completed."),
    click.option("--unique-key", "unique_key", metavar="KEY", help="No two open tasks have the same."),
    click.option("--limit", metavar="KEY=N", help="At most N tasks of this key at once."),
    click.option("--rate", metavar="KEY=N/1m", help="At most N tasks of this key begin in such a time."),
    click.option(
        "--backoff", metavar="2s..5m", help="Pauses between tries; with ,full for any part of them."
    ),
    click.option("--accept-timeout", "accept_timeout_ms", metavar="10s", help="For an agent to accept it."),
    click.option("--lease", "lease_ms", metavar="30s", help="For how long a run need not be heard of."),
    click.option(
        "--progress-timeout", "progress_timeout_ms", metavar="5m", help="For how long it may be silent."
    ),
)


def term_options(function: F) -> F:
    """All of them on a command."""
    for decorate in reversed(OPTIONS):
        function = decorate(function)
    return function


def terms_of(options: dict[str, Any]) -> dict[str, Any]:
    """The members of the body that were asked for."""
    terms: dict[str, Any] = {name: options.get(name) for name in WORDS}
    terms["needed_capabilities"] = list(options.get("capabilities") or ())
    terms["depends_on"] = list(options.get("depends_on") or ())
    for name, option in PAIRED.items():
        terms[name] = pairs_of(options.get(name) or (), option)
    for names, read in ((DURATIONS, duration_ms), (MOMENTS, moment_ms)):
        terms |= {name: read(options[name]) for name in names if options.get(name) is not None}
    if options.get("backoff") is not None:
        terms["backoff"] = backoff_of(options["backoff"])
    # What was said goes to the hub, also an empty key or a limit of 0: dropped, it would mean no limit.
    return {name: value for name, value in (terms | ration_of(options)).items() if value not in NOT_SAID}


def pairs_of(said: tuple[str, ...], option: str) -> dict[str, str]:
    pairs = {}
    for pair in said:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"{option} wants name=value, not {pair!r}.")
        pairs[name] = value
    return pairs


def backoff_of(said: str) -> dict[str, Any]:
    """`2s..5m`, `2s`, `2s..5m,full`: the first pause, the longest, and how much of it the die may take."""
    found = BACKOFF.fullmatch(said)
    if found is None:
        raise click.BadParameter(f"--backoff wants 2s..5m or 2s..5m,full, not {said!r}.")
    backoff: dict[str, Any] = {"first_ms": duration_ms(found["first"])}
    if found["max"]:
        backoff["max_ms"] = duration_ms(found["max"])
    if found["jitter"]:
        backoff["jitter"] = found["jitter"]
    return backoff


def ration_of(options: dict[str, Any]) -> dict[str, Any]:
    """A limit and a rate of one key."""
    found: dict[str, Any] = {}
    for name, form in (("limit", "KEY=3"), ("rate", "KEY=10/1m")):
        said = options.get(name)
        if said is None:
            continue
        key, _, ration = said.rpartition("=")
        rate = RATE.fullmatch(ration)
        if not key or not (LIMIT.fullmatch(ration) if name == "limit" else rate):
            raise click.BadParameter(f"--{name} wants {form}, not {said!r}.")
        if found.setdefault("concurrency_key", key) != key:
            raise click.BadParameter("--limit and --rate of one task are of one key.")
        found[name] = (
            int(ration) if rate is None else {"count": int(rate["count"]), "per_ms": duration_ms(rate["per"])}
        )
    return found
