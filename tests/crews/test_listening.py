"""Listening to a crew: its own events only, in order, without ever being its trouble."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from crews import clock
from crews.listening import HELD_MAX, InOrder, Listener, by_the_best_way
from crews.pace import LINES_BURST
from crews.progress import Meter
from crews.telling import Story
from tests.crews.events import Stage, call, crew_of, task

ROOT = Path(__file__).parent.parent.parent


# The program imports crewai: three seconds on a quiet machine, far more on one that is shared by many.
IMPORTS_S = 170
pytestmark = pytest.mark.timeout(IMPORTS_S + 10)


class Noted:
    """A line that remembers."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def say(self, **members: Any) -> None:
        self.lines.append(members)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("kind") == kind]


class Asked(Exception):
    """The stop that was asked for."""


class Stopped:
    """Somebody who has asked for a stop."""

    def check(self) -> None:
        raise Asked


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `programs/listens.py` heard, in each of its ways."""
    pytest.importorskip("crewai", reason="crewai is not installed")
    folder = tmp_path_factory.mktemp("listens")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
    environ["CREWAI_STORAGE_DIR"] = str(folder)
    with (folder / "heard.json").open("w+") as told, (folder / "output.log").open("w+") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.crews.programs.listens", str(told.fileno())],
            cwd=ROOT,
            env=environ,
            pass_fds=[told.fileno()],
            stdout=output,
            stderr=output,
            timeout=IMPORTS_S,
            check=False,
        )
        output.seek(0)
        assert ended.returncode == 0, output.read()[-3000:]
        told.seek(0)
        return json.load(told)


def skeleton(run: Any) -> list[tuple[Any, ...]]:
    """What happened, without times, ids and streamed text."""
    entries = [line for line in run["lines"] if line.get("kind") != "chunk"]
    return [
        (
            line["kind"],
            line["data"]["state"],
            line["data"]["id"],
            line["data"]["parent"],
            line.get("progress"),
        )
        for line in entries
    ]


def test_ten_crews_at_once_hear_nothing_of_each_other(heard: Any) -> None:
    for name, run in heard["at_once"].items():
        assert run["result"] == f"I am of {name}."
        names = {line["data"]["task"] for line in run["lines"] if line.get("kind") == "task"}
        assert names == {f"{name}-{role}" for role in ("researcher", "writer", "reviewer")}
        text = "".join(line["log"] for line in run["lines"] if line.get("kind") == "chunk")
        assert text.count(f"I am of {name}.") == 3
        assert text.count("I am of") == 3
        assert run["usage"] == {"tokens_in": 30, "tokens_out": 3, "model": "offline"}


def test_a_crew_among_others_tells_the_same_as_alone(heard: Any) -> None:
    alone = skeleton(heard["sink"])
    assert len(alone) == 20
    for run in heard["at_once"].values():
        assert skeleton(run) == alone


def test_the_documented_bus_tells_the_same_as_the_sink(heard: Any) -> None:
    assert skeleton(heard["bus"]) == skeleton(heard["sink"])
    assert heard["bus"]["tokens"] == heard["sink"]["tokens"] == 33


def test_trouble_of_ours_is_said_once_and_never_the_crew_s(heard: Any) -> None:
    run = heard["broken"]
    assert run["result"] == "I am of unheard."
    warnings = [line["log"] for line in run["lines"] if line.get("kind") == "warning"]
    assert warnings == [
        "an event could not be told (llm_call_started): ValueError: the line is broken",
        "an event could not be told (llm_call_completed): ValueError: the line is broken",
    ]


def a_listener(stop: Any = None) -> tuple[Listener, Noted, Stage]:
    line, stage = Noted(), Stage()
    listener = Listener(line, Story(Meter(1, task_ids=["id-of-write"])), stop)
    listener(crew_of("write"), stage.begin("crew_kickoff_started", crew_name="crew"))
    listener(None, stage.begin("task_started", **task("write")))
    return listener, line, stage


def test_a_stop_cuts_a_model_s_text_and_nothing_else() -> None:
    listener, line, stage = a_listener(Stopped())
    listener(None, stage.begin("llm_call_started", **call(1, "Writer", "write")))
    for type_ in ("llm_stream_chunk", "llm_thinking_chunk"):
        with pytest.raises(Asked):
            listener(None, stage.event(type_, chunk="x", **call(1, "Writer", "write")))
    assert not line.of_kind("chunk")


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """All happens in one moment, however slow the machine is."""
    monkeypatch.setattr(clock, "monotonic_s", lambda: 1000.0)


@pytest.mark.usefixtures("stopped_clock")
def test_a_crew_that_does_too_much_is_told_in_part_and_that_is_said() -> None:
    listener, line, stage = a_listener()
    for _ in range(10 * LINES_BURST):
        listener(None, stage.begin("tool_usage_started", tool_name="t", tool_args=""))
        listener(None, stage.end("tool_usage_finished", tool_name="t", output=""))
    said = len(line.of_kind("tool"))
    assert LINES_BURST // 3 <= said <= LINES_BURST
    listener(None, stage.end("task_completed", output=None, **task("write")))
    assert line.of_kind("task")[-1]["data"]["state"] == "ended"
    listener.close_talk()
    told = sum(int(entry["log"].split()[0]) for entry in line.of_kind("warning"))
    assert {entry["level"] for entry in line.of_kind("warning")} == {"info"}
    assert told == 20 * LINES_BURST - len(line.of_kind("tool"))


def test_what_still_waits_is_said_at_the_end() -> None:
    listener, line, stage = a_listener()
    listener(None, stage.begin("llm_call_started", **call(1, "Writer", "write")))
    for text in ("one ", "two ", "three"):
        listener(None, stage.event("llm_stream_chunk", chunk=text, **call(1, "Writer", "write")))
    listener.close_talk()
    assert "".join(entry["log"] for entry in line.of_kind("chunk")) == "one two three"


@pytest.mark.usefixtures("stopped_clock")
def test_tokens_that_were_left_out_of_the_talk_are_said_at_the_end() -> None:
    listener, line, stage = a_listener()
    for _ in range(3 * LINES_BURST):
        listener(None, stage.event("memory_save_failed", error="full"))
    assert LINES_BURST < len(line.of_kind("warning")) <= 2 * LINES_BURST
    listener(None, stage.begin("llm_call_started", **call(1, "Writer", "write")))
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    listener(None, stage.end("llm_call_completed", usage=usage, **call(1, "Writer", "write")))
    assert not any("usage" in entry for entry in line.lines)
    listener.close_talk()
    assert line.lines[-1]["usage"] == {"tokens_in": 7, "tokens_out": 2, "model": "m"}


def test_an_event_that_is_no_event_is_a_warning() -> None:
    listener, line, _ = a_listener()
    listener(None, SimpleNamespace(type="task_started"))
    assert line.lines[-1]["log"].startswith("an event could not be told (task_started): AttributeError")


@pytest.mark.parametrize("gone", [None, ModuleType("without its names")], ids=["the module", "its names"])
def test_where_the_sink_is_gone_the_bus_is_listened_to(
    gone: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = pytest.importorskip("crewai.events", reason="crewai is not installed")
    monkeypatch.delattr(events, "stream_context", raising=False)
    monkeypatch.setitem(sys.modules, "crewai.events.stream_context", gone)
    if gone is not None:
        monkeypatch.setattr(events, "stream_context", gone, raising=False)
    way: Any = by_the_best_way(a_listener()[0])
    assert way.gen.__name__ == "by_bus"
    way.gen.close()


def test_events_that_come_out_of_order_are_heard_in_theirs() -> None:
    said: list[int] = []
    in_order = InOrder(lambda _, event: said.append(event.emission_sequence))
    for number in (1, 3, 2, 5, 6, 4, 9):
        in_order.add(None, SimpleNamespace(emission_sequence=number))
    assert said == [1, 2, 3, 4, 5, 6]
    in_order.close()
    assert said[-1] == 9


def test_an_event_that_never_comes_is_not_waited_for_without_end() -> None:
    said: list[int] = []
    in_order = InOrder(lambda _, event: said.append(event.emission_sequence))
    for number in range(2, HELD_MAX + 2):
        in_order.add(None, SimpleNamespace(emission_sequence=number))
    assert said == []
    in_order.add(None, SimpleNamespace(emission_sequence=HELD_MAX + 2))
    assert said == list(range(2, HELD_MAX + 3))
