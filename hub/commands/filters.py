"""Which tasks a command means: the filters of lists, exports and bulk on the command line.

Owns their words. What each means is the hub's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

NAMES: Final = (
    "state",
    "agent_id",
    "plugin",
    "priority",
    "q",
    "label",
    "fingerprint",
    "submitted_by",
    "unique_key",
    "concurrency_key",
    "after",
    "before",
)


def moment(context: click.Context, parameter: click.Parameter, said: str | None) -> int | None:
    from console.values import moment_ms

    return None if said is None else moment_ms(said)


def filter_options(function: F) -> F:
    """Options that all must hold; `wanted_of` takes them out of what the command is given."""
    decorators = (
        click.option("--state", help="queued, running, completed, …"),
        click.option("--agent", "agent_id", metavar="AGENT"),
        click.option("--plugin"),
        click.option("--priority", type=click.Choice(["urgent", "high", "normal", "low"])),
        click.option("--grep", "q", metavar="TEXT", help="Only tasks whose description has this text."),
        click.option("--label", metavar="NAME=VALUE", help="Only tasks that were pushed with it."),
        click.option("--fingerprint", help="Only failures of this kind: hub dead list --group"),
        click.option("--submitted-by", metavar="WHO"),
        click.option("--unique-key", metavar="KEY", help="The open task that holds it."),
        click.option("--concurrency-key", metavar="KEY"),
        click.option("--after", metavar="TIME", callback=moment, help="Pushed then or later."),
        click.option("--before", metavar="TIME", callback=moment, help="Pushed before."),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def wanted_of(options: dict[str, Any]) -> dict[str, Any]:
    """The filters that were given, taken out of the options."""
    found = {name: options.pop(name) for name in NAMES}
    return {name: value for name, value in found.items() if value is not None}
