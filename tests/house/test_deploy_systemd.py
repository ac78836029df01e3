"""The units: hardened as security.md's Z1 says, with names that exist, and time to end."""

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from hub.cli import root
from sidecar.cli import sidecar
from tests.house.containers import SYSTEMD, environment_of_unit, options_of, unit

UNITS = {"hub": SYSTEMD / "crewhub-hub.service", "sidecar": SYSTEMD / "crewhub-sidecar@.service"}
PROGRAMS = {"hub": root, "sidecar": sidecar}

HARDENED = {
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateUsers": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "StateDirectoryMode": "0700",
    "UMask": "0077",
    "LimitNOFILE": "65536",
    "LimitCORE": "0",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces": "yes",
    "SystemCallArchitectures": "native",
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_hardened(name: str) -> None:
    settings = unit(UNITS[name])
    assert {key: settings.get(key, ["?"])[-1] for key in HARDENED} == HARDENED
    assert settings["SystemCallFilter"][0] == "@system-service"
    assert settings["SystemCallFilter"][1].startswith("~@privileged")
    assert {"MemoryMax", "TasksMax"} <= settings.keys()


@pytest.mark.parametrize("name", UNITS)
def test_systemd_itself_finds_little_exposed_and_nothing_wrong(name: str, tmp_path: Path) -> None:
    """Z1: at most 2.0."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    copied = tmp_path / UNITS[name].name.replace("@", "@build-1")
    copied.write_text(UNITS[name].read_text(encoding="utf-8").replace("/opt/crewhub/bin/", "/bin/"))
    text = copied.read_text(encoding="utf-8")
    for key in ("hub", "sidecar"):
        text = text.replace(f"/bin/{key} ", "/bin/true ")
    copied.write_text(text)
    judged = subprocess.run(
        [program, "security", "--offline=true", "--threshold=20", str(copied)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert re.search(r"Overall exposure level for \S+: [01]\.\d", judged.stdout)
    verified = subprocess.run(
        [program, "verify", "--man=no", str(copied)], capture_output=True, text=True, check=False
    )
    assert copied.name not in verified.stderr, verified.stderr


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_what_the_program_knows(name: str) -> None:
    program, subcommand, *arguments = unit(UNITS[name])["ExecStart"][0].split()
    assert program == f"/opt/crewhub/bin/{name}"
    group = PROGRAMS[name]
    command = group.get_command(click.Context(group), subcommand)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(options_of(arguments)) <= known


def test_every_sidecar_of_a_machine_has_its_own_name_token_and_folder() -> None:
    settings = unit(UNITS["sidecar"])
    said = environment_of_unit(settings)
    assert "--agent-id=%i" in settings["ExecStart"][0]
    assert settings["StateDirectory"] == ["crewhub-sidecar-%i"]
    assert said["SIDECAR_STATE_DIR"] == "/var/lib/crewhub-sidecar-%i"
    assert settings["LoadCredential"] == ["token:/etc/crewhub/%i.token"]
    assert said["SIDECAR_TOKEN_FILE"] == "%d/token"
    assert int(said["SIDECAR_DRAIN_MS"]) < int(settings["TimeoutStopSec"][0]) * 1_000


def test_what_a_new_start_does_not_mend_is_not_started_again() -> None:
    """74: the disk cannot be trusted; 78: a setting is wrong (docs/operations.md)."""
    settings = unit(UNITS["hub"])
    assert settings["Restart"] == ["on-failure"]
    assert {"74", "78"} <= set(settings["RestartPreventExitStatus"][0].split())
