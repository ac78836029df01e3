"""Every command that compose, Kubernetes, systemd and the images give, run as it stands but for its paths."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.house.containers import (
    composition,
    environment_of,
    environment_of_unit,
    manifests,
    pod_of,
    stages,
    unit,
)
from tests.house.test_deploy_compose import COMMENT
from tests.house.test_deploy_systemd import UNITS
from tests.house.tree import ROOT
from tests.hub.conftest import free_port
from tests.system.deployed import PROGRAMS, START_S, Place, Running, asked, status_of
from tests.waiting import until_true

pytestmark = pytest.mark.timeout(600)  # several waits of START_S, on a machine that may be busy

DIGEST = {"plugin": "daily-news-digest", "description": "news", "inputs": {"topics": ["space"]}}


class Composed:
    """The composition's services on ports of this machine."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.services = composition()["services"]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tokens = folder / "tokens"
        self.tokens.mkdir()
        self.stack = stack

    def place(self, name: str, port: int) -> Place:
        there = {"4000": str(self.port), "http://hub": "http://127.0.0.1", "redis:6379": "127.0.0.1:1"}
        there |= {"/plugins": str(ROOT / "plugins"), "/run/crewhub/tokens": str(self.tokens)}
        return Place(
            self.folder / name, **there, **{"/var/lib/crewhub": str(self.folder / name), "8000": str(port)}
        )

    def up(self, name: str, port: int) -> tuple[Place, Running]:
        place = self.place(name, port)
        said = {
            key: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", one)
            for key, one in self.services[name]["environment"].items()
        }
        return place, self.stack.enter_context(place.running(self.services[name]["command"], said))

    def is_healthy(self, name: str, place: Place) -> bool:
        words = self.services[name]["healthcheck"]["test"]
        return place.run(words[1:]).returncode == 0


def test_the_composition_runs_crews_on_two_sidecars(tmp_path: Path) -> None:
    """L91: every command and every health check of compose.yaml, in the order of its first lines."""
    with ExitStack() as stack:
        composed = Composed(tmp_path, stack)
        place, hub = composed.up("hub", 0)
        assert not composed.is_healthy("hub", place) or status_of(f"{composed.url}/health/ready") == 200
        hub.until_answers(f"{composed.url}/health/ready")
        assert composed.is_healthy("hub", place)
        for line, path in re.findall(r"docker compose exec -T hub (.+) > secrets/(\S+)", COMMENT):
            made = place.run(shlex.split(line))
            assert made.returncode == 0, made.stderr
            (tmp_path / path).write_text(made.stdout)
        ports = [free_port(), free_port()]
        sidecars = [composed.up("sidecar", port) for port in ports]
        for port, (own, sidecar) in zip(ports, sidecars, strict=True):
            sidecar.until_answers(f"http://127.0.0.1:{port}/health/ready")
            assert composed.is_healthy("sidecar", own)
        token = hub.first_token()
        agents = asked(f"{composed.url}/api/agents", token)["agents"]
        assert {one["agent_id"] for one in agents} == {"sidecar-1", "sidecar-2"}
        task_id = asked(f"{composed.url}/api/tasks", token, DIGEST)["task_id"]
        task = until_done(composed.url, token, task_id)
        assert task["state"] == "completed", task
        assert [sidecar.stop() for _, sidecar in sidecars] == [0, 0]
        assert not composed.is_healthy("sidecar", sidecars[0][0])
        assert hub.stop() == 0
        assert not composed.is_healthy("hub", place)


def until_done(url: str, token: str, task_id: str) -> Any:
    def done() -> Any:
        task = asked(f"{url}/api/tasks/{task_id}", token)
        return task if task["state"] in {"completed", "failed", "dead_letter", "cancelled"} else None

    return until_true(done, "the task is done", START_S)


def test_redis_keeps_what_it_is_told_and_its_check_tells_a_sick_one(tmp_path: Path) -> None:
    """With Debian's own, which understands the same words."""
    server, client = shutil.which("redis-server"), shutil.which("redis-cli")
    if server is None or client is None:
        pytest.skip("redis-server is not installed")
    service = composition()["services"]["redis"]
    port = str(free_port())
    place = Place(tmp_path / "data")
    check = [client, "-p", port, *service["healthcheck"]["test"][2:]]
    assert place.run(check).returncode != 0, "nobody is there"
    words = [server, *service["command"][1:], "--port", port, "--bind", "127.0.0.1"]
    with place.running(words, {}):
        until_true(lambda: place.run(check).returncode == 0, "redis is healthy")
        assert place.run([client, "-p", port, "SET", "kept", "yes"]).stdout.strip() == "OK"
    with place.running(words, {}):
        until_true(lambda: place.run(check).returncode == 0, "redis is healthy again after a kill")
        assert place.run([client, "-p", port, "GET", "kept"]).stdout.strip() == "yes"
        place.run([client, "-p", port, "CONFIG", "SET", "requirepass", "x"])
        assert place.run(check).returncode != 0, "an answer that is an error is a failure"


def test_the_pods_join_by_themselves_and_answer_their_probes(tmp_path: Path) -> None:
    """L91: the commands, the init container's and the probes of deploy/k8s."""
    ports = {"hub": free_port(), "sidecar": free_port()}
    for name in ports:  # as a volume with fsGroup: the group may write
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o2770)
    (tmp_path / "key").write_text("no key")
    with ExitStack() as stack:
        started = {}
        for name, port in ports.items():
            pod = pod_of(name)
            place = Place(
                tmp_path / name,
                **{"4000": str(ports["hub"]), "8000": str(ports["sidecar"]), "//hub": "//127.0.0.1"},
                **{"/var/lib/crewhub": str(tmp_path / name), "/run/secrets/crewhub": str(tmp_path)},
            )
            for first in (*pod.get("initContainers", ()), *pod.get("initContainers", ())):
                joined = place.run(first["command"], **environment_of(first))
                assert joined.returncode == 0, joined.stderr
            (container,) = pod["containers"]
            said = environment_of(container) | ({"SIDECAR_MODEL": "offline"} if name == "sidecar" else {})
            started[name] = stack.enter_context(place.running(container["command"], said))
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                path = container[probe]["httpGet"]["path"]
                started[name].until_answers(f"http://127.0.0.1:{port}{path}")
        url = f"http://127.0.0.1:{ports['hub']}"
        token = started["hub"].first_token()
        assert len(asked(f"{url}/api/agents", token)["agents"]) == 1
        assert {one["role"] for one in asked(f"{url}/admin/tokens", token)["tokens"]} == {"admin", "agent"}
        assert [started[name].stop() for name in ("sidecar", "hub")] == [0, 0]
    assert ("Service", "sidecar") in manifests()


def test_the_units_start_and_stop(tmp_path: Path) -> None:
    """L91: ExecStart of both, with the variables and credentials that systemd would give."""
    ports = {"hub": free_port(), "sidecar": free_port()}
    swaps = {"/opt/crewhub/bin": PROGRAMS, "/var/lib": str(tmp_path), "%i": "build-1", "%d": str(tmp_path)}
    place = Place(tmp_path, **swaps, **{"8000": str(ports["sidecar"])})
    settings = {name: unit(path) for name, path in UNITS.items()}
    for name in settings:
        (tmp_path / place.swapped(settings[name]["StateDirectory"][0])).mkdir(mode=0o700)
    words = {name: settings[name]["ExecStart"][0].split() for name in settings}
    said = {name: environment_of_unit(settings[name]) for name in settings}
    url = f"http://127.0.0.1:{ports['hub']}"
    with ExitStack() as stack:
        here = said["hub"] | {"HUB_PORT": str(ports["hub"])}
        hub = stack.enter_context(place.running(words["hub"], here))
        hub.until_answers(f"{url}/health/ready")
        made = asked(f"{url}/admin/tokens", hub.first_token(), {"agent_id": "build-1", "role": "agent"})
        (tmp_path / "token").write_text(made["token"])
        here = said["sidecar"] | {"SIDECAR_HUB_URL": url}
        sidecar = stack.enter_context(place.running(words["sidecar"], here))
        sidecar.until_answers(f"http://127.0.0.1:{ports['sidecar']}/health/ready")
        assert asked(f"{url}/api/agents/build-1", hub.first_token())["agent_id"] == "build-1"
        assert [sidecar.stop(), hub.stop()] == [0, 0]


def test_the_hub_s_image_by_itself_says_that_it_wants_tls_or_to_be_told(tmp_path: Path) -> None:
    """L91: what the image does when nobody gives it a command."""
    ended = Place(tmp_path).run(stages()["hub"].command)
    assert ended.returncode == 2
    assert "--insecure" in ended.stderr


def test_the_sidecar_s_image_by_itself_works_for_the_hub_that_its_variables_name(tmp_path: Path) -> None:
    """L91."""
    port = free_port()
    with ExitStack() as stack:
        composed = Composed(tmp_path, stack)
        _, hub = composed.up("hub", 0)
        hub.until_answers(f"{composed.url}/health/ready")
        body = {"agent_id": "image", "role": "agent"}
        (tmp_path / "token").write_text(
            asked(f"{composed.url}/admin/tokens", hub.first_token(), body)["token"]
        )
        said = {"SIDECAR_HUB_URL": composed.url, "SIDECAR_TOKEN_FILE": str(tmp_path / "token")}
        place = Place(tmp_path / "image", **{"8000": str(port)})
        command = stages()["sidecar"].command
        sidecar = stack.enter_context(place.running(command, said | {"SIDECAR_AGENT_ID": "image"}))
        sidecar.until_answers(f"http://127.0.0.1:{port}/health/ready")
        assert sidecar.stop() == 0


@pytest.mark.parametrize("image", ["hub", "sidecar"])
def test_a_stage_s_compilation_ends_well(image: str, tmp_path: Path) -> None:
    """L91: templates of a package are no Python, and would have ended the build."""
    line = stages()[f"{image}-packages"].said("RUN")[-1]
    templates = tmp_path / "crewai_cli" / "templates"
    templates.mkdir(parents=True)
    (templates / "crew.py").write_text("class {{name}}:\n")
    (tmp_path / "good.py").write_text("GOOD = True\n")
    words = [word.replace("/opt/crewhub/bin/python", sys.executable) for word in shlex.split(line)]
    words = [word.replace("/opt/crewhub/lib", str(tmp_path)) for word in words]
    assert subprocess.run(words, check=False, capture_output=True).returncode == 0
    assert list((tmp_path / "__pycache__").glob("good.*.pyc"))
    (tmp_path / "bad.py").write_text("class {{name}}:\n")
    assert subprocess.run(words, check=False, capture_output=True).returncode != 0
