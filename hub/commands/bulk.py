"""Doing something to many tasks: counted first, asked about, then done to the end.

Owns the question before it and the account after it. What a filter means, and what can be done, is the hub's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from console.output import CommandFailed, Exit, Output

if TYPE_CHECKING:
    from hub.commands.client import HubClient

F = TypeVar("F", bound=Callable[..., Any])

SHOWN = ("action", "count", "done", "refused", "refusals", "dry_run", "more", "sample")


def bulk_options(function: F) -> F:
    """`--dry-run` and `--yes`, for whatever goes by a filter."""
    decorators = (
        click.option("--dry-run", is_flag=True, help="Count them, and do nothing."),
        click.option("--yes", is_flag=True, help="Do not ask."),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def make_sure(question: str, *, is_sure: bool) -> None:
    """A person is asked; a program must have said --yes."""
    if is_sure:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandFailed(
            f"{question} Nothing was done: say --yes, or look first with --dry-run.", Exit.USAGE
        )
    click.confirm(question, abort=True, err=True)


def act_on_many(
    client: HubClient,
    output: Output,
    action: str,
    wanted: dict[str, Any],
    *,
    is_dry_run: bool,
    is_sure: bool,
    reason: str | None = None,
) -> None:
    """Count, ask, do. Ends with 1 if the hub refused any."""
    body: dict[str, Any] = {"action": action, "filter": wanted}
    counted = client.post("/api/tasks/bulk", body)
    if is_dry_run or counted["count"] == 0:
        say(output, counted)
        return
    number = f"more than {counted['count']}" if counted["more"] else str(counted["count"])
    make_sure(f"{action.capitalize()} {number} tasks?", is_sure=is_sure)
    body |= {"dry_run": False} | ({"reason": reason} if reason else {})
    # Whoever was asked about a number said yes to that number.
    expected = {} if is_sure or counted["more"] else {"expect": counted["count"]}
    total = client.post("/api/tasks/bulk", body | expected)
    last = total
    while last["more"] and last["done"]:
        last = client.post("/api/tasks/bulk", body)
        total = added(total, last)
    say(output, total)
    sys.exit(Exit.FAILED if total["refused"] else Exit.COMPLETE)


def added(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The account of several calls as one; the sample is the first one's."""
    refusals = {
        name: before["refusals"].get(name, 0) + after["refusals"].get(name, 0)
        for name in {**before["refusals"], **after["refusals"]}
    }
    sums = {name: before[name] + after[name] for name in ("count", "done", "refused")}
    return {**before, **sums, "refusals": refusals, "more": after["more"]}


def say(output: Output, told: dict[str, Any]) -> None:
    if output.quiet:
        output.line(str(told["count"] if told["dry_run"] else told["done"]))
    else:
        output.fields({name: told[name] for name in SHOWN if name in told})
