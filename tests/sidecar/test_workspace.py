"""A run's directory: private, gone afterwards, and never a way out of the state folder."""

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

from sidecar.runners.hunt import MARKER_VARIABLE
from sidecar.workspace import Workspaces
from tests.sidecar.runs import alive
from tests.waiting import until_true


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    return Workspaces(tmp_path / "state")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_workspace_is_private_and_new(workspaces: Workspaces) -> None:
    """X3."""
    one, two = workspaces.open(), workspaces.open()
    assert one.root != two.root
    for path in (workspaces.folder, one.root, one.work, one.home, one.tmp):
        assert mode(path) == 0o700


def test_a_removed_workspace_leaves_nothing(workspaces: Workspaces) -> None:
    workspace = workspaces.open()
    (workspace.work / "deep" / "er").mkdir(parents=True)
    (workspace.work / "deep" / "file").write_text("x")
    assert not workspace.is_small()
    assert workspace.remove()
    assert list(workspaces.folder.iterdir()) == []


def test_a_workspace_with_few_files_is_small(workspaces: Workspaces) -> None:
    workspace = workspaces.open()
    (workspace.work / "file").write_text("x")
    assert workspace.is_small()
    for number in range(100):
        (workspace.tmp / str(number)).write_text("")
    assert not workspace.is_small()


def test_links_are_removed_and_never_followed(workspaces: Workspaces, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "precious").write_text("x")
    workspace = workspaces.open()
    (workspace.work / "to-folder").symlink_to(outside)
    (workspace.work / "to-file").symlink_to(outside / "precious")
    (workspaces.folder / "run-link").symlink_to(outside)
    assert workspaces.sweep().directories == 2
    assert (outside / "precious").read_text() == "x"
    assert mode(outside) == 0o755
    assert list(workspaces.folder.iterdir()) == []


def test_a_folder_of_runs_that_became_a_link_is_replaced(workspaces: Workspaces, tmp_path: Path) -> None:
    """Somebody who may write to the state folder cannot lead runs elsewhere."""
    outside = tmp_path / "outside"
    (outside / "run-1").mkdir(parents=True)
    workspaces.folder.parent.mkdir()
    workspaces.folder.symlink_to(outside)
    assert workspaces.sweep().directories == 0
    workspaces.open()
    assert list(outside.iterdir()) == [outside / "run-1"]


def test_a_folder_open_to_others_is_closed_to_them(workspaces: Workspaces) -> None:
    workspaces.folder.mkdir(parents=True, mode=0o755)
    workspaces.open()
    assert mode(workspaces.folder) == 0o700


def test_directories_locked_by_their_run_are_unlocked_and_removed() -> None:
    """As an ordinary user, because root passes every lock; so in a folder that such a user can reach."""
    source = (
        "import os, sys\nfrom pathlib import Path\nfrom sidecar.workspace import Workspaces\n"
        "if os.getuid() == 0:\n    os.setuid(65534)\n"
        "workspace = Workspaces(Path(sys.argv[1])).open()\n"
        "(workspace.work / 'a' / 'b').mkdir(parents=True)\n"
        "(workspace.work / 'a' / 'b' / 'file').write_text('x')\n"
        "(workspace.work / 'a' / 'b').chmod(0)\n(workspace.work / 'a').chmod(0)\n"
        "print(workspace.remove(), workspace.root.exists())\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", source, folder],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    assert done.stdout == "True False\n", done.stderr


def test_a_sweep_ends_the_processes_of_dead_runs(workspaces: Workspaces) -> None:
    """L75: also when sidecar and supervisor were killed in one breath."""
    workspace, mark = workspaces.open(), uuid.uuid4().hex
    orphan = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os\nos.setsid()\nos.fork() or os.fork()\nimport time\ntime.sleep(600)",
        ],
        env={MARKER_VARIABLE: workspace.marker, "TEST_MARK": mark},
    )
    bystander = subprocess.Popen(["/bin/sleep", "600"], env={MARKER_VARIABLE: "another"})
    try:
        until_true(lambda: os.getsid(orphan.pid) == orphan.pid, "it has a session of its own")
        swept = workspaces.sweep()
        assert swept.directories == 1
        assert swept.processes >= 1
        orphan.wait()
        assert not alive(mark)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_sweep_of_nothing_is_quiet(workspaces: Workspaces) -> None:
    assert workspaces.sweep() == workspaces.sweep()
    assert workspaces.sweep().directories == 0
