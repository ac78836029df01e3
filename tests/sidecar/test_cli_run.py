"""`sidecar run`: a crew once, without a hub, as a real process: its voices, its answers, its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from plugins.loader import SHIPPED
from tests.sidecar.process import ROOT
from tests.waiting import until_true

pytest.importorskip("crewai", reason="crewai is not installed")

pytestmark = pytest.mark.timeout(180)

PATIENCE_S = 90.0
TOPICS = ("--input", 'topics=["space"]')


class Running:
    """`sidecar run …` with its own temporary folder."""

    def __init__(self, process: asyncio.subprocess.Process, temporary: Path) -> None:
        self.process = process
        self.temporary = temporary
        self.heard = ""

    async def hears(self, words: str) -> None:
        """Standard error has said these words."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while words not in self.heard:
                line = await self.process.stderr.readline()
                assert line, f"{words!r} was never said: {self.heard}"
                self.heard += line.decode()

    async def end(self, text: str = "") -> tuple[int, str, str]:
        out, err = await self.process.communicate(text.encode())
        assert self.process.returncode is not None
        assert list(self.temporary.iterdir()) == [], "nothing lies around afterwards"
        return self.process.returncode, out.decode(), self.heard + err.decode()


@asynccontextmanager
async def running(tmp_path: Path, *arguments: str, model: str = "offline") -> AsyncIterator[Running]:
    temporary = tmp_path / "temporary"
    temporary.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.cli", "run", *arguments),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary), "SIDECAR_MODEL": model},
    )
    try:
        yield Running(process, temporary)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def run(
    tmp_path: Path, *arguments: str, text: str = "", model: str = "offline"
) -> tuple[int, str, str]:
    async with running(tmp_path, *arguments, model=model) as process:
        return await process.end(text)


def digest_that(tmp_path: Path, script: str) -> tuple[str, ...]:
    """The shipped digest, whose model plays something else; and the words to run it."""
    folder = tmp_path / "plugins"
    if not folder.exists():
        shutil.copytree(SHIPPED / "daily-news-digest", folder / "daily-news-digest")
    (folder / "daily-news-digest" / "offline.yaml").write_text(script)
    return ("daily-news-digest", "--plugins", str(folder), *TOPICS)


async def test_a_crew_runs_without_a_hub_and_its_result_is_all_of_the_output(tmp_path: Path) -> None:
    code, out, err = await run(tmp_path, "daily-news-digest", *TOPICS)
    assert code == 0, err
    record = json.loads(out)
    assert record["state"] == "completed"
    assert set(record["result"]) == {"summary", "sections"}
    assert record["usage"]["model"] == "offline"
    assert record["usage"]["tokens_out"] > 0
    steps = [line.strip() for line in err.splitlines()]
    assert steps[0].startswith("plugins: daily-news-digest")
    assert "Task 1/3: research_task" in steps
    assert steps.index("Finished research_task") < steps.index("Task 2/3: write_task")
    assert len(steps) == len(set(steps)), "a step is said once"


async def test_a_person_reads_the_briefing_and_not_its_json(tmp_path: Path) -> None:
    code, out, _ = await run(tmp_path, "daily-news-digest", *TOPICS, "--no-json")
    assert code == 0
    assert "An example of a briefing." in out
    assert "What is new" in out
    assert "{" not in out
    code, out, err = await run(tmp_path, "daily-news-digest", *TOPICS, "--no-json", "--quiet")
    assert (code, "What is new" in out, err) == (0, True, "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope"], 2, "Plugin crew not found: nope. There is daily-news-digest"),
        (["../plugins/daily-news-digest"], 2, "Plugin crew not found"),
        (["daily-news-digest"], 2, "settings.topics: is missing"),
        (["daily-news-digest", "--input", "topic=space"], 2, "settings.topic: is not a setting"),
        (["daily-news-digest", "--inputs", "[1]"], 2, "JSON object"),
        (["daily-news-digest", *TOPICS, "--timeout", "soon"], 2, "not a duration"),
        (["daily-news-digest", *TOPICS, "--model-key-file", "/nowhere"], 2, "/nowhere"),
    ],
)
async def test_a_mistake_is_a_sentence_and_starts_nothing(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    """L39, L83"""
    found, out, err = await run(tmp_path, *arguments)
    assert (found, out, "Traceback" in err, words in err) == (code, "", False, True), err


async def test_without_a_model_nothing_is_started(tmp_path: Path) -> None:
    code, _, err = await run(tmp_path, "daily-news-digest", *TOPICS, model="")
    assert (code, "Try: --model offline" in err) == (2, True), err
    code, _, err = await run(
        tmp_path, "daily-news-digest", *TOPICS, "--input", "_llm_model=offline", model=""
    )
    assert code == 0, err


async def test_a_broken_plugin_is_not_called_missing(tmp_path: Path) -> None:
    """L83"""
    arguments = digest_that(tmp_path, "{}")
    folder = tmp_path / "plugins" / "daily-news-digest"
    (folder / "crew" / "crew.py").write_text("import nothing_of_that_name\n")
    code, _, err = await run(tmp_path, *arguments)
    assert code == 1
    assert "nothing_of_that_name" in err
    (folder / "plugin.yaml").write_text("name: daily-news-digest\n")
    code, _, err = await run(tmp_path, *arguments)
    assert (code, "version" in err) == (1, True)
    assert "not found" not in err


async def test_a_crew_that_fails_is_a_failure_and_says_why(tmp_path: Path) -> None:
    """L70, L92"""
    code, out, err = await run(tmp_path, *digest_that(tmp_path, '"*": [{fail: the model is on strike}]'))
    assert code == 1
    record = json.loads(out)
    assert record["state"] == "failed"
    assert "the model is on strike" in record["error"]
    assert "the model is on strike" in err


async def test_a_crew_that_takes_too_long_is_ended_and_says_so(tmp_path: Path) -> None:
    """L75"""
    arguments = digest_that(tmp_path, '"*": [{stall: true, deaf: true}]')
    code, out, err = await run(tmp_path, *arguments, "--timeout", "2s")
    assert code == 124, err
    assert json.loads(out)["error"].startswith("Workflow exceeded 2s timeout")


async def test_a_question_is_answered_by_a_pipe(tmp_path: Path) -> None:
    arguments = ("release-check", "--input", "version=1.2.0", "--input", 'changes=["Fixed a typo"]')
    code, out, err = await run(tmp_path, *arguments, text="maybe\nhold\n")
    assert code == 0, err
    assert "It asks: Version 1.2.0" in err
    assert "That is none of: release, hold" in err
    assert json.loads(out)["result"]["decision"] == "hold"


async def test_a_question_that_nobody_can_answer_ends_the_run_with_its_own_code(tmp_path: Path) -> None:
    arguments = ("release-check", "--input", "version=1.2.0", "--input", 'changes=["Fixed a typo"]')
    code, out, err = await run(tmp_path, *arguments)
    assert code == 7, err
    assert json.loads(out)["state"] == "cancelled"
    assert "Nobody answers" in err


def test_a_person_at_the_terminal_is_asked_there_and_answers_there(tmp_path: Path) -> None:
    arguments = ("release-check", "--input", "version=1.2.0", "--input", 'changes=["Fixed a typo"]')
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecar.cli", "run", *arguments, "--model", "offline"],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    screen = Screen(ours)
    try:
        screen.until("One of: release, hold")
        screen.until("> ")
        os.write(ours, b"release\n")
        screen.until("Coordinator")
        screen.to_the_end()
        assert process.wait(PATIENCE_S) == 0, screen.text
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert "Version 1.2.0" in screen.text
    assert "decision" in screen.text


class Screen:
    """What a terminal has shown."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.text = ""

    def until(self, words: str) -> None:
        until_true(lambda: self._has(words), f"{words!r} is shown", PATIENCE_S)

    def to_the_end(self) -> None:
        """The other end closes with an error, as terminals do."""
        with suppress(OSError):
            while piece := os.read(self.descriptor, 4096):
                self.text += piece.decode(errors="replace")

    def _has(self, words: str) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], 0)
        if ready:
            self.text += os.read(self.descriptor, 4096).decode(errors="replace")
        return words in self.text


def all_below(leader: int) -> list[str]:
    """Processes below this one, by their parents."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = {leader}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(f"/proc/{pid}" for pid in found - {leader})


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 3)], ids=["ctrl-c", "terminate"]
)
async def test_a_signal_stops_the_run_and_the_proof_is_shown(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """L74, L75: a model that hangs, and hears nothing, is gone all the same."""
    async with running(tmp_path, *digest_that(tmp_path, '"*": [{stall: true, deaf: true}]')) as process:
        await process.hears("Researcher began")
        below = all_below(process.process.pid)
        assert len(below) >= 2, "a zygote and a run"
        process.process.send_signal(number)
        found, out, err = await process.end()
    assert found == code, err
    assert "stopping it; once more kills it" in err
    record = json.loads(out)
    assert (record["state"], record["proof"]["survivors"]) == ("cancelled", 0)
    until_true(lambda: not any(map(os.path.exists, below)), "nothing is left", PATIENCE_S)


async def test_ctrl_c_twice_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    async with running(tmp_path, *digest_that(tmp_path, '"*": [{stall: true, deaf: true}]')) as process:
        await process.hears("Researcher began")
        process.process.send_signal(signal.SIGINT)
        await process.hears("stopping it")
        process.process.send_signal(signal.SIGINT)
        await process.hears("killing it")
        code, out, _ = await process.end()
    assert (code, json.loads(out)["stopped"]) == (130, "killed")


async def test_ctrl_c_before_anything_runs_leaves_at_once(tmp_path: Path) -> None:
    script = '"*": [{say: hello}]'
    arguments = digest_that(tmp_path, script)
    crew = tmp_path / "plugins" / "daily-news-digest" / "crew" / "crew.py"
    crew.write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'importing')!r}).touch()\ntime.sleep(600)\n"
    )
    async with running(tmp_path, *arguments) as process:
        await asyncio.to_thread(until_true, (tmp_path / "importing").exists, "it imports", PATIENCE_S)
        process.process.send_signal(signal.SIGINT)
        code, out, err = await process.end()
    assert (code, out, "Traceback" in err) == (130, "", False), err


async def test_a_cold_start_runs_the_same_crew(tmp_path: Path) -> None:
    code, out, err = await run(tmp_path, "daily-news-digest", *TOPICS, "--crew-start", "cold")
    assert code == 0, err
    assert json.loads(out)["state"] == "completed"
