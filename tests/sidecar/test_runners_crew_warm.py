"""The runner of crews on forks of a warm process: what holds for a program holds for a fork."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from protocol.ids import TaskId
from sidecar.redaction import guarded
from sidecar.runners.amounts import MIB, Family
from sidecar.runners.contract import Failed, Finished, Logged, Outcome, Report, Stopped, StopSignal
from sidecar.runners.credentials import Account
from sidecar.runners.crew import CrewRunner, CrewSettings
from sidecar.runners.warm import Zygote
from sidecar.workspace import Workspaces
from tests.sidecar.crewbench import plugins_of
from tests.sidecar.runs import alive, order
from tests.waiting import until

CHILD = "tests.sidecar.programs.crewchild"
PATIENCE_S = 45.0


class Warm:
    """A runner with a zygote of the stand-in, and what its runs said."""

    def __init__(self, folder: Path, zygote: Zygote, environ: dict[str, str]) -> None:
        settings = CrewSettings(account=Account(model="offline"), environment=("TEST_MARK",))
        self.zygote = zygote
        self.workspaces = Workspaces(folder)
        self.crews = CrewRunner(plugins_of("digest"), zygote, self.workspaces, settings, environ)
        self.runner = guarded(self.crews, ())
        self.mark = environ["TEST_MARK"]

    async def run(
        self, act: str, said: list[Report], stop: StopSignal | None = None, **members: Any
    ) -> Outcome:
        wanted = order(act, plugin="digest", **members)
        return await self.runner.run(wanted, said.append, stop or StopSignal())

    async def stopped(self, act: str, grace_ms: int, look: Callable[[list[Report]], None]) -> Stopped:
        said: list[Report] = []
        stop = StopSignal()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.run(act, said, stop))
            await until(lambda: "up" in texts(said), "the crew is up", PATIENCE_S)
            look(said)
            stop.set("cancel", grace_ms)
        outcome = running.result()
        assert isinstance(outcome, Stopped), outcome
        return outcome

    def left(self) -> set[int]:
        """What is alive of the runs."""
        return alive(self.mark) - {self.zygote.pid or 0}


def texts(said: list[Report]) -> list[str]:
    return [entry.text for entry in said if isinstance(entry, Logged)]


@asynccontextmanager
async def warm_in(folder: Path) -> AsyncIterator[Warm]:
    environ = {
        "TEST_MARK": uuid.uuid4().hex,
        "PATH": os.environ["PATH"],
        "OPENAI_API_KEY": "canary-of-the-sidecar",
    }
    zygote = Zygote(folder / "zygote", [], environ, passed_on=("TEST_MARK", "PATH"), child=CHILD)
    try:
        yield Warm(folder, zygote, environ)
    finally:
        await zygote.close()


async def test_a_forked_run_is_given_its_order_and_no_key_in_its_environment(tmp_path: Path) -> None:
    """L40: nor in what /proc shows of it."""
    async with warm_in(tmp_path) as warm:
        inputs = b'{"topics":["ai"],"_llm_api_key":"canary-of-the-task"}'
        outcome = await warm.crews.run(
            order("show", plugin="digest", inputs=inputs), lambda _: None, StopSignal()
        )
        assert isinstance(outcome, Finished), outcome
        seen, environ, argv, cwd = json.loads(outcome.result)
        assert seen["settings"] == {"topics": ["ai"], "length": "short"}
        assert seen["keys"] == {"llm_model": "offline", "llm_api_key": "canary-of-the-task"}
        assert "canary" not in json.dumps([environ, argv])
        assert Path(cwd) == Path(environ["CREWHUB_WORKSPACE"]) / "work"
        assert not list(warm.workspaces.folder.iterdir())
        assert not warm.left()


async def test_a_forked_run_that_obeys_is_stopped_without_a_signal(tmp_path: Path) -> None:
    def measure(said: list[Report]) -> None:
        pid = next(
            json.loads(entry.data)["pid"] for entry in said if isinstance(entry, Logged) and entry.data
        )
        family = Family(pid)
        assert family.members() == {pid}, "its guard and the zygote are not of the run"
        used = family.used_bytes()
        assert used is not None
        assert used < 256 * MIB

    async with warm_in(tmp_path) as warm:
        stopped = await warm.stopped("obey", 60_000, measure)
        assert stopped.how == "cooperative"
        assert stopped.proof.signals == ()
        assert not warm.left()


async def test_a_forked_run_that_is_deaf_is_killed_with_all_its_family(tmp_path: Path) -> None:
    """L75."""
    async with warm_in(tmp_path) as warm:
        stopped = await warm.stopped("hang", 100, lambda _: None)
        assert stopped.how == "killed"
        assert stopped.proof.survivors == 0
        assert not warm.left()
        assert not list(warm.workspaces.folder.iterdir())


async def test_a_crash_of_one_run_is_its_own(tmp_path: Path) -> None:
    """L92: with the signal and the last words; the next run is forked as if nothing had happened."""
    async with warm_in(tmp_path) as warm:
        fallen = await warm.run("crash", [])
        assert isinstance(fallen, Failed)
        assert fallen.error == "ended by SIGSEGV; last output:\nabout to fall"
        assert fallen.cause == "crash"
        assert isinstance(await warm.run("chat", []), Finished)


async def test_ten_runs_at_once_hear_nothing_of_each_other(tmp_path: Path) -> None:
    async with warm_in(tmp_path) as warm:
        said: dict[str, list[Report]] = {f"task-{number:016x}": [] for number in range(10)}
        async with asyncio.TaskGroup() as group:
            running = {
                name: group.create_task(warm.run("chat", heard, task_id=TaskId(name)))
                for name, heard in said.items()
            }
        for name, heard in said.items():
            outcome = running[name].result()
            assert isinstance(outcome, Finished)
            assert json.loads(outcome.result) == name
            assert texts(heard) == [f"{name} {step}" for step in range(20)]
        assert not warm.left()
