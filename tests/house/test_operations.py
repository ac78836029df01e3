"""docs/operations.md says what the code does: its commands, settings, figures, alerts and bounds exist."""

import re

import click

from hub import life
from hub.cli import root
from hub.core.effects import AlertKind
from hub.core.policy import Policy
from hub.metrics import Metrics
from hub.settings import Settings
from hub.store.ledger import FREE_BYTES_MIN
from protocol.limits import MIB
from tests.house.tree import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
CODED = set(re.findall(r"`([^`\n]+)`", TEXT)) | {
    line.split("#")[0].split(">")[0] for block in FENCED for line in block.splitlines()
}


def test_every_command_that_it_names_exists() -> None:
    commands = [code.split() for code in CODED if code.startswith("hub ")]
    assert len(commands) > 8
    for words in commands:
        command: click.Command = root
        context = click.Context(command)
        for word in words[1:]:
            if not isinstance(command, click.Group):
                break
            found = command.get_command(context, word)
            assert found is not None, f"there is no {' '.join(words)}"
            command = found
        known = {option for parameter in command.params for option in parameter.opts}
        assert not {word for word in words if word.startswith("-")} - known, words


def test_every_setting_has_its_default_there() -> None:
    named = {code for code in CODED if code in Settings.__dataclass_fields__}
    assert len(named) > 20
    for name, amount in re.findall(r"`(\w+_(?:max|burst|per_second|events))` ([\d,]+)", TEXT):
        assert getattr(Settings(), name) == int(amount.replace(",", "")), name
    for name, amount in re.findall(r"`(\w+_ms)` (\d+) s", TEXT):
        assert getattr(Settings(), name) == int(amount) * 1_000, name


def test_every_figure_and_every_alert_is_there_and_real() -> None:
    figures = {metric.name for metric in Metrics().registry.collect()}
    named = {code.removesuffix("_total") for code in CODED if code.startswith("hub_")}
    assert named <= figures
    assert {kind.value for kind in AlertKind} <= CODED


def test_the_bounds_and_exit_codes_are_the_code_s() -> None:
    assert f"less than {FREE_BYTES_MIN // MIB} MiB free" in TEXT
    assert f"{Policy().tasks_open_max:,} open tasks" in TEXT
    codes = (life.EXIT_OK, life.EXIT_BUG, life.EXIT_STORAGE, life.EXIT_CONFIGURATION)
    assert all(f"\n| {code} | " in TEXT for code in codes)
