"""The sidecar's part of docs/operations.md says what the code does: commands, settings, bounds."""

import re

import click

from protocol.limits import MIB
from sidecar.cli import sidecar
from sidecar.connect import LOADING
from sidecar.passing import LINE_MS, LINES_AHEAD_MS, PROGRESS_EVERY_MS
from sidecar.plugins_at_hand import LOOK_EVERY_MS
from sidecar.settings import KEPT_FOLDER, KEPT_SECONDS, OFFLINE, SHIPPED, Settings
from tests.house.tree import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("## A sidecar's machine")[2]
CODED = set(re.findall(r"`([^`\n]+)`", TEXT))
BLOCKS = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_every_command_of_a_sidecar_that_it_names_exists() -> None:
    lines = [line.split("#")[0].split() for block in BLOCKS for line in block.splitlines()]
    commands = [*lines, *(code.split() for code in CODED if code.startswith("sidecar "))]
    assert {words[1] for words in commands} >= {"plugins", "run", "doctor", "status", "connect"}
    for words in commands:
        command = sidecar.get_command(click.Context(sidecar), words[1])
        assert command is not None, f"there is no {' '.join(words)}"
        known = {option for parameter in command.params for option in parameter.opts}
        assert not {word for word in words if word.startswith("-")} - known, words


def test_every_setting_about_crews_is_there() -> None:
    about = {name for name in Settings.__dataclass_fields__ if name.startswith(("crew_", "model", "search_"))}
    assert {*about, "plugins"} <= CODED
    assert {SHIPPED, OFFLINE, KEPT_FOLDER, KEPT_SECONDS, LOADING} <= CODED


def test_its_figures_are_the_code_s() -> None:
    assert Settings().crew_timeout_ms == 5 * 60_000
    assert "5 minutes a run" in TEXT
    assert Settings().crew_memory_bytes == 1_024 * MIB
    assert "1 GiB a run" in TEXT
    assert LOOK_EVERY_MS == 2_000
    assert "every two seconds" in TEXT
    assert f"30 lines a second for long, after a burst of {LINES_AHEAD_MS // LINE_MS}" in TEXT
    assert 1_000 // PROGRESS_EVERY_MS == 2
