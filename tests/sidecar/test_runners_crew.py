"""How a task reaches a crew and how its end is read, with real processes that stand in for the crew's own."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.contract import Trouble
from protocol.ids import TaskId
from sidecar.runners.contract import Finished, Stopped
from sidecar.runners.credentials import Account
from sidecar.runners.crew import CrewSettings
from tests.sidecar.crewbench import CrewBench, crew, failure_of, plugins_of, result_of, time_machine
from tests.sidecar.runs import order
from tests.waiting import until


def told_when_up(reason: Any = "cancel", grace_ms: int = 60_000) -> Callable[[CrewBench], Awaitable[None]]:
    async def tell(bench: CrewBench) -> None:
        await until(lambda: "up" in bench.texts(), "the crew is up")
        bench.stop.set(reason, grace_ms)

    return tell


# ---- what a crew is given ----------------------------------------------------------------------------------


async def test_the_order_arrives_with_merged_settings_and_the_keys_apart(tmp_path: Path) -> None:
    account = Account(model="openai/gpt", model_key="key-of-the-sidecar", search_key="search-of-the-sidecar")
    bench = crew(tmp_path, "say(result=order)", account=account)
    inputs = b'{"topics":["ai"],"_llm_model":"offline","_github_token":"key-of-the-task"}'
    wanted = order(
        "tell me",
        plugin="digest",
        inputs=inputs,
        done=b'[{"index":0,"output":{"raw":"x"}}]',
        metadata=b'{"a":1}',
        attempt=2,
        attempts_max=3,
        trace="t1",
    )
    unguarded = await bench.crews.run(wanted, bench.reports.append, bench.stop)
    assert result_of(unguarded) == {
        "task_id": "task-00000000000000aa",
        "generation": 1,
        "attempt": 2,
        "attempts_max": 3,
        "description": "tell me",
        "plugin": "digest",
        "metadata": {"a": 1},
        "inputs": {"topics": ["ai"]},
        "settings": {"topics": ["ai"], "length": "short"},
        "keys": {
            "llm_model": "offline",
            "llm_api_key": "key-of-the-sidecar",
            "search_key": "search-of-the-sidecar",
            "github_token": "key-of-the-task",
        },
        "done": [{"index": 0, "output": {"raw": "x"}}],
        "answers": None,
        "time_left_ms": 300_000,
        "trace": "t1",
    }


async def test_the_environment_of_a_run_has_its_folders_and_no_key(tmp_path: Path) -> None:
    """L40: neither the sidecar's keys nor the task's, no Redis, and nothing that was not listed."""
    secret = "canary-0123456789"
    environ = {"OPENAI_API_KEY": secret, "REDIS_URL": "redis://x", "SIDECAR_TOKEN": secret, "LISTED": "yes"}
    bench = crew(
        tmp_path,
        "say(result=[dict(os.environ), sys.argv, os.getcwd()])",
        environ,
        account=Account(model="offline", model_key=secret),
        environment=("TEST_MARK", "LISTED"),
    )
    wanted = order(plugin="digest", inputs=json.dumps({"_tavily_api_key": secret}).encode())
    outcome = await bench.crews.run(wanted, bench.reports.append, bench.stop)
    seen, argv, cwd = result_of(outcome)
    assert secret not in json.dumps([seen, argv])
    assert "REDIS_URL" not in seen
    assert seen["LISTED"] == "yes"
    assert seen["CREWAI_DISABLE_TELEMETRY"] == "true"
    root = Path(seen["CREWHUB_WORKSPACE"])
    assert Path(cwd) == root / "work"
    for name in ("HOME", "TMPDIR", "CREWAI_STORAGE_DIR"):
        assert Path(seen[name]).is_relative_to(root)
    assert secret not in json.dumps(dict(os.environ))
    assert not bench.workspaces_left()


async def test_two_runs_at_once_never_see_the_keys_of_each_other(tmp_path: Path) -> None:
    """L40: nor does the one's secret hide the same word in what the other says."""
    bench = crew(tmp_path, "say(result=[order['keys'], order['settings'], dict(os.environ)])")

    async def seen(key: str, topic: str, number: int) -> str:
        inputs = json.dumps({"_llm_api_key": key, "topics": [topic]}).encode()
        wanted = order(plugin="digest", inputs=inputs, task_id=TaskId(f"task-000000000000000{number}"))
        outcome = await bench.runner.run(wanted, bench.reports.append, bench.stop)
        assert isinstance(outcome, Finished)
        return outcome.result.decode()

    async with asyncio.TaskGroup() as group:
        one = group.create_task(seen("canary-of-one", "plain-word", 1))
        two = group.create_task(seen("plain-word", "canary-of-one", 2))
    assert "canary-of-one" not in one.result()
    assert "plain-word" in one.result()
    assert "plain-word" not in two.result()
    assert "canary-of-one" in two.result()


async def test_a_key_is_taken_out_of_everything_that_a_run_says(tmp_path: Path) -> None:
    """L40: the task's own key and the sidecar's, in log, fields, progress, steps, questions and errors."""
    source = """
for key in (order['keys']['llm_api_key'], order['keys']['search_key']):
    say(log=key, data={'k': key}); say(progress=1, message=key); say(step=0, output={'k': key})
    say(event={'k': key}); print(key, flush=True)
say(error='wrong key ' + order['keys']['llm_api_key'])
"""
    bench = crew(tmp_path, source, account=Account(model="offline", search_key="canary-of-the-sidecar"))
    outcome = await bench.run(order(plugin="digest", inputs=b'{"_llm_api_key":"canary-of-the-task"}'))
    assert failure_of(outcome).error == "wrong key [redacted]"
    assert len(bench.reports) >= 10
    assert "canary" not in repr(bench.reports)


# ---- before anything is started ----------------------------------------------------------------------------


async def test_a_plugin_is_looked_up_by_name_and_never_by_path(tmp_path: Path) -> None:
    """L39."""
    runner = crew(tmp_path, "").runner
    assert runner.accepts(order(plugin="digest")) is None
    for name in ("../digest", "digest/..", "/nowhere/digest", "DIGEST", ""):
        rejection = runner.accepts(order(plugin=name))
        assert rejection is not None
        assert rejection.reason == "unknown_plugin"


async def test_only_a_plugin_that_is_not_there_is_reported_as_not_found(tmp_path: Path) -> None:
    """L83: one that is broken says what is wrong with it."""
    bench = crew(tmp_path, "")
    trouble = Trouble(folder="/plugins/digest", sentence="digest: plugin.yaml: version: is missing")
    bench.crews.offer(plugins_of("other", troubles=(trouble,)))
    missing = bench.runner.accepts(order(plugin="nothing"))
    broken = bench.runner.accepts(order(plugin="digest"))
    assert missing is not None
    assert missing.sentence == "Plugin crew not found: nothing"
    assert broken is not None
    assert broken.sentence == "the plugin digest cannot be used: digest: plugin.yaml: version: is missing"
    assert failure_of(await bench.run()).error == broken.sentence


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        (b'{"topics":"ai"}', "settings.topics"),
        (b'{"topic":["ai"]}', "settings.topic"),
        (b'{"_llm_api_key":{"a":1}}', "settings._llm_api_key"),
        (b"[1]", "inputs"),
        (b"{", "inputs"),
    ],
)
async def test_unfit_settings_are_refused_by_name_before_anything_is_started(
    tmp_path: Path, inputs: bytes, named: str
) -> None:
    """L72, L92: no process, no second attempt, and the sentence says which key."""
    bench = crew(tmp_path, "say(result=1)")
    failed = failure_of(await bench.run(order(plugin="digest", inputs=inputs)))
    assert failed.error.startswith(f"{named}:")
    assert (failed.cause, failed.retryable, failed.proof) == ("setup", False, None)
    assert not bench.workspaces.folder.exists()


async def test_a_crew_without_a_model_says_where_to_name_one(tmp_path: Path) -> None:
    bench = crew(tmp_path, "say(result=1)", account=Account())
    failed = failure_of(await bench.run())
    assert "_llm_model" in failed.error
    assert "SIDECAR_MODEL" in failed.error
    assert not failed.retryable


@pytest.mark.parametrize("name", ["REDIS_URL", "SIDECAR_TOKEN", "HUB_URL", "CREWHUB_RUN"])
def test_a_variable_that_no_crew_may_see_is_refused_as_a_setting(name: str) -> None:
    """L40."""
    with pytest.raises(ValueError, match=name):
        CrewSettings(environment=(name,))


async def test_nothing_to_run_fails_at_once_and_for_good(tmp_path: Path) -> None:
    """L72."""
    bench = CrewBench(tmp_path, ("/nonexistent/python",), {})
    failed = failure_of(await bench.run())
    assert failed.error == "cannot run /nonexistent/python: No such file or directory"
    assert not failed.retryable


# ---- stopping ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["cancel", "revoke", "shutdown"])
async def test_a_crew_that_obeys_is_stopped_without_a_signal(tmp_path: Path, reason: str) -> None:
    bench = crew(tmp_path, "say(log='up'); say(log=hear()['stop']); say(stopped=True)")
    outcome = await bench.run_while(told_when_up(reason))
    assert isinstance(outcome, Stopped)
    assert outcome.how == "cooperative"
    assert outcome.proof.signals == ()
    assert bench.texts() == ["up", reason]


async def test_a_hung_crew_is_killed_and_proven_gone(tmp_path: Path) -> None:
    """L74, L75: it hears nothing, ignores TERM, and has forked into a session of its own."""
    source = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    say(log='up')
while True: time.sleep(60)
"""
    bench = crew(tmp_path, source)
    outcome = await bench.run_while(told_when_up(grace_ms=100))
    assert isinstance(outcome, Stopped)
    assert outcome.how == "killed"
    assert outcome.proof.signals == ("TERM", "KILL")
    assert outcome.proof.survivors == 0
    assert not bench.left()
    assert not bench.workspaces_left()


async def test_an_error_that_follows_from_being_told_is_a_stop(tmp_path: Path) -> None:
    bench = crew(tmp_path, "say(log='up'); hear(); say(error='aborted'); os._exit(1)")
    assert isinstance(await bench.run_while(told_when_up()), Stopped)


async def test_a_result_that_was_said_before_the_end_still_counts(tmp_path: Path) -> None:
    """L74: the work was done when the cancel came."""
    bench = crew(tmp_path, "say(log='up'); hear(); say(result='just in time')")
    assert result_of(await bench.run_while(told_when_up())) == "just in time"


async def test_grandchildren_are_gone_also_after_success(tmp_path: Path) -> None:
    """L75."""
    source = """
if os.fork() == 0:
    os.setsid()
    say(log='up')
    while True: time.sleep(60)
json.loads('1'); say(result=1)
"""
    bench = crew(tmp_path, source)
    assert result_of(await bench.run()) == 1
    assert not bench.left()


# ---- time --------------------------------------------------------------------------------------------------


async def test_a_crew_over_its_time_fails_with_the_sentence_and_nothing_is_left(tmp_path: Path) -> None:
    """L75: it is told first, and obeys."""
    bench = crew(tmp_path, "say(log='up'); say(log=hear()['stop']); say(error='aborted')")

    async def jump(bench: CrewBench) -> None:
        await until(lambda: "up" in bench.texts(), "the crew is up")
        leap(301)

    with time_machine() as leap:
        failed = failure_of(await bench.run_while(jump))
    assert failed.error == "Workflow exceeded 300s timeout"
    assert (failed.cause, failed.retryable) == ("timeout", True)
    assert failed.proof is not None
    assert failed.proof.signals == ()
    assert bench.texts() == ["up", "timeout"]
    assert not bench.left()


async def test_a_deaf_crew_over_its_time_is_killed(tmp_path: Path) -> None:
    """L75: it hears nothing and ignores SIGTERM."""
    source = "signal.signal(signal.SIGTERM, signal.SIG_IGN); say(log='up')\nwhile True: time.sleep(60)"
    bench = crew(tmp_path, source)

    async def jump(bench: CrewBench) -> None:
        await until(lambda: "up" in bench.texts(), "the crew is up")
        leap(301)

    with time_machine() as leap:
        failed = failure_of(await bench.run_while(jump))
    assert failed.error == "Workflow exceeded 300s timeout"
    assert failed.proof is not None
    assert failed.proof.signals[-1] == "KILL"
    assert not bench.left()


async def test_the_time_of_a_crew_ends_before_the_time_of_its_task(tmp_path: Path) -> None:
    """L93: crew < task, by what a stop needs, and by a tenth when little is left."""
    source = "say(result=order['time_left_ms'])"
    for left_ms, allowed_ms in ((100_000, 94_000), (1_000_000, 300_000), (20_000, 18_000)):
        bench = crew(tmp_path, source)
        assert result_of(await bench.run(order(plugin="digest", time_left_ms=left_ms))) == allowed_ms
