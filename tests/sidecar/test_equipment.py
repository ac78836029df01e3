"""Which runners a sidecar has by its settings, and that looking at them touches nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from protocol.ids import Generation, TaskId
from sidecar.clock import SidecarClock
from sidecar.doctor import examine
from sidecar.equipment import IMPORTS, Shell, crew_settings, equip, inspected, source_of
from sidecar.errors import SettingsError
from sidecar.runners.cold import Cold
from sidecar.runners.contract import Logged, Order, Report
from sidecar.runners.echo import EchoRunner
from sidecar.runners.warm import Zygote
from sidecar.settings import Settings
from sidecar.workspace import Workspaces
from tests.sidecar.pluginyard import CHILD, Yard
from tests.sidecar.process import ROOT


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path / "plugins")


def shell_in(folder: Path, environ: dict[str, str] | None = None) -> Shell:
    return Shell(folder, environ or {}, SidecarClock(), lambda sentence: None, CHILD)


def order_for(plugin: str | None) -> Order:
    return Order(task_id=TaskId("task-0000000000000001"), generation=Generation(1), plugin=plugin)


def test_the_echo_is_what_runs_when_nothing_else_is_configured(tmp_path: Path) -> None:
    """L72"""
    equipment = equip(Settings(agent_id="a"), shell_in(tmp_path))
    (runner,) = equipment.runners
    assert isinstance(runner, EchoRunner)
    assert equipment.at_hand is None


def test_commands_are_asked_before_crews(tmp_path: Path, yard: Yard) -> None:
    settings = Settings(plugins=(str(yard.folder),), command=("/bin/true",), commands={"x": ["/bin/true"]})
    equipment = equip(settings, shell_in(tmp_path))
    assert [runner.name for runner in equipment.runners] == ["command", "command", "crew"]
    assert equipment.at_hand is not None


async def test_crews_run_what_is_at_hand_and_nothing_else(tmp_path: Path, yard: Yard) -> None:
    """L83: one that is broken is not called missing."""
    yard.write("good")
    yard.write("broken", above="1 / 0")
    equipment = equip(Settings(plugins=(str(yard.folder),)), shell_in(tmp_path))
    (crews,), at_hand = equipment.runners, equipment.at_hand
    assert at_hand is not None
    before = crews.accepts(order_for("good"))
    assert before is not None, "nothing is at hand before it is imported"
    await at_hand.begin()
    try:
        assert crews.accepts(order_for("good")) is None
        for name, words in (("broken", "ZeroDivisionError"), ("other", "Plugin crew not found: other")):
            rejection = crews.accepts(order_for(name))
            assert rejection is not None
            assert (rejection.reason, words in rejection.sentence) == ("unknown_plugin", True)
        assert crews.accepts(order_for("../plugins/good")) is not None, "L39"
    finally:
        await at_hand.close()


def test_a_crew_is_warm_unless_somebody_wants_it_otherwise(tmp_path: Path, yard: Yard) -> None:
    folders = [yard.folder]
    assert isinstance(source_of(Settings(), folders, shell_in(tmp_path)), Zygote)
    assert isinstance(source_of(Settings(crew_start="cold"), folders, shell_in(tmp_path)), Cold)


def test_what_is_set_about_crews_reaches_their_runner() -> None:
    settings = Settings(
        model="m",
        model_key="k" * 8,
        model_url="http://u",
        search_key="s" * 8,
        crew_timeout_ms=2_000,
        crew_memory_bytes=1 << 30,
        crew_environment=("HTTPS_PROXY",),
    )
    found = crew_settings(settings)
    account = found.account
    assert (account.model, account.model_key, account.model_url, account.search_key) == (
        "m",
        "k" * 8,
        "http://u",
        "s" * 8,
    )
    assert (found.timeout_ms, found.memory_bytes, found.environment) == (2_000, 1 << 30, ("HTTPS_PROXY",))


@pytest.mark.parametrize("name", ["SIDECAR_TOKEN", "HUB_TOKEN", "CREWHUB_RUN", "REDIS_URL"])
def test_what_belongs_to_the_sidecar_is_never_passed_on_to_a_crew(
    name: str, tmp_path: Path, yard: Yard
) -> None:
    """L40"""
    settings = Settings(plugins=(str(yard.folder),), crew_environment=("HTTPS_PROXY", name))
    with pytest.raises(SettingsError, match=name):
        equip(settings, shell_in(tmp_path))


async def test_a_variable_with_a_secret_reaches_the_crew_and_nobody_else(tmp_path: Path, yard: Yard) -> None:
    """L40"""
    from sidecar.runners.contract import Answers, StopSignal

    yard.write("teller", body="return {'output': os.environ.get('SEARCH_TOKEN', 'none')}")
    settings = Settings(plugins=(str(yard.folder),), model="offline", crew_environment=("SEARCH_TOKEN",))
    environ = {"SEARCH_TOKEN": "canary-0123456789"}
    equipment = equip(settings, shell_in(tmp_path, environ))
    (crews,), at_hand = equipment.runners, equipment.at_hand
    assert at_hand is not None
    said: list[Report] = []
    await at_hand.begin()
    try:
        outcome = await crews.run(order_for("teller"), said.append, StopSignal(), Answers())
    finally:
        await at_hand.close()
    assert "redacted" in str(outcome)
    assert "canary" not in str(outcome) + str([one for one in said if isinstance(one, Logged)])


def test_without_crewai_plugins_are_refused_with_the_next_command(tmp_path: Path) -> None:
    script = """
import sys
sys.modules["crewai"] = None
from sidecar.cli import main
sys.argv[0] = "sidecar"
main()
"""
    for arguments in (["plugins"], ["run", "daily-news-digest"], ["connect", "--plugins", "shipped"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "pip install 'crewhub[crewai]'" in done.stderr) == (2, True), done.stderr
        assert "Traceback" not in done.stderr


def test_looking_leaves_the_runs_of_a_sidecar_that_works_alone(tmp_path: Path, yard: Yard) -> None:
    """A doctor that sweeps kills the patient: its runs have the very marks that are swept for."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    workspace = Workspaces(folder).open()
    living = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        env={"CREWHUB_RUN": workspace.marker},
    )
    try:
        settings = Settings(
            state_dir=folder, agent_id="a", command=("/bin/true",), hub_url="ws://127.0.0.1:9"
        )
        words = [finding.sentence for finding in examine(settings)]
        assert any("runners: command" in sentence for sentence in words)
        assert workspace.work.is_dir()
        assert living.poll() is None
    finally:
        living.kill()
        living.communicate()


def test_an_inspection_leaves_nothing_behind(
    tmp_path: Path, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    yard.write("good")
    yard.write("broken", above="1 / 0")
    found = inspected(Settings(plugins=(str(yard.folder),)), {}, lambda sentence: None, CHILD)
    assert sorted(found.plugins) == ["good"]
    assert ["ZeroDivisionError" in trouble.traceback for trouble in found.troubles] == [True]
    assert list((tmp_path / "temporary").iterdir()) == []
    assert IMPORTS not in {path.name for path in tmp_path.iterdir()}
