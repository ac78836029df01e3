"""The composition: valid by the schema of compose files, small rights, and nothing that an image lacks."""

import copy
import json
import re
import shlex
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.house.containers import composition, options_of, program_of
from tests.house.tree import ROOT

IMAGE_LACKS = {"curl", "wget", "nc", "bash", "jq"}
OURS = ("hub", "sidecar")
COMMENT = "\n".join(
    line[1:].strip() for line in (ROOT / "compose.yaml").read_text().splitlines() if line.startswith("#")
)


def faults(whole: dict[str, Any]) -> list[str]:
    place = files("check_jsonschema").joinpath("builtin_schemas", "vendor", "compose-spec.json")
    schema = json.loads(place.read_text(encoding="utf-8"))
    return [error.message for error in Draft202012Validator(schema).iter_errors(whole)]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_it_is_what_the_specification_allows() -> None:
    assert faults(composition()) == []


@pytest.mark.parametrize(
    ("member", "value"),
    [("restarts", "always"), ("ports", "4000"), ("cap_drop", "ALL"), ("healthcheck", {"tests": []})],
)
def test_a_composition_that_is_wrong_would_be_found(member: str, value: object) -> None:
    whole = copy.deepcopy(composition())
    whole["services"]["hub"][member] = value
    assert faults(whole)


def test_there_are_a_hub_two_sidecars_and_a_redis_that_keeps_what_it_is_told() -> None:
    services = composition()["services"]
    assert services.keys() == {"hub", "sidecar", "redis"}
    assert services["sidecar"]["deploy"] == {"replicas": 2}
    assert services["redis"]["image"].startswith("redis:7")
    words = shlex.join(services["redis"]["command"])
    assert "--appendonly yes" in words
    assert "--maxmemory-policy noeviction" in words


def test_every_service_has_the_smallest_rights_and_comes_back() -> None:
    for name, service in composition()["services"].items():
        assert service["user"] == ("10001:10001" if name in OURS else "999:999"), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert {"pids_limit", "mem_limit"} <= service.keys(), name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys(), name


def test_every_health_check_uses_what_the_image_has() -> None:
    """L91: a check that calls a program the image lacks reports every healthy container as sick."""
    for name, service in composition()["services"].items():
        check = service["healthcheck"]
        assert check.keys() == {"test", "interval", "timeout", "retries", "start_period"}, name
        if name in OURS:
            assert check["test"][:3] == ["CMD", "python", "-c"], name
            compile(check["test"][3], name, "exec")
        else:
            assert check["test"][:2] == ["CMD", "redis-cli"], name
        assert not IMAGE_LACKS & set(re.findall(r"\w+", shlex.join(check["test"]))), name


def test_every_volume_and_network_that_is_named_is_declared() -> None:
    whole = composition()
    used = set()
    for name, service in whole["services"].items():
        for mount in service["volumes"]:
            source, target, *mode = mount.split(":")
            if source.startswith("./"):
                assert mode == ["ro"], f"{name}: what is the owner's is only read"
            else:
                assert target == ("/data" if name == "redis" else "/var/lib/crewhub"), name
                used.add(source)
        assert set(service["networks"]) <= whole["networks"].keys(), name
        assert set(service.get("depends_on", {})) <= whole["services"].keys(), name
    assert used == whole["volumes"].keys()


def test_plugins_are_read_only_and_where_their_readers_look() -> None:
    for name in OURS:
        service = composition()["services"][name]
        assert "./plugins:/plugins:ro" in service["volumes"]
        assert service["environment"]["PLUGIN_DIR"] == "/plugins"


def test_every_command_is_one_that_the_project_installs_with_options_that_it_knows() -> None:
    for name in OURS:
        program, subcommand, *arguments = program_of(composition()["services"][name]["command"])
        assert program == name
        asked = [str(Path(sys.executable).with_name(program)), subcommand, "--help"]
        offered = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        unknown = [word for word in options_of(arguments) if f"{word} " not in offered.replace("\n", " ")]
        assert not unknown, f"{name}: {program} {subcommand} has no {unknown}"


def test_a_stopped_sidecar_has_time_for_a_run_and_for_its_end() -> None:
    sidecar = composition()["services"]["sidecar"]
    drain_ms = int(sidecar["environment"]["SIDECAR_DRAIN_MS"])
    assert int(sidecar["environment"]["CREW_TIMEOUT_SECONDS"]) * 1_000 < drain_ms
    assert drain_ms < seconds(sidecar["stop_grace_period"]) * 1_000


def test_the_probes_of_every_replica_are_published_on_this_machine_only() -> None:
    sidecar = composition()["services"]["sidecar"]
    assert "--health-host=0.0.0.0" in sidecar["command"], "a probe from outside finds nobody on loopback"
    assert "--health-port=8000" in sidecar["command"]
    (published,) = sidecar["ports"]
    first, last = (int(port) for port in published.split(":")[1].split("-"))
    assert last - first + 1 == sidecar["deploy"]["replicas"]
    for service in composition()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_a_sidecar_has_no_way_to_the_hubs_data_nor_to_redis() -> None:
    """What a crew makes the sidecar do stays with the sidecar."""
    services = composition()["services"]
    mounts = {
        name: {mount.split(":")[0] for mount in service["volumes"]} for name, service in services.items()
    }
    assert mounts["hub"] & mounts["sidecar"] == {"./plugins"}
    assert "redis" not in str(services["sidecar"])
    assert not set(services["sidecar"]["networks"]) & set(services["redis"]["networks"])
    assert "ports" not in services["redis"]
    assert composition()["networks"]["streams"] == {"internal": True}


def test_the_first_start_makes_a_token_for_every_replica_where_the_seats_are() -> None:
    sidecar = composition()["services"]["sidecar"]
    made = re.findall(r"--agent-id (\S+) -q > (\S+)", COMMENT)
    assert len(made) == sidecar["deploy"]["replicas"]
    assert all(path == f"secrets/tokens/{name}.token" for name, path in made)
    assert "./secrets/tokens:/run/crewhub/tokens:ro" in sidecar["volumes"]
    assert "--tokens=/run/crewhub/tokens" in sidecar["command"]
    assert "/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
