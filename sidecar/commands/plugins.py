"""`sidecar plugins`: what lies in the plugin folders, whether it can be used, and why not.

Owns the table. Looks at everything that `sidecar connect` would: the documents here, the code in a process of
its own, because a plugin may do anything when it is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from console.output import Exit, Output
from sidecar.commands.options import exits, of_plugins, say, settings_of, with_config

if TYPE_CHECKING:
    from plugins.contract import Found, Trouble

COLUMNS: Final = ("name", "version", "capabilities", "description", "state")


@click.command("plugins")
@of_plugins
@click.option("--json/--no-json", "as_json", default=None, help="One JSON object a plugin.")
@with_config
def command(config: str | None, as_json: bool | None, **flags: Any) -> None:
    """Show the plugins of this sidecar, and what is wrong with those that are broken.

    \b
    Exit codes: 0 all are in order, 1 one is broken, 2 usage.
    """
    with exits():
        from sidecar.equipment import inspected
        from sidecar.settings import SHIPPED

        settings = settings_of(config, **flags)
        if not settings.plugins:
            say("no plugin folder is named: showing what comes along (name one with --plugins DIR)")
            settings = replace(settings, plugins=(SHIPPED,))
        found = inspected(settings, os.environ, lambda sentence: None)
        show(Output(as_json=as_json), found)
        sys.exit(Exit.FAILED if found.troubles else Exit.COMPLETE)


def show(output: Output, found: Found) -> None:
    """A table on a terminal, and why something is broken in full below it; a record a plugin in a pipe."""
    rows = list(records(found))
    if output.is_json:
        for row in rows:
            output.record(row)
        return
    for row in rows:
        row["state"] = f"broken: {row['reason']}" if "reason" in row else row["state"]
    if rows:
        output.table(rows, COLUMNS)
    else:
        output.note("there is no plugin in these folders; a plugin is a folder with a plugin.yaml")
    for trouble in found.troubles:
        output.note(f"\n{trouble.sentence}\n{trouble.traceback}".rstrip())


def records(found: Found) -> Iterator[dict[str, Any]]:
    for name, plugin in sorted(found.plugins.items()):
        yield {
            "name": name,
            "version": plugin.manifest.version,
            "state": "ok",
            "description": plugin.manifest.description,
            "capabilities": list(plugin.manifest.capabilities),
            "owner": plugin.manifest.owner,
            "folder": str(plugin.folder),
        }
    yield from map(record_of_trouble, found.troubles)


def record_of_trouble(trouble: Trouble) -> dict[str, Any]:
    return {
        "name": trouble.folder.rpartition("/")[2],
        "state": "broken",
        "reason": trouble.sentence,
        "traceback": trouble.traceback,
        "folder": trouble.folder,
    }
