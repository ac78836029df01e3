"""What deploys the project, read as data: Dockerfile, .dockerignore, compose.yaml, manifests, units.

Owns the reading, and the few rules of those formats that the tests need. Runs nothing.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.house.tree import ROOT

K8S = ROOT / "deploy" / "k8s"
SYSTEMD = ROOT / "deploy" / "systemd"


@dataclass
class Stage:
    """One `FROM … AS name` of the Dockerfile, with what it is made from and its steps."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def said(self, word: str) -> list[str]:
        return [rest for step, rest in self.steps if step == word]

    def copies(self) -> Iterator[tuple[str, list[str], str]]:
        """Stage (empty: the repository), sources, destination."""
        for rest in self.said("COPY"):
            words = rest.split()
            origin = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else ""
            yield origin, words[:-1], words[-1]

    @property
    def command(self) -> list[str]:
        words = json.loads(self.said("CMD")[-1])
        assert isinstance(words, list)
        return words


@cache
def stages() -> dict[str, Stage]:
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    found: dict[str, Stage] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = Stage(base, name)
        elif line and not line.startswith("#") and word != "ARG":
            list(found.values())[-1].steps.append((word, rest))
    return found


def lineage(name: str) -> list[Stage]:
    """A stage and the ones that it is made from, itself last."""
    stage = stages().get(name)
    return [] if stage is None else [*lineage(stage.base), stage]


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets this file into the build: the last line that means it says."""
    verdict = True
    parts = path.split("/")
    above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split():
        pattern = line.removeprefix("!")
        if any(fits(pattern, one) for one in above):
            verdict = line.startswith("!")
    return verdict


def fits(pattern: str, path: str) -> bool:
    """A star stays within its folder; two of them mean any folders, or none."""
    means = {"**/": "(?:.*/)?", "*": "[^/]*"}
    words = re.split(r"(\*\*/|\*)", pattern)
    return re.fullmatch("".join(means.get(word, re.escape(word)) for word in words), path) is not None


def composition() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def manifests() -> dict[tuple[str, str], Any]:
    """Every object of deploy/k8s by its kind and name."""
    found = {}
    for path in sorted(K8S.glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            key = (one["kind"], one["metadata"]["name"])
            assert key not in found, f"{path.name}: {key} is there twice"
            found[key] = one
    return found


def pod_of(name: str) -> dict[str, Any]:
    """What the pods of a Deployment are made of."""
    pod = manifests()["Deployment", name]["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    """The variables of a container whose values stand in the manifest."""
    return {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}


def unit(path: Path) -> dict[str, list[str]]:
    """The settings of a unit, each with all its values in their order."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#;[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def environment_of_unit(settings: dict[str, list[str]]) -> dict[str, str]:
    """What `Environment=` lines say, several to a line."""
    words = [word for line in settings["Environment"] for word in shlex.split(line)]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def options_of(words: list[str]) -> list[str]:
    """The options among these words, without their values."""
    return [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]


def program_of(command: list[str]) -> list[str]:
    """The `hub …` or `sidecar …` that a command comes down to, behind the choice of a seat."""
    return command[command.index("--") + 1 :] if "--" in command else command
