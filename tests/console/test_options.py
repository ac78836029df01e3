"""Where settings come from, and what is said about a wrong one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from console.options import OptionError, choose, config_files, config_folder


@dataclass(frozen=True)
class Settings:
    port: int = 4000
    host: str = "127.0.0.1"
    insecure: bool = False
    rate: float = 1.5
    durability: Literal["full", "normal"] = "full"
    token: str | None = None
    state_dir: Path = Path("state")
    labels: dict[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    commands: dict[str, Any] = field(default_factory=dict)


def test_a_flag_beats_the_environment_beats_the_folder_beats_the_user_beats_the_default(
    tmp_path: Path,
) -> None:
    here, user = tmp_path / "hub.toml", tmp_path / "user.toml"
    user.write_text('port = 1\nhost = "user"\nrate = 2\ndurability = "normal"')
    here.write_text('port = 2\nhost = "here"\nrate = 3')
    chosen = choose(
        Settings,
        prefix="HUB_",
        flags={"port": 4, "host": None},
        files=[here, user],
        environ={"HUB_PORT": "3", "HUB_HOST": "env"},
    )
    settings = chosen.settings
    assert (settings.port, settings.host, settings.rate, settings.durability) == (4, "env", 3.0, "normal")
    assert chosen.origins == {
        "port": "--port",
        "host": "HUB_HOST",
        "rate": str(here),
        "durability": str(user),
    } | dict.fromkeys(("insecure", "token", "state_dir", "labels", "capabilities", "commands"), "default")


def test_text_becomes_what_the_field_declares() -> None:
    environ = {
        "HUB_INSECURE": "yes",
        "HUB_STATE_DIR": "~/x",
        "HUB_LABELS": "zone=eu, disk=ssd",
        "HUB_CAPABILITIES": "python, gpu,",
    }
    settings = choose(Settings, prefix="HUB_", environ=environ).settings
    assert settings.insecure is True
    assert settings.state_dir == Path.home() / "x"
    assert settings.labels == {"zone": "eu", "disk": "ssd"}
    assert settings.capabilities == ("python", "gpu")
    flags = {"labels": ("a=1", "b=2"), "capabilities": ()}
    chosen = choose(Settings, prefix="HUB_", flags=flags, environ=environ)
    assert chosen.settings.labels == {"a": "1", "b": "2"}
    assert chosen.settings.capabilities == ("python", "gpu")


def test_tables_are_left_to_whoever_they_configure(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('[commands.poet]\nargv = ["/bin/poet", "--loud"]\n')
    settings = choose(Settings, prefix="HUB_", files=[file], environ={}).settings
    assert settings.commands == {"poet": {"argv": ["/bin/poet", "--loud"]}}


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    chosen = choose(Settings, prefix="HUB_", environ={"HUB_TOKEN_FILE": str(secret)})
    assert (chosen.settings.token, chosen.origins["token"]) == ("s3cret", "HUB_TOKEN_FILE")
    with pytest.raises(OptionError, match="cannot be read"):
        choose(Settings, prefix="HUB_", environ={"HUB_TOKEN_FILE": str(tmp_path / "none")})
    secret.write_bytes(b"x" * 2_000_000)
    with pytest.raises(OptionError, match="too big"):
        choose(Settings, prefix="HUB_", environ={"HUB_TOKEN_FILE": str(secret)})


def test_an_unknown_key_answers_did_you_mean(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text("prot = 4000")
    with pytest.raises(OptionError, match="did you mean `port`"):
        choose(Settings, prefix="HUB_", files=[file], environ={})
    with pytest.raises(OptionError, match=r"no setting is called `xyzzy`$"):
        choose(Settings, prefix="HUB_", flags={"xyzzy": 1}, environ={})
    environ = {"HUB_PROT": "1", "HUB_SOMETHING_ELSE": "1"}
    assert choose(Settings, prefix="HUB_", environ=environ).notices == (
        "HUB_PROT is not a setting; did you mean HUB_PORT?",
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "many", "is not a whole number"),
        ("RATE", "fast", "is not a number"),
        ("INSECURE", "perhaps", "neither true nor false"),
        ("DURABILITY", "ful", "did you mean `full`"),
        ("LABELS", "zone", "name=value"),
    ],
)
def test_a_value_of_the_wrong_kind_names_where_it_stands(name: str, value: str, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence) as caught:
        choose(Settings, prefix="HUB_", environ={f"HUB_{name}": value})
    assert f"HUB_{name}" in str(caught.value)


@pytest.mark.parametrize("line", ["port = true", "host = 1", "capabilities = 1", "labels = 3", "port ="])
def test_a_file_with_a_wrong_type_is_refused_by_name(tmp_path: Path, line: str) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(line)
    with pytest.raises(OptionError, match=r"hub\.toml"):
        choose(Settings, prefix="HUB_", files=[file], environ={})


def test_the_files_are_the_folders_and_the_users_unless_one_is_named(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert config_files("hub", environ=environ) == [Path("hub.toml"), tmp_path / "crewhub" / "hub.toml"]
    assert config_folder({}) == Path.home() / ".config" / "crewhub"
    with pytest.raises(OptionError, match="no file"):
        config_files("hub", tmp_path / "mine.toml")
    (tmp_path / "mine.toml").write_text("")
    assert config_files("hub", tmp_path / "mine.toml") == [tmp_path / "mine.toml"]
