"""The `hub` command: a table of subcommands, each imported only when it is called.

Owns the table. Never does anything itself, so that `hub push --help` costs one small import.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click
from click.shell_completion import CompletionItem

from console.output import CommandFailed, Exit

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("hub.commands.serve:command", "Run a hub."),
    "demo": ("hub.commands.demo:command", "See a hub, two sidecars and their tasks at work."),
    "push": ("hub.commands.push:command", "Push a task to an agent."),
    "watch": ("hub.commands.watch:command", "Watch a task, or the whole feed."),
    "tasks": ("hub.commands.tasks:command", "Look at tasks and steer them."),
    "dead": ("hub.commands.dead:command", "List dead letters, run them again, purge them."),
    "runs": ("hub.commands.runs:command", "Start runs of plugins, look at them and at briefings."),
    "agents": ("hub.commands.agents:command", "Look at agents and steer them."),
    "webhooks": ("hub.commands.webhooks:command", "Tell others of events, and see whether they heard."),
    "token": ("hub.commands.token:command", "Make, list, rotate and revoke tokens."),
    "db": ("hub.commands.db:command", "Check, back up, prune and upgrade the database."),
    "config": ("hub.commands.config:command", "Show the configuration and where each value comes from."),
    "doctor": ("hub.commands.doctor:command", "Look for what is wrong."),
    "completion": ("hub.commands.completion:command", "Print the completion script of a shell."),
    "openapi": ("hub.commands.documents:openapi_command", "Print the OpenAPI document."),
    "asyncapi": ("hub.commands.documents:asyncapi_command", "Print the AsyncAPI document."),
}


class LazyGroup(click.Group):
    """A group that knows the names and one-line helps of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise CommandFailed(f"This installation has no `hub {cmd_name}`.", Exit.USAGE) from error
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """From the table: pressing Tab imports nothing either."""
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        found = [CompletionItem(name, help=COMMANDS[name][1]) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="crewhub", prog_name="hub")
def root() -> None:
    """Dispatch work to agents, watch it, stop it, trust it."""


def main() -> None:
    """The entry point; Ctrl-C ends with 130 and without a traceback."""
    try:
        root.main(prog_name="hub", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.code if isinstance(error, CommandFailed) else error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(Exit.INTERRUPTED)


if __name__ == "__main__":
    main()
