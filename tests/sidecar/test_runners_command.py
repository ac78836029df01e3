"""How a task reaches a command and how its end is read, with real programs on a real machine."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from protocol.ids import TaskId, question_id
from protocol.limits import RESULT_BYTES_MAX
from sidecar.runners.command import CommandRunner, CommandSettings
from sidecar.runners.contract import (
    Asked,
    Failed,
    Finished,
    Logged,
    Outcome,
    Progress,
    Proof,
    StepDone,
    Stopped,
    Used,
)
from sidecar.runners.process import Limits
from sidecar.workspace import Workspaces
from tests.sidecar.runs import Bench, order, script
from tests.waiting import until

REPORT = "import os, json\nsay = lambda **line: os.write(3, json.dumps(line).encode() + b'\\n')\n"


def result_of(outcome: Outcome) -> Any:
    assert isinstance(outcome, Finished), outcome
    return json.loads(outcome.result)


def failure_of(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


async def test_the_task_arrives_on_standard_input_and_in_the_environment(tmp_path: Path) -> None:
    source = REPORT + (
        "import sys\n"
        "named = {k: v for k, v in os.environ.items() if k in ('CREWHUB_TASK_ID', 'CREWHUB_DESCRIPTION')}\n"
        "say(result=[json.load(sys.stdin), named])\n"
    )
    wanted = order(
        "größer ☃",
        metadata=b'{"a":[1]}',
        inputs=b'{"topic":"x"}',
        attempt=2,
        attempts_max=3,
        answers=b'{"q":1}',
    )
    task, named = result_of(await script(tmp_path, source).run(wanted))
    assert task == {
        "task_id": "task-00000000000000aa",
        "generation": 1,
        "attempt": 2,
        "attempts_max": 3,
        "description": "größer ☃",
        "metadata": {"a": [1]},
        "inputs": {"topic": "x"},
        "plugin": None,
        "time_left_ms": None,
        "done": None,
        "answers": {"q": 1},
    }
    assert named == {"CREWHUB_TASK_ID": "task-00000000000000aa", "CREWHUB_DESCRIPTION": "größer ☃"}


async def test_a_description_never_runs_in_a_shell(tmp_path: Path) -> None:
    """L35: not on standard input, not in the environment, not as an argument."""
    trap = tmp_path / "touched"
    source = REPORT + "import sys\nsay(result=sys.argv[1:])"
    argv = (sys.executable, "-c", source, "--", "{description:text}")
    for text in (f"$(touch {trap})", f"`touch {trap}`", f"; touch {trap}", f"x\n touch {trap}"):
        assert result_of(await Bench(tmp_path, argv).run(order(text))) == ["--", text]
    assert not trap.exists()


async def test_a_shell_that_quotes_its_variable_does_not_run_the_description(tmp_path: Path) -> None:
    """L35: what a careful owner writes is enough."""
    trap = tmp_path / "touched"
    bench = Bench(tmp_path, ("/bin/sh", "-c", 'printf %s "$CREWHUB_DESCRIPTION"'))
    assert result_of(await bench.run(order(f"$(touch {trap})"))) == {
        "output": f"$(touch {trap})",
        "exit_code": 0,
    }
    assert not trap.exists()


async def test_a_long_description_is_on_standard_input_only(tmp_path: Path) -> None:
    source = REPORT + (
        "import sys\nlong = json.load(sys.stdin)['description']\n"
        "say(result=[len(long), 'CREWHUB_DESCRIPTION' in os.environ])"
    )
    assert result_of(await script(tmp_path, source).run(order("x" * 40_000))) == [40_000, False]


async def test_a_program_that_never_reads_its_task_ends_all_the_same(tmp_path: Path) -> None:
    bench = script(tmp_path, "print('hi')")
    outcome = await bench.run(order("x" * 64_000, metadata=b'"' + b"y" * 120_000 + b'"'))
    assert result_of(outcome) == {"output": "hi\n", "exit_code": 0}


async def test_a_value_cannot_be_taken_for_an_option(tmp_path: Path) -> None:
    """L35: a description that begins with a dash is refused, once and for all attempts."""
    bench = Bench(tmp_path, ("/bin/echo", "--", "{description:text}"))
    failed = failure_of(await bench.run(order("--help")))
    assert failed.cause == "setup"
    assert not failed.retryable


async def test_the_environment_is_clean_and_no_run_sees_another(tmp_path: Path) -> None:
    """L40: two runs at once, and only listed variables of the sidecar's own."""
    source = REPORT + "import time\nsay(log='up')\ntime.sleep(0.05)\nsay(result=dict(os.environ))"
    settings = CommandSettings(argv=(sys.executable, "-c", source), environment=("LISTED",))
    environ = {"LISTED": "yes", "OPENAI_API_KEY": "secret-of-the-sidecar"}
    runner = CommandRunner(settings, Workspaces(tmp_path), environ)

    async def seen(text: str, number: int) -> Any:
        bench = script(tmp_path, source)
        wanted = order(text, task_id=TaskId(f"task-000000000000000{number}"))
        return result_of(await runner.run(wanted, bench.reports.append, bench.stop))

    async with asyncio.TaskGroup() as group:
        one, two = group.create_task(seen("key-of-one", 1)), group.create_task(seen("key-of-two", 2))
    first, second = one.result(), two.result()
    assert first["LISTED"] == "yes"
    assert "secret-of-the-sidecar" not in first.values()
    assert "key-of-two" not in first.values()
    assert "key-of-one" not in second.values()
    assert first["CREWHUB_RUN"] != second["CREWHUB_RUN"]
    ours = {"LISTED", "HOME", "TMPDIR", "LC_CTYPE"}
    assert {name for name in first if not name.startswith("CREWHUB_")} <= ours
    assert "key-of-one" not in os.environ.values()


async def test_a_run_has_its_own_folder_session_and_no_descriptor_of_the_sidecar(tmp_path: Path) -> None:
    source = REPORT + (
        "open('made', 'w').close()\n"
        "fds = sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1]\n"
        "say(result=[os.getcwd(), os.environ['HOME'], os.environ['TMPDIR'], fds, os.getsid(0) == os.getpid(),"
        " oct(os.stat('made').st_mode)[-3:], oct(os.stat('..').st_mode)[-3:]])"
    )
    bench = script(tmp_path, source)
    cwd, home, tmp, fds, leads, made, folder = result_of(await bench.run())
    root = Path(cwd).parent
    assert root.parent == bench.workspaces.folder
    assert (Path(home), Path(tmp)) == (root / "home", root / "tmp")
    assert fds == [0, 1, 2, 3, 4]
    assert leads
    assert (made, folder) == ("600", "700")
    assert not root.exists()


async def test_limits_hold_for_the_program(tmp_path: Path) -> None:
    """X3: no core dump, and as many open files as the owner says."""
    source = REPORT + (
        "import resource\nsay(result=[resource.getrlimit(resource.RLIMIT_CORE)[0],"
        " resource.getrlimit(resource.RLIMIT_NOFILE)[0], resource.getrlimit(resource.RLIMIT_AS)[0]])"
    )
    bench = script(tmp_path, source, limits=Limits(open_files=77, memory_bytes=1 << 30))
    assert result_of(await bench.run()) == [0, 77, 1 << 30]


async def test_reports_arrive_in_order_and_progress_never_falls(tmp_path: Path) -> None:
    """L102."""
    source = REPORT + (
        "say(progress=50, message='half')\nsay(progress=20)\nsay(phase='Agentic loop complete')\n"
        "say(progress=900)\nsay(usage={'tokens_in': 3, 'tokens_out': 4, 'model': 'm', 'cost': 0.5})\n"
        "say(step=0, output={'a': 1})\nsay(event={'kind': 'tool'})\nsay(phase='mine')\n"
    )
    bench = script(tmp_path, source)
    outcome = await bench.run()
    assert bench.reports == [
        Progress(progress=50, message="half"),
        Progress(progress=50),
        Progress(progress=70, message="Agentic loop complete"),
        Progress(progress=100),
        Used(tokens_in=3, tokens_out=4, model="m", cost=0.5),
        StepDone(index=0, output=b'{"a": 1}'),
        Progress(execution_event=b'{"kind": "tool"}'),
        Progress(message="mine"),
    ]
    assert isinstance(outcome, Finished)
    assert outcome.tokens_used == 7


async def test_garbage_on_the_report_descriptor_becomes_log_lines(tmp_path: Path) -> None:
    """L50: text, arrays, wrong types, broken UTF-8, deep nesting, U+0000; the run goes on and ends well."""
    source = REPORT + (
        "lines = [b'hello', b'[1]', b'{\"progress\": \"x\"}', b'\\xff\\xfe', b'[' * 5000]\n"
        "lines += [b'a\\0b', b'', b'{']\n"
        "for line in lines:\n"
        "    os.write(3, line + b'\\n')\n"
        "say(result=1)\nos.write(3, b'and no newline')"
    )
    bench = script(tmp_path, source)
    assert result_of(await bench.run()) == 1
    heard = bench.texts("output")
    assert heard[:4] == ["hello", "[1]", '{"progress": "x"}', "\ufffd\ufffd"]
    assert heard[5:] == ["a\ufffdb", "{", "and no newline"]


async def test_a_flood_of_log_lines_is_capped_and_counted(tmp_path: Path) -> None:
    """L62, L110: also the report descriptor has a limit."""
    source = REPORT + "for _ in range(1000):\n    say(log='x' * 4000)\nsay(result=1)"
    bench = script(tmp_path, source)
    assert result_of(await bench.run()) == 1
    said = bench.texts("log")
    assert sum(len(text) for text in said) < 300_000
    assert said[-1] == f"{1000 - (len(said) - 1)} more log lines were dropped"


async def test_a_program_without_a_result_gives_what_it_printed(tmp_path: Path) -> None:
    bench = script(tmp_path, "import sys; print('a'); print('b', file=sys.stderr); print('c\\0', end='')")
    assert result_of(await bench.run()) == {"output": "a\nc\ufffd", "exit_code": 0}
    assert sorted(bench.texts("output")) == ["a", "b", "c\ufffd"]
    streams = {report.text: report.data for report in bench.reports if isinstance(report, Logged)}
    assert streams["b"] == b'{"stream":"stderr"}'


async def test_output_too_big_for_a_result_is_cut_and_says_so(tmp_path: Path) -> None:
    bench = script(tmp_path, "print('\\x01' * 200_000, end='')", output_bytes_max=150_000)
    outcome = await bench.run()
    assert isinstance(outcome, Finished)
    assert len(outcome.result) <= RESULT_BYTES_MAX
    assert json.loads(outcome.result)["truncated"] is True


async def test_a_non_zero_exit_is_a_failure_with_the_last_words(tmp_path: Path) -> None:
    """L70, L92: never reported as complete, a result before it included."""
    source = (
        REPORT
        + "import sys\nsay(result='done')\nsay(phase='Code pushed to GitHub')\nsys.exit('no such branch')"
    )
    failed = failure_of(await script(tmp_path, source).run())
    assert failed.error == "exited with code 1 in phase: Code pushed to GitHub; last output:\nno such branch"
    assert failed.retryable
    assert failed.cause == "work"


async def test_a_reported_error_is_a_failure_whatever_the_exit_code(tmp_path: Path) -> None:
    """L70."""
    source = REPORT + "say(error='quota', retryable=False, retry_after_ms=5000)\nsay(result='done')"
    failed = failure_of(await script(tmp_path, source).run())
    assert (failed.error, failed.retryable, failed.retry_after_ms) == ("quota", False, 5000)


async def test_nothing_to_run_fails_at_once_and_for_good(tmp_path: Path) -> None:
    """L72: it does not hang, and the sentence names the program."""
    failed = failure_of(await Bench(tmp_path, ("/nonexistent/agent",)).run())
    assert failed.error == "cannot run /nonexistent/agent: No such file or directory"
    assert not failed.retryable
    assert failed.cause == "setup"


async def test_a_program_that_may_not_be_executed_says_why(tmp_path: Path) -> None:
    """L92."""
    text = tmp_path / "text"
    text.write_text("not a program")
    assert "Permission denied" in failure_of(await Bench(tmp_path, (str(text),)).run()).error
    failed = failure_of(await script(tmp_path, "print()", cwd="/nonexistent").run())
    assert failed.error == "cannot enter /nonexistent: No such file or directory"


@pytest.mark.parametrize("size", [RESULT_BYTES_MAX + 1, 4 * RESULT_BYTES_MAX])
async def test_an_oversized_result_fails_that_task_alone(tmp_path: Path, size: int) -> None:
    """L60: refused here, before it could close a socket for ever."""
    failed = failure_of(
        await script(tmp_path, REPORT + f"open(3, 'w').write(json.dumps({{'result': 'x' * {size}}}))").run()
    )
    assert failed.cause == "result_too_big"
    assert not failed.retryable
    assert str(RESULT_BYTES_MAX) in failed.error


async def test_the_biggest_result_still_fits(tmp_path: Path) -> None:
    source = REPORT + f"open(3, 'w').write(json.dumps({{'result': 'x' * ({RESULT_BYTES_MAX} - 2)}}))"
    outcome = await script(tmp_path, source).run()
    assert isinstance(outcome, Finished)
    assert len(outcome.result) == RESULT_BYTES_MAX


async def test_a_result_written_early_survives_a_program_that_hangs(tmp_path: Path) -> None:
    """L71: the run is ended when its time is up, and its result stands."""
    source = REPORT + "import time\nsay(result='early')\ntime.sleep(600)"
    bench = script(tmp_path, source, timeout_ms=500)
    assert result_of(await bench.run()) == "early"
    assert not bench.left()


async def test_an_answer_reaches_the_program_and_its_waiting_costs_no_time(tmp_path: Path) -> None:
    """The time limit rests while a person is asked; the program hears the answer on its own descriptor."""
    source = (
        REPORT + "say(ask='Which?', schema={'type': 'string'})\nsay(result=json.loads(open(4).readline()))"
    )
    bench = script(tmp_path, source, timeout_ms=60_000)
    asked = question_id(TaskId("task-00000000000000aa"), 1, "Which?")

    async def reply(bench: Bench) -> None:
        await until(lambda: [said for said in bench.reports if isinstance(said, Asked)], "it has asked")
        bench.answers.put(asked, b'"blue"')
        bench.answers.put(asked, b'"never heard"')

    outcome = await bench.run_while(reply)
    assert result_of(outcome) == {"request_id": asked, "value": "blue"}
    assert Asked(request_id=asked, prompt="Which?", schema=b'{"type": "string"}') in bench.reports


async def test_a_command_answers_only_to_its_own_name(tmp_path: Path) -> None:
    """L39: a name is looked up, never turned into a path."""
    runner = script(tmp_path, "", plugin="digest").runner
    assert runner.accepts(order(plugin="digest")) is None
    for name in ("../digest", "digest/..", None, "DIGEST"):
        rejection = runner.accepts(order(plugin=name))
        assert rejection is not None
        assert rejection.reason == "unknown_plugin"


async def test_a_run_that_was_stopped_before_it_began_starts_nothing(tmp_path: Path) -> None:
    bench = script(tmp_path, "print()")
    bench.stop.set("cancel", 0)
    assert await bench.run() == Stopped(how="cooperative", proof=Proof())


async def test_a_state_folder_that_cannot_be_written_is_a_failure_and_no_crash(tmp_path: Path) -> None:
    """L92: the disk is full, or the folder is a file."""
    (tmp_path / "file").write_text("")
    failed = failure_of(await script(tmp_path / "file", "print()").run())
    assert failed.cause == "machine"
    assert failed.retryable
