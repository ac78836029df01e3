"""`hub doctor`: look for what is wrong, and say what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.harmless import harmless
from console.output import CommandFailed, Exit, Output

if TYPE_CHECKING:
    from hub.commands.places import Place
    from hub.examination import Finding
    from hub.settings import Settings


@click.command("doctor")
@click.option("--hub", "hub_url", metavar="URL", help="The hub's address.")
@click.option("--token-file", metavar="FILE", help="A file with the token.")
@click.option("--state-dir", metavar="DIR", help="Folder of the ledger, as for hub serve.")
@click.option("--config", "config_file", metavar="FILE", help="This file instead of ./hub.toml.")
@click.option("--audit", is_flag=True, help="Check the promises against the ledger and the histories.")
@click.option(
    "--history",
    "histories",
    multiple=True,
    metavar="FILE",
    help="With --audit: what a hub, sidecar or client wrote down.",
)
@click.option("--json/--no-json", "as_json", default=None, help="JSON lines instead of text.")
def command(
    hub_url: str | None,
    token_file: str | None,
    state_dir: str | None,
    config_file: str | None,
    audit: bool,
    histories: tuple[str, ...],
    as_json: bool | None,
) -> None:
    """Look for what is wrong with a hub and its machine. Exit 1 if anything is.

    \b
    hub doctor
    hub doctor --audit                     also: does the ledger keep every promise?
    """
    from hub.commands.serve import settings_of
    from hub.examination import examine

    output = Output(as_json)
    settings = settings_of({"state_dir": state_dir}, config_file, output)
    findings = list(examine(settings, place_of(hub_url, token_file)))
    if audit:
        findings += audited(settings, [Path(one) for one in histories])
    for finding in findings:
        say(output, finding.word, finding.sentence)
    has_failed = any(finding.word == "FAIL" for finding in findings)
    sys.exit(Exit.FAILED if has_failed else Exit.COMPLETE)


def place_of(hub_url: str | None, token_file: str | None) -> Place | None:
    """The hub that commands would talk to; None if there is none to be found."""
    from hub.commands.places import find_hub

    try:
        return find_hub(hub_url, token_file)
    except CommandFailed as failed:
        if failed.code == Exit.UNREACHABLE:
            return None
        raise


def audited(settings: Settings, histories: list[Path]) -> list[Finding]:
    from hub.examination import audit, fail, findings_of

    if not settings.database_file.exists():
        return [fail(f"there is nothing to audit: no database at {settings.database_file}")]
    for path in histories:
        if not path.exists():
            raise CommandFailed(f"There is no history at {path}.", Exit.USAGE)
    return list(findings_of(audit(settings, histories)))


def say(output: Output, word: str, sentence: str) -> None:
    if output.is_json:
        output.record({"finding": word, "sentence": sentence})
    else:
        colour = {"ok": "good", "WARN": "warn", "FAIL": "bad"}[word]
        output.line(f"{output.paint(word.ljust(4), colour)}  {harmless(sentence)}")
