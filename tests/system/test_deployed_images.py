"""What the Dockerfile builds, built here without network: the wheel from what is sent, beside what is locked.

A package that is locked is taken from this environment, which was installed from the same versions; nothing
else is there. So a file that the build does not get, or a package that no lock names, fails here.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.markers import Marker

from tests.house.containers import is_sent, stages
from tests.house.tree import ROOT, files

pytestmark = pytest.mark.timeout(600)  # a whole environment, on a machine that may be busy

PIN = re.compile(r"^([a-z0-9][\w.-]*)(?:\[[\w,-]*\])?==([^ ;\\\n]+)(?: ; ([^\\\n]+))?", re.MULTILINE)
DIGEST = ("daily-news-digest", "--input", 'topics=["space"]')
STARTS = {
    "hub": ("hub", "demo"),
    "sidecar": ("sidecar", "run", *DIGEST, "--plugins", "shipped", "--model", "offline"),
}
"""A hub, its ledger and its page with sidecars and tasks; and a crew."""


def build_wheel(folder: Path) -> Path:
    """The steps of the stage `wheel`, on the files that are sent to it."""
    stage = stages()["wheel"]
    for origin, sources, target in stage.copies():
        assert not origin
        for source in sources:
            for name in files():
                if (name == source or name.startswith(f"{source}/")) and is_sent(name):
                    inside = Path(target.removeprefix("/build")).joinpath(name[len(source) :].lstrip("/"))
                    place = folder / str(inside).lstrip("/")
                    place = place / Path(name).name if target.endswith("/") else place
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(ROOT / name, place)
    assert "python -m hatchling build -t wheel" in stage.said("RUN")[-1]
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel")
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = (folder / "dist").glob("crewhub-*.whl")
    return wheel


def locked(image: str) -> dict[str, str]:
    text = (ROOT / "deploy" / f"{image}.lock.txt").read_text(encoding="utf-8")
    return {
        name: version
        for name, version, marker in PIN.findall(text)
        if not marker or Marker(marker).evaluate()
    }


def fill(site: Path, image: str) -> None:
    """Every file of every package that the image's lock names, and no other."""
    for name, version in locked(image).items():
        package = importlib.metadata.distribution(name)
        assert package.version == version, f"{name}: build .venv again"
        for file in package.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                place = site / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(Path(str(package.locate_file(file))))


def environment(folder: Path, image: str, wheel: Path) -> Path:
    """The folder of its programs."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    fill(site, image)
    uv = Path(sys.executable).with_name("uv")
    install = (
        uv,
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--python",
        folder / "bin" / "python",
    )
    installed = subprocess.run([*map(str, install), str(wheel)], capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    return folder / "bin"


@pytest.mark.parametrize("image", STARTS)
def test_an_image_s_packages_are_all_that_its_program_needs(image: str, tmp_path: Path) -> None:
    """L91: built as composed, it runs."""
    build = tmp_path / "build"
    build.mkdir()
    programs = environment(tmp_path / "opt", image, build_wheel(build))
    said = {
        name: one for name, one in os.environ.items() if not name.startswith(("PYTHON", "HUB_", "SIDECAR_"))
    }
    said |= {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
    }
    said |= {"PYTHONDONTWRITEBYTECODE": "1"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=tmp_path, env=said, capture_output=True, text=True, check=False)

    for module in (
        "redis.asyncio",
        "rich",
        "yaml",
        "jsonschema",
        "protocol",
        "console",
        "streams",
        "plugins.loader",
    ):
        found = run("python", "-c", f"import {module} as one; print(one.__file__)")
        assert found.returncode == 0, f"{image}: {found.stderr}"
        assert str(tmp_path) in found.stdout
    assert run("python", "-c", "import pytest").returncode != 0, "this environment is not the image's"
    ended = run(*STARTS[image])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout
