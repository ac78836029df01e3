"""docs/deploying.md says what the files say: its commands, names, numbers and snippets are theirs."""

import re
import shlex

import click
import yaml

from hub.cli import root
from hub.settings import Settings as HubSettings
from sidecar.cli import sidecar
from sidecar.seat import ALL_TAKEN
from sidecar.settings import Settings as SidecarSettings
from tests.house.containers import (
    SYSTEMD,
    composition,
    environment_of,
    manifests,
    options_of,
    pod_of,
    stages,
    unit,
)
from tests.house.test_deploy_compose import COMMENT, faults
from tests.house.tree import ROOT

TEXT = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
LINES = [
    line.split("#")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def test_its_first_start_is_the_one_that_the_composition_gives() -> None:
    said = [
        line.split("#")[0].strip() for line in COMMENT.splitlines() if line.startswith(("docker", "mkdir"))
    ]
    assert len(said) == 5
    assert [line for line in LINES if line.startswith(("docker compose", "mkdir"))] == said


def test_every_command_of_the_hub_exists() -> None:
    found = [line.partition("hub token")[2] for line in LINES if "hub token" in line]
    assert len(found) == 3
    group = root.get_command(click.Context(root), "token")
    assert isinstance(group, click.Group)
    for line in found:
        words = shlex.split(line)
        command = group.get_command(click.Context(group), words[0])
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known


def test_the_command_without_a_hub_exists() -> None:
    (line,) = (line for line in LINES if line.startswith("sidecar "))
    words = line.split()
    command = sidecar.get_command(click.Context(sidecar), words[1])
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(options_of(words)) <= known


def test_every_file_that_it_names_is_there() -> None:
    for path in re.findall(r"`((?:deploy|tests)/[\w./-]+|Dockerfile|compose\.yaml|network\.yaml)`", TEXT):
        place = ROOT / path if path != "network.yaml" else ROOT / "deploy" / "k8s" / path
        assert place.exists(), path
    for target in re.findall(r"--target (\w+)", TEXT):
        assert target in stages()


def test_its_example_of_a_key_is_a_composition_that_fits() -> None:
    (snippet,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    added = yaml.safe_load(snippet)
    whole = composition()
    whole["services"]["sidecar"] |= {"secrets": added["services"]["sidecar"]["secrets"]}
    whole["services"]["sidecar"]["environment"] |= added["services"]["sidecar"]["environment"]
    assert faults(whole | {"secrets": added["secrets"]}) == []
    (name,) = added["services"]["sidecar"]["secrets"]
    assert added["services"]["sidecar"]["environment"] == {"SIDECAR_MODEL_KEY_FILE": f"/run/secrets/{name}"}


def test_every_setting_that_it_names_is_one() -> None:
    for prefix, settings in (("HUB", HubSettings), ("SIDECAR", SidecarSettings)):
        for name in re.findall(rf"\b{prefix}_([A-Z_]+)\b", TEXT):
            assert name.lower().removesuffix("_file") in settings.__dataclass_fields__, name


def test_its_secrets_and_labels_are_those_of_the_manifests() -> None:
    part = PARTS["Kubernetes"]
    made = dict(re.findall(r"create secret generic (\S+) (--from.+)", part))
    (model,) = (one["secret"] for one in pod_of("sidecar")["volumes"] if "secret" in one)
    assert made.keys() == {model["secretName"], "crewhub-redis"}
    assert {"model", "key"} == set(re.findall(r"--from-literal=(\w+)=", made["crewhub-model"]))
    said = str(pod_of("hub")["containers"][0]["env"])
    assert "'crewhub-redis', 'key': 'url', 'optional': True" in said
    assert 'crewhub/asks-the-hub: "true"' in part
    assert "{'crewhub/asks-the-hub': 'true'}" in str(manifests()["NetworkPolicy", "hub"])


def test_its_figures_are_those_of_the_files() -> None:
    said = environment_of(pod_of("sidecar")["containers"][0])
    drain_s, crew_s = int(said["SIDECAR_DRAIN_MS"]) // 1_000, said["CREW_TIMEOUT_SECONDS"]
    assert f"drains first ({drain_s} s, above the {crew_s} s of a crew)" in TEXT
    scaler = manifests()["HorizontalPodAutoscaler", "sidecar"]["spec"]
    assert f"holds {scaler['minReplicas']} to {scaler['maxReplicas']} sidecars at 70 %" in TEXT
    assert f"ends with {ALL_TAKEN}" in TEXT
    assert {path.name for path in SYSTEMD.iterdir()} == {"crewhub-hub.service", "crewhub-sidecar@.service"}
    files = {name for path in SYSTEMD.iterdir() for name in unit(path)["EnvironmentFile"]}
    assert {name.removeprefix("-").replace("%i", "NAME") for name in files} <= set(
        re.findall(r"`(/etc\S+)`", TEXT)
    )
