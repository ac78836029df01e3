"""The table of commands: quick, complete, and kind to slips."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import click
import pytest

from hub.cli import COMMANDS, root
from hub.commands.completion import command as completion
from hub.commands.documents import asyncapi_command
from tests.hub.typing_hands import environment, run

HEAVY = (
    "apsw",
    "asyncio",
    "httpx",
    "msgspec",
    "sqlalchemy",
    "sqlmodel",
    "starlette",
    "uvicorn",
    "websockets",
)

IMPORTED = """
import json, sys
from hub.cli import root
try:
    root.main(sys.argv[1:], prog_name="hub")
finally:
    print(json.dumps(sorted(sys.modules)))
"""


def imported_by(*words: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words],
        env=environment(None),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [("--help",), ("push", "--help"), ("tasks", "list", "--help")], ids=str)
def test_help_imports_nothing_that_only_work_needs(words: tuple[str, ...]) -> None:
    assert not imported_by(*words) & set(HEAVY)


def test_every_command_of_the_table_can_be_imported_and_explains_itself() -> None:
    context = click.Context(root)
    for name, (where, _) in COMMANDS.items():
        if find_spec(where.partition(":")[0]) is None:
            continue
        command = root.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(), name


async def test_a_command_that_this_installation_lacks_breaks_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(COMMANDS, "fly", ("hub.commands.fly:command", "Take off."))
    assert "Take off." in root.get_help(click.Context(root, info_name="hub"))
    with pytest.raises(click.ClickException, match="no `hub fly`"):
        root.get_command(click.Context(root), "fly")


async def test_a_slip_is_answered_with_what_was_meant() -> None:
    slip = await run(None, "pusk", "ada", "x")
    assert slip.code == 2
    assert "Did you mean push?" in slip.err
    assert (await run(None, "pusk", "--help")).code == 2
    assert (await run(None, "--help")).code == 0
    version = await run(None, "--version")
    assert version.out.startswith("hub, version ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_shell_learns_the_commands_from_the_table(shell: str) -> None:
    script = await run(None, "completion", shell)
    assert script.code == 0, script.err
    assert "_HUB_COMPLETE" in script.out
    words = {"COMP_WORDS": "hub to", "COMP_CWORD": "1" if shell != "fish" else "to"}
    found = await run(None, _HUB_COMPLETE=f"{shell}_complete", **words)
    assert "token" in found.out
    assert "push" not in found.out
    assert completion.name == "completion"


async def test_the_documents_are_printed_without_a_hub() -> None:
    openapi = await run(None, "openapi")
    assert "/api/admin/push-task" in json.loads(openapi.out)["paths"]
    assert json.loads((await run(None, "asyncapi")).out)["asyncapi"].startswith("3.")
    assert asyncapi_command.name == "asyncapi"
