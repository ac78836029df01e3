"""The plugins that come along, as somebody gets them who installs the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from plugins.loader import SHIPPED, find
from tests.house.tree import ROOT, files, place


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.timeout(180)
def test_the_wheel_has_every_file_of_a_plugin_and_none_of_its_tests(installed: Path) -> None:
    shipped = {name for name in files() if name.startswith("plugins/")}
    wanted = {name for name in shipped if place(name) == name}
    assert wanted < shipped
    assert {"offline.yaml", "tasks.yaml", "settings.schema.json"} <= {Path(name).name for name in wanted}
    found = {
        str(path.relative_to(installed)) for path in (installed / "plugins").rglob("*") if path.is_file()
    }
    assert found == wanted


@pytest.mark.timeout(180)
def test_what_was_installed_is_found(installed: Path) -> None:
    answer = find([installed / "plugins"])
    assert answer.troubles == ()
    assert list(answer.plugins) == list(find([SHIPPED]).plugins) == ["daily-news-digest", "release-check"]


def test_every_shipped_plugin_has_its_own_tests_and_an_offline_script() -> None:
    for plugin in find([SHIPPED]).plugins.values():
        assert list((plugin.folder / "tests").glob("test_*.py")), plugin.name
        assert (plugin.folder / "offline.yaml").is_file(), plugin.name
