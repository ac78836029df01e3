"""The image and the composition, judged by their structure: small rights, and nothing the image lacks."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.house.tree import ROOT

IMAGE_LACKS = {"curl", "wget", "nc", "bash", "jq"}


def composition() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def dockerfile() -> list[tuple[str, str]]:
    """Instruction and arguments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_every_service_has_the_smallest_rights() -> None:
    for name, service in composition()["services"].items():
        assert service["user"] == "10001:10001", name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys(), name


def test_every_health_check_uses_what_the_image_has() -> None:
    """A check that calls a program the image lacks reports every healthy container as sick."""
    for name, service in composition()["services"].items():
        check = service["healthcheck"]
        assert check.keys() == {"test", "interval", "timeout", "retries", "start_period"}, name
        assert check["test"][:3] == ["CMD", "python", "-c"], name
        compile(check["test"][3], name, "exec")
        assert not IMAGE_LACKS & set(re.findall(r"\w+", check["test"][3])), name


def test_every_volume_and_service_that_is_named_is_declared() -> None:
    whole = composition()
    for name, service in whole["services"].items():
        for mount in service.get("volumes", []):
            source, target = mount.split(":")[:2]
            assert source in whole["volumes"], name
            assert target.startswith("/var/lib/crewhub"), name
        assert set(service.get("depends_on", {})) <= whole["services"].keys(), name


def test_every_command_is_one_that_the_project_installs() -> None:
    for name, service in composition()["services"].items():
        assert service["command"][0] in {"hub", "sidecar"}, name


def test_every_option_of_a_service_is_one_that_its_program_knows() -> None:
    for name, service in composition()["services"].items():
        program, subcommand, *arguments = service["command"]
        asked = [str(Path(sys.executable).with_name(program)), subcommand, "--help"]
        offered = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        unknown = [
            word
            for word in arguments
            if word.startswith("--") and f"{word} " not in offered.replace("\n", " ")
        ]
        assert not unknown, f"{name}: {program} {subcommand} has no {unknown}"


def test_a_stopped_sidecar_has_time_to_drain() -> None:
    sidecar = composition()["services"]["sidecar"]
    grace_ms = int(sidecar["stop_grace_period"].removesuffix("s")) * 1_000
    assert int(sidecar["environment"]["SIDECAR_DRAIN_MS"]) < grace_ms


def test_the_sidecar_has_no_way_in_to_the_hubs_data() -> None:
    services = composition()["services"]
    sources = {
        name: {mount.split(":")[0] for mount in service["volumes"]} for name, service in services.items()
    }
    assert not sources["hub"] & sources["sidecar"]


def test_the_image_runs_as_a_user_without_rights_on_locked_requirements() -> None:
    instructions = dockerfile()
    assert ("USER", "10001:10001") in instructions
    assert instructions[-1][0] in {"CMD", "ENTRYPOINT"}
    installs = [rest for word, rest in instructions if word == "RUN" and "pip install" in rest]
    assert any("--require-hashes" in rest for rest in installs)


def test_the_image_copies_only_what_is_in_the_repository() -> None:
    for word, rest in dockerfile():
        if word == "COPY" and "--from=" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), f"COPY {source}: no such file"
