"""One request of a stream, made into attempts of a real runner: retries, time, questions, what is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from protocol.limits import DONE_BYTES_MAX
from sidecar.clock import SidecarClock
from sidecar.events import Now
from sidecar.runners.contract import Answers, Failed, Finished, Order, Outcome, Reporter, StepDone, StopSignal
from sidecar.runners.crew import DEADLINE_MARGIN_MS
from sidecar.streamwork.effort import Effort, stops_within
from sidecar.streamwork.orders import ATTEMPTS_MAX, RUN_MS, Steps, order_of, output_of, result_of, task_id_of
from streams.entries import Request, Result
from streams.reader import CLAIM_IDLE_MS
from tests.sidecar.crewbench import CrewBench, crew, time_machine
from tests.waiting import until

CALM_MS = 1
"""Between attempts in these tests."""


def asked(plugin: str = "digest", **settings: Any) -> Request:
    return Request(plugin_run_id="run-1", plugin_name=plugin, user_id=7, settings=settings)


def bytes_of(steps: Steps) -> bytes:
    assert steps.done is not None
    return steps.done


async def make(
    bench: CrewBench, request: Request | None = None, stop: StopSignal | None = None
) -> Result | None:
    effort = Effort(request or asked(), bench.runner, SidecarClock(), pause_ms=CALM_MS)
    return await effort.make(stop or StopSignal())


async def made(bench: CrewBench, request: Request | None = None) -> Result:
    result = await make(bench, request)
    assert result is not None
    assert not bench.workspaces.folder.exists() or bench.workspaces_left() == []
    assert bench.left() == set()
    return result


# --- what a request means -----------------------------------------------------------------------------------


def test_every_attempt_is_of_the_same_run() -> None:
    """L86: the id is the run's own, in whichever process it is tried."""
    orders = [order_of(asked(), attempt, 1_000, Steps()) for attempt in (1, 2, 3)]
    assert {one.task_id for one in orders} == {task_id_of("run-1")}
    assert [(one.attempt, one.generation) for one in orders] == [(1, 1), (2, 2), (3, 3)]
    assert json.loads(orders[0].metadata) == {"plugin_run_id": "run-1", "user_id": 7}
    assert task_id_of("run-2") != task_id_of("run-1")


@pytest.mark.parametrize(
    ("result", "output"),
    [
        (b'{"output":"plain words"}', "plain words"),
        (b'{"summary":"s","sections":[]}', '{"summary":"s","sections":[]}'),
        (b'{"output":{"a":1}}', '{"output":{"a":1}}'),
        (b'"words"', "words"),
        (b"null", "null"),
    ],
)
def test_an_output_is_text_and_a_structure_is_json_text(result: bytes, output: str) -> None:
    """L88"""
    assert output_of(result) == output
    told = result_of(asked(), Finished(result=result))
    assert (told.status, told.output, told.error) == ("completed", output, None)


def test_a_failure_always_says_why() -> None:
    """L92"""
    assert result_of(asked(), Failed(error="the model said no")).error == "the model said no"
    assert result_of(asked(), Failed(error="")).error


def test_steps_are_kept_up_to_what_an_order_holds() -> None:
    steps = Steps()
    assert steps.done is None
    steps.keep(StepDone(index=0, output=b'"' + b"x" * (DONE_BYTES_MAX - 2 - 3) + b'"'))
    steps.keep(StepDone(index=1, output=b'"b"'))
    steps.keep(StepDone(index=2, output=b"3"))
    assert [one["index"] for one in json.loads(bytes_of(steps))] == [0, 1], "the last byte fits, no more"
    steps.keep(StepDone(index=0, output=b'"another"'))
    assert json.loads(bytes_of(steps)) == [{"index": 0, "output": "another"}]


# --- attempts -----------------------------------------------------------------------------------------------


async def test_settings_and_keys_reach_the_crew_apart(tmp_path: Path) -> None:
    """L40"""
    bench = crew(tmp_path, "say(result={'settings': order['settings'], 'keys': sorted(order['keys'])})")
    result = await made(bench, asked(topics=["a"], _llm_api_key="k" * 20, _llm_model="openai/x"))
    found = json.loads(result.output or "")
    assert found["settings"] == {"length": "short", "topics": ["a"]}
    assert "llm_api_key" in found["keys"]


async def test_unfit_settings_end_the_run_at_once_and_are_named(tmp_path: Path) -> None:
    """L92"""
    result = await made(crew(tmp_path, "say(result={})"), asked(topics="no list"))
    assert result.status == "failed"
    assert "topics" in (result.error or "")


async def test_a_failure_is_tried_three_times_and_finished_steps_are_not_repeated(tmp_path: Path) -> None:
    """L86"""
    source = """
n = order["attempt"]
if n < 3:
    say(step=n - 1, output={"text": f"step {n}"})
    say(error="not yet")
else:
    say(result={"id": order["task_id"], "done": order["done"], "of": order["attempts_max"]})
"""
    found = json.loads((await made(crew(tmp_path, source))).output or "")
    assert found["id"] == task_id_of("run-1")
    assert [step["index"] for step in found["done"]] == [0, 1]
    assert found["of"] == ATTEMPTS_MAX


@pytest.mark.parametrize(("retryable", "attempts"), [(True, ATTEMPTS_MAX), (False, 1)])
async def test_what_cannot_succeed_is_not_tried_again(tmp_path: Path, retryable: bool, attempts: int) -> None:
    mark = tmp_path / "attempts"
    source = f"open({str(mark)!r}, 'a').write('x')\nsay(error='so it is', retryable={retryable})"
    result = await made(crew(tmp_path / "state", source))
    assert (result.status, result.error) == ("failed", "so it is")
    assert mark.read_text() == "x" * attempts


async def test_a_question_fails_the_run_with_a_sentence(tmp_path: Path) -> None:
    """Nobody is there to answer; waiting for one would hold the slot for ever."""
    result = await made(crew(tmp_path, "say(ask='May I publish?')\nhear()\nsay(result={})"))
    assert result.status == "failed"
    assert "without a hub nobody can answer: May I publish?" in (result.error or "")


async def test_a_run_that_is_stopped_has_no_result(tmp_path: Path) -> None:
    """It is given back, and not called failed."""
    bench, stop = crew(tmp_path, "say(log='here')\nwhile True: time.sleep(1)"), StopSignal()
    async with asyncio.TaskGroup() as group:
        making = group.create_task(make(bench, stop=stop))
        await until(bench.left, "the run has begun")
        stop.set("shutdown", 2_000)
    assert making.result() is None
    assert bench.left() == set()


async def test_a_pause_before_a_retry_ends_with_the_sidecar(tmp_path: Path) -> None:
    mark, stop = tmp_path / "failed", StopSignal()
    bench = crew(tmp_path / "s", f"open({str(mark)!r}, 'w')\nsay(error='later', retry_after_ms=500_000)")
    async with asyncio.TaskGroup() as group:
        making = group.create_task(make(bench, stop=stop))
        await until(lambda: mark.exists() and not bench.workspaces_left(), "the first attempt is over")
        stop.set("shutdown", 0)
    assert making.result() is None


class LoopClock:
    """Time as the loop has it, so that a test may let it jump."""

    def now(self) -> Now:
        return Now(int(asyncio.get_running_loop().time() * 1_000), 0)


async def test_all_attempts_together_end_before_the_entry_is_somebody_elses(tmp_path: Path) -> None:
    """L93: crew < run < claim, also when the crew's own time is set to a day."""
    assert DEADLINE_MARGIN_MS < RUN_MS < CLAIM_IDLE_MS
    bench = crew(tmp_path, "while True: time.sleep(1)", timeout_ms=24 * 3_600_000)
    with time_machine() as jump:
        effort = Effort(asked(), bench.runner, LoopClock(), pause_ms=RUN_MS)
        async with asyncio.TaskGroup() as group:
            making = group.create_task(effort.make(StopSignal()))
            await until(bench.left, "the run has begun")
            jump((RUN_MS - DEADLINE_MARGIN_MS) / 1_000)
    result = making.result()
    assert result is not None
    assert result.status == "failed"
    assert "Workflow exceeded" in (result.error or "")


class Broken:
    """A runner with a fault of its own."""

    name = "broken"

    def accepts(self, order: Order) -> None:
        """Anything."""

    async def run(
        self, order: Order, report: Reporter, stop: StopSignal, answers: Answers | None = None
    ) -> Outcome:
        raise ZeroDivisionError("its own")


async def test_a_fault_of_the_runner_is_a_failure_that_names_it() -> None:
    """L92: and whoever asked is answered."""
    result = await Effort(asked(), Broken(), SidecarClock()).make(StopSignal())
    assert result is not None
    assert (result.status, result.error) == ("failed", "the runner broke: ZeroDivisionError: its own")


async def test_waiting_for_a_stop_says_whether_it_came() -> None:
    stop = StopSignal()
    assert not await stops_within(stop, 1)
    stop.set("shutdown", 0)
    assert await stops_within(stop, 60_000)
