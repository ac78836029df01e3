"""What the owner may write in a configuration, and what a task's values may become in it."""

import json
import sys
from pathlib import Path

import msgspec
import pytest

from sidecar.runners.command import TIMEOUT_MS, CommandSettings, command_settings
from sidecar.runners.contract import Failed, Finished, Order
from tests.sidecar.runs import Bench, order

REPORT = "import os, json\nsay = lambda **line: os.write(3, json.dumps(line).encode() + b'\\n')\n"


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("echo",),
        ("/bin/echo", "{description:text}"),
        ("/bin/echo", "--", "x={description:text}"),
        ("/bin/echo", "--", "{description:shell}"),
        ("/bin/echo", "--", "{environ:text}"),
    ],
)
def test_an_unsafe_template_is_refused_at_start(argv: tuple[str, ...]) -> None:
    """X2, L35."""
    with pytest.raises(ValueError, match=r"argv|placeholder|type|name|stand"):
        CommandSettings(argv=argv)


def test_the_token_of_the_sidecar_cannot_be_passed_on() -> None:
    """X5: not even by a slip in the settings."""
    with pytest.raises(ValueError, match="belongs to the sidecar"):
        CommandSettings(argv=("/bin/true",), environment=("HUB_TOKEN",))


def test_settings_name_an_unknown_member() -> None:
    with pytest.raises(msgspec.ValidationError, match="shell"):
        msgspec.convert({"argv": ["/bin/true"], "shell": True}, CommandSettings)


def test_commands_are_read_from_a_configuration() -> None:
    """X1: by plugin name; a list is an argument vector, a table says more."""
    read = command_settings(("/bin/a",), {"b": ["/bin/b"], "c": {"argv": ["/bin/c"], "timeout_ms": 5}})
    assert [(one.plugin, one.argv, one.timeout_ms) for one in read] == [
        (None, ("/bin/a",), TIMEOUT_MS),
        ("b", ("/bin/b",), TIMEOUT_MS),
        ("c", ("/bin/c",), 5),
    ]
    assert command_settings((), {}) == ()


@pytest.mark.parametrize(
    "table", [{}, 7, ["relative"], {"argv": "/bin/sh -c x"}, {"argv": ["/bin/a"], "sh": 1}]
)
def test_a_wrong_table_is_named(table: object) -> None:
    """L92."""
    with pytest.raises(ValueError, match="command mine: "):
        command_settings((), {"mine": table})


@pytest.mark.parametrize("name", ["../elsewhere", "A", "", "a" * 65, "a/b"])
def test_a_plugin_name_is_a_small_word(name: str) -> None:
    """X1, L39."""
    with pytest.raises(ValueError, match="plugin name"):
        command_settings((), {name: ["/bin/true"]})


@pytest.mark.parametrize(
    ("placeholder", "wanted", "argument"),
    [
        ("{inputs.topic:word}", order(inputs=b'{"topic":"ai.news"}'), "ai.news"),
        ("{metadata.n:int}", order(metadata=b'{"n":7}'), "7"),
        ("{generation:int}", order(), "1"),
        ("{inputs.topic:word}", order(inputs=b'{"topic":"a b"}'), None),
        ("{inputs.topic:word}", order(inputs=b'{"topic":["a"]}'), None),
        ("{inputs.topic:word}", order(inputs=b"[]"), None),
        ("{inputs.topic:word}", order(), None),
        ("{metadata.n:int}", order(metadata=b'{"n":-7}'), None),
        ("{metadata.n:int}", order(metadata=b'{"n":true}'), None),
        ("{inputs.topic:text}", order(inputs=b'{"topic":"-rf"}'), None),
    ],
)
async def test_a_placeholder_takes_only_its_type(
    tmp_path: Path, placeholder: str, wanted: Order, argument: str | None
) -> None:
    """X2: typed, behind `--`, a missing value is no empty string."""
    source = REPORT + "import sys\nsay(result=sys.argv[2])"
    outcome = await Bench(tmp_path, (sys.executable, "-c", source, "--", placeholder)).run(wanted)
    if argument is None:
        assert isinstance(outcome, Failed)
        assert outcome.cause == "setup"
    else:
        assert outcome == Finished(result=json.dumps(argument).encode())
