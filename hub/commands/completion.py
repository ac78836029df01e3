"""`hub completion`: the script that teaches a shell our commands."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script. For bash: hub completion bash >> ~/.bashrc"""
    from click.shell_completion import get_completion_class

    from hub.cli import root

    completion = get_completion_class(shell)
    assert completion is not None, f"click knows {shell}"
    click.echo(completion(root, {}, "hub", "_HUB_COMPLETE").source())
