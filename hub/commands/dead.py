"""`hub dead`: list, by kind too, run again, purge.

Owns the words of the group. Where tasks are named each gets its turn; otherwise the hub does it by filter.
"""

from __future__ import annotations

from typing import Any, Final

import click

from hub.commands.bulk import act_on_many, bulk_options
from hub.commands.options import hub_options, opened

COLUMNS: Final = ("task_id", "agent_id", "attempt", "updated_at", "fingerprint", "error")
GROUP_COLUMNS: Final = ("fingerprint", "count", "retried", "plugin", "last_seen_at", "example", "error")


@click.group("dead")
def command() -> None:
    """Dead letters: tasks whose attempts are used up."""


@command.command("list")
@click.option("--group", "is_grouped", is_flag=True, help="One line for each kind of failure.")
@click.option("--fingerprint", help="Only failures of this kind.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@hub_options
def list_dead(*, is_grouped: bool, fingerprint: str | None, limit: int, **where: Any) -> None:
    """List dead letters, newest first."""
    from hub.commands.tasks import pages

    if is_grouped and fingerprint:
        raise click.UsageError("--fingerprint is one kind already: leave out --group.")
    output, client = opened(where)
    with client:
        if is_grouped:
            found = pages(client, "/api/tasks/dead-letter/groups", limit, under="groups")
            output.rows(found, GROUP_COLUMNS, key="fingerprint")
        else:
            rows = pages(client, "/api/tasks/dead-letter", limit, fingerprint=fingerprint)
            output.rows(rows, COLUMNS, key="task_id")


def meant(everything: bool, fingerprint: str | None) -> dict[str, Any] | None:
    """The filter, if one was given; both is one too many."""
    if everything and fingerprint:
        raise click.UsageError("Say --all or --fingerprint, not both.")
    kind = {"fingerprint": fingerprint} if fingerprint else {}
    return {"state": "dead_letter", **kind} if everything or fingerprint else None


@command.command("retry")
@click.argument("task_ids", nargs=-1, metavar="TASK...")
@click.option("--all", "everything", is_flag=True, help="Every dead letter that was not run again yet.")
@click.option("--fingerprint", help="Those of this kind.")
@bulk_options
@hub_options
def retry_dead(
    task_ids: tuple[str, ...],
    *,
    everything: bool,
    fingerprint: str | None,
    dry_run: bool,
    yes: bool,
    **where: Any,
) -> None:
    """Run dead letters again, each as a new task; what is final stays final."""
    from hub.commands.tasks import run_again

    wanted = meant(everything, fingerprint)
    if bool(task_ids) == bool(wanted):
        raise click.UsageError("Name tasks, or say --all or --fingerprint.")
    if task_ids and dry_run:
        raise click.UsageError("--dry-run counts what --all or --fingerprint mean.")
    output, client = opened(where)
    with client:
        if wanted is None:
            run_again(client, output, task_ids)
        else:
            act_on_many(client, output, "retry", wanted, is_dry_run=dry_run, is_sure=yes)


@command.command("purge")
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.option("--fingerprint", help="Those of this kind.")
@bulk_options
@hub_options
def purge_dead(*, everything: bool, fingerprint: str | None, dry_run: bool, yes: bool, **where: Any) -> None:
    """Delete dead letters for good. What an open task waits for stays, and the newest task of the hub."""
    wanted = meant(everything, fingerprint)
    if wanted is None:
        raise click.UsageError("Say --all or --fingerprint.")
    output, client = opened(where)
    with client:
        act_on_many(client, output, "purge", wanted, is_dry_run=dry_run, is_sure=yes)
