"""The images, judged by their structure: they can be built as they stand, and have no more than they need."""

import re
import tomllib

import pytest

from tests.house.containers import composition, fits, is_sent, lineage, stages
from tests.house.tree import ROOT, files

IMAGES = ("hub", "sidecar")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=;~! ]", requirement)[0].lower().replace("_", "-")


def locked(image: str) -> dict[str, str]:
    text = (ROOT / "deploy" / f"{image}.lock.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][\w.-]*)(?:\[[\w,-]*\])?==([^ \\\n]+)", text, re.MULTILINE))


def test_every_file_that_a_stage_copies_is_sent_to_the_build() -> None:
    """L91: a folder that .dockerignore keeps back makes a Dockerfile that cannot build."""
    for stage in stages().values():
        for origin, sources, _ in stage.copies():
            for source in sources if not origin else []:
                meant = [name for name in files() if name == source or name.startswith(f"{source}/")]
                assert meant, f"COPY {source}: no such file"
                assert [name for name in meant if is_sent(name)] == meant, f"COPY {source}: .dockerignore"


def test_every_stage_that_is_named_is_there_before_it_is_used() -> None:
    """L91."""
    known: set[str] = set()
    for name, stage in stages().items():
        origins = {origin for origin, _, _ in stage.copies() if origin}
        assert origins | {stage.base} <= known | {"${BASE}"}, name
        known.add(name)


def test_every_service_that_is_built_names_a_stage_and_runs_what_that_one_has() -> None:
    """L91: composed with an image that has no crewai, a sidecar could run no crew."""
    for name, service in composition()["services"].items():
        if "build" in service:
            assert service["build"] == {"context": ".", "target": name}
            assert name in IMAGES
            assert service["image"] == f"crewhub-{name}"


def test_every_package_of_the_wheel_is_in_the_build() -> None:
    """L91."""
    copied = {source for _, sources, _ in stages()["wheel"].copies() for source in sources}
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages <= copied
    assert {"pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]} <= copied


def test_nothing_else_is_sent_to_the_build() -> None:
    for name in (".git/config", ".venv/bin/python", "secrets/tokens/a.token", "tests/waiting.py", "hub.db"):
        assert not is_sent(name), name
    assert not is_sent("hub/__pycache__/app.pyc")
    assert not is_sent("plugins/release-check/crew/__pycache__/crew.pyc")


@pytest.mark.parametrize(
    ("pattern", "path", "is_meant"),
    [
        ("*", "hub", True),
        ("*", "hub/app.py", False),
        ("deploy/*.lock.txt", "deploy/hub.lock.txt", True),
        ("deploy/*.lock.txt", "deploy/k8s/hub.lock.txt", False),
        ("**/__pycache__", "__pycache__", True),
        ("**/__pycache__", "hub/api/__pycache__", True),
        ("**/__pycache__", "hub/__pycache__.py", False),
    ],
)
def test_a_pattern_means_what_docker_says(pattern: str, path: str, is_meant: bool) -> None:
    assert fits(pattern, path) is is_meant


@pytest.mark.parametrize(
    ("image", "extras"), [("hub", {"cli", "redis", "plugins"}), ("sidecar", {"cli", "redis", "crewai"})]
)
def test_an_image_s_lock_has_what_it_needs_at_the_versions_that_are_tested(
    image: str, extras: set[str]
) -> None:
    """L91: what no lock names is not in the image."""
    optional = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *(one for extra in extras for one in optional[extra])]
    found = locked(image)
    assert {name_of(one) for one in wanted} <= found.keys(), "run ./dev lock"
    whole = (ROOT / "requirements.lock.txt").read_text(encoding="utf-8")
    strange = {
        name for name, version in found.items() if f"\n{name}==" not in whole or f"=={version} " not in whole
    }
    assert not strange, "run ./dev lock"
    tools = {name_of(one) for one in optional["dev"]} - {name_of(one) for one in wanted}
    assert not {"pytest", "mypy", "ruff", "hatchling"} & found.keys()
    assert {"pytest", "hatchling"} <= tools


def test_a_hub_s_image_has_no_crewai() -> None:
    assert "crewai" not in locked("hub")


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_installed_is_locked_by_hashes_and_compiled_by_nobody(image: str) -> None:
    """Wheels only: so no stage needs a compiler, and the final one has none."""
    installs = [rest for stage in stages().values() for rest in stage.said("RUN") if " install " in rest]
    for line in (line for line in installs if "pip" in line):
        assert "--no-deps /build/dist/crewhub-" in line or "--only-binary :all: --require-hashes" in line, (
            line
        )
    said = " ".join(rest for stage in lineage(image) for _, rest in stage.steps)
    for word in ("apt", "pip", "gcc", "build-essential", "curl", "wget"):
        assert not re.search(rf"\b{word}\b", said), f"{image}: {word}"
    assert "venv --without-pip" in stages()["empty"].said("RUN")[0]


@pytest.mark.parametrize("image", IMAGES)
def test_bytecode_is_made_in_the_build_as_nobody_can_write_it_later(image: str) -> None:
    filled = stages()[f"{image}-packages"]
    assert "compileall" in filled.said("RUN")[-1]
    assert "PYTHONDONTWRITEBYTECODE=1" in stages()["bare"].said("ENV")[0]
    assert list(stages()[image].copies()) == [(f"{image}-packages", ["/opt/crewhub"], "/opt/crewhub")]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_user_without_rights(image: str) -> None:
    whole = lineage(image)
    assert [rest for stage in whole for rest in stage.said("USER")] == ["10001:10001"]
    assert whole[-1].steps[-1][0] == "CMD"
    assert whole[0].base == "${BASE}"
