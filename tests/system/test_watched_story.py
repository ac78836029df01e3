"""`hub push … --watch` from end to end: hub, sidecar and run are processes, and a terminal is real."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.hub.conftest import HubProcess
from tests.hub.terminal import sitting_at
from tests.hub.typing_hands import line_of, run, said_by, typed
from tests.system.processes import SidecarProcess, connected

PROGRAM = Path(__file__).parent / "programs" / "storyteller.py"


@pytest.fixture
async def teller(hub: HubProcess, tmp_path: Path, runs: Path) -> AsyncIterator[SidecarProcess]:
    """A sidecar with one plugin of its own that tells a story."""
    sidecar = SidecarProcess(tmp_path, "ada", f"{hub.ws_address}/ws", await hub.token("ada"), runs)
    argv = [sys.executable, "-S", str(PROGRAM)]
    (sidecar.folder / "sidecar.toml").write_text(f"[commands]\nstory = {argv!r}\n")
    sidecar.start()
    await connected(hub, "ada")
    yield sidecar
    sidecar.kill()  # a drain would wait for whoever still asks


async def test_a_run_is_watched_step_by_step_asked_answered_and_read_on_the_terminal(
    hub: HubProcess, teller: SidecarProcess
) -> None:
    words = ("push", "ada", "ask me", "--plugin", "story", "--watch")
    async with sitting_at(hub, *words) as screen:
        await screen.says("It asks: Release it?")
        screen.type("release\n")
        assert await screen.ended() == 0, screen.text
    steps = [line[10:] for line in screen.lines]
    begun = steps.index("digest began: 2 tasks")
    assert steps[begun : begun + 4] == [
        "digest began: 2 tasks",
        "  Task 1/2: research",
        "    Researcher began",
        "      Researcher uses search",
    ]
    assert "  Task 2/2: release" in steps
    assert (
        screen.lines.index("Decided: release")
        < screen.lines.index("Why")
        < screen.lines.index("It was time.")
    )
    (last,) = [line for line in screen.lines if line.startswith("completed")]
    assert "120 tokens in, 30 out" in last
    log = await run(hub, "tasks", "log", "--no-json", last.split()[1])
    assert "      Researcher: The sea is blue." in log.out.splitlines()


@pytest.mark.parametrize(
    ("wish", "more", "code", "said"),
    [
        ("do it", (), 0, '"summary":"Decided: None"'),
        ("fail it", (), 1, "no ink left"),
        ("hang on", ("--timeout", "2s"), 124, "timeout"),
        ("ask me", (), 7, "input_required"),
    ],
)
async def test_a_script_learns_the_end_from_the_exit_code(
    hub: HubProcess, teller: SidecarProcess, wish: str, more: tuple[str, ...], code: int, said: str
) -> None:
    found = await run(hub, "push", "ada", wish, "--plugin", "story", "--watch", *more)
    assert found.code == code, found.out + found.err
    assert said in found.out
    numbers = [one["payload"]["n"] for one in found.records if one.get("event") == "task_log"]
    assert numbers == list(range(1, len(numbers) + 1)), "every line once and in order"
    assert len(numbers) >= 8


async def test_a_cancelled_run_ends_with_3_and_its_proof(hub: HubProcess, teller: SidecarProcess) -> None:
    words = ("push", "ada", "hang on", "--plugin", "story", "--watch", "--no-json")
    async with typed(hub, *words) as command:
        first = await line_of(command.stdout)
        while "uses search" not in await line_of(command.stdout):
            pass
        assert (await run(hub, "tasks", "cancel", first.split()[1])).code == 0
        said = await said_by(command)
    assert said.code == 3
    assert "0 left" in said.out
