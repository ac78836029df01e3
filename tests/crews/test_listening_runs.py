"""What real crews tell of themselves: every event in order, progress that only rises, exact token sums."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crews.chunks import LINE_CHARACTERS_MAX, RUN_COST_MAX
from crews.transcript import Transcript

# Whichever of them is first waits for the import of crewai, on a machine that may be shared by many.
pytestmark = pytest.mark.timeout(180)

STORY = Path(__file__).parent / "stories" / "story_crew"
Run = Callable[..., Transcript]


def run_text(turn: dict[str, Any]) -> str:
    return f"Thought: I know what to answer\nFinal Answer: {turn['say']}"


def assert_rises_to_the_result(run: Transcript) -> None:
    """100 comes once, in the line of the result, which is the last."""
    assert run.progress == sorted(run.progress)
    assert run.progress[-1] == 100
    assert max(run.progress[:-1]) <= 99
    assert "result" in run.lines[-1]


def assert_links_lead_up(run: Transcript) -> None:
    """A parent has begun before its child, and what has begun ends once."""
    begun: dict[int, str] = {}
    for line in run.lines:
        entry = line.get("data", {})
        if entry.get("parent") is not None:
            assert entry["parent"] in begun, line
        if entry.get("state") == "began":
            begun[entry["id"]] = line["kind"]
        elif "state" in entry:
            assert begun[entry["id"]] == line["kind"]
    ended = [
        line["data"]["id"] for line in run.lines if line.get("data", {}).get("state") in {"ended", "failed"}
    ]
    assert sorted(ended) == sorted(begun)


def test_a_crew_of_three_is_told_in_order(run_plugin: Run) -> None:
    """L102: progress rises from line to line, and the result is the last of them."""
    run = run_plugin(STORY, {"topic": "cats"})
    steps = [
        (line["kind"], line["data"]["state"], line["data"][line["kind"]])
        for line in run.lines
        if "state" in line.get("data", {}) and line["kind"] != "model"
    ]
    assert steps == [
        ("crew", "began", "story_crew"),
        ("task", "began", "research_task"),
        ("agent", "began", "researcher"),
        ("tool", "began", "look_up"),
        ("tool", "ended", "look_up"),
        ("agent", "ended", "researcher"),
        ("task", "ended", "research_task"),
        ("task", "began", "write_task"),
        ("agent", "began", "writer"),
        ("agent", "ended", "writer"),
        ("task", "ended", "write_task"),
        ("task", "began", "review_task"),
        ("agent", "began", "reviewer"),
        ("agent", "ended", "reviewer"),
        ("task", "ended", "review_task"),
        ("crew", "ended", "story_crew"),
    ]
    assert_rises_to_the_result(run)
    assert_links_lead_up(run)
    assert run.progress == [0, 1, 11, 11, 17, 33, 35, 44, 66, 68, 77, 99, 100]
    assert run.messages[:4] == [
        "story_crew began: 3 tasks",
        "Task 1/3: research_task",
        "researcher is thinking",
        "researcher uses look_up",
    ]
    assert not run.logs("warning")


def test_tokens_are_the_sum_of_the_calls_and_no_more(run_plugin: Run) -> None:
    run = run_plugin(STORY)
    assert run.usage == {"tokens_in": 1000, "tokens_out": 100, "model": "offline"}
    calls = [line["data"] for line in run.logs("model") if line["data"]["state"] == "ended"]
    assert [call["tokens_in"] for call in calls] == [100, 200, 300, 400]
    assert run.logs("crew")[-1]["data"]["models"] == {"offline": {"tokens_in": 1000, "tokens_out": 100}}


def test_the_streamed_text_is_what_the_models_said(run_plugin: Run) -> None:
    run = run_plugin(STORY)
    assert run.text.endswith("Thought: I know what to answer\nFinal Answer: It is good.")
    assert [line["log"] for line in run.logs("chunk") if line["data"].get("thought")] == ["Short is better"]


def test_tasks_that_run_at_once_are_told_apart(run_plugin: Run) -> None:
    run = run_plugin(STORY, {"form": "at_once"})
    assert_rises_to_the_result(run)
    assert_links_lead_up(run)
    task_of = {line["data"]["id"]: line["data"]["task"] for line in run.logs("task")}
    agents = [line["data"] for line in run.logs("agent") if line["data"]["state"] == "began"]
    assert {agent["agent"]: task_of[agent["parent"]] for agent in agents} == {
        "researcher": "research_task",
        "writer": "write_task",
        "reviewer": "review_task",
    }


def test_a_delegated_agent_hangs_at_the_tool_and_moves_no_progress(run_plugin: Run) -> None:
    run = run_plugin(STORY, {"form": "hierarchical"})
    assert_rises_to_the_result(run)
    assert_links_lead_up(run)
    assert run.began("agent") == ["Crew Manager", "researcher"]
    delegation = next(
        line["data"] for line in run.logs("tool") if line["data"]["tool"].startswith("delegate")
    )
    coworker = next(line["data"] for line in run.logs("agent") if line["data"]["agent"] == "researcher")
    assert coworker["parent"] == delegation["id"]
    thinking = [
        line["progress"]
        for line in run.lines
        if line.get("message") == "researcher is thinking" and "progress" in line
    ]
    assert len(set(thinking)) == 1


def test_a_tool_that_fails_is_a_warning_and_the_crew_goes_on(run_plugin: Run) -> None:
    run = run_plugin(STORY, offline={"*": [{"tool": "broken"}, "Then without it."]})
    assert run.result == {"output": "Then without it."}
    failed = [line for line in run.logs("tool") if line["level"] == "warning"]
    assert failed
    assert "the line is dead" in failed[0]["log"]


def test_a_guardrail_that_refuses_is_told_with_its_reason(run_plugin: Run) -> None:
    script = {"writer": ["Short.", "Now it is longer."], "*": ["Fine."]}
    run = run_plugin(STORY, {"form": "guarded"}, offline=script)
    verdicts = [(line["level"], line["log"]) for line in run.logs("guardrail")]
    assert [level for level, _ in verdicts] == ["warning", "info"]
    assert verdicts[0][1].endswith("refuses the output: make it longer")
    assert_rises_to_the_result(run)


def test_a_model_that_fails_is_told_at_every_level(run_plugin: Run) -> None:
    run = run_plugin(STORY, offline={"researcher": ["Fine."], "*": [{"fail": "the provider is on holiday"}]})
    assert run.result is None
    assert run.exit_code == 1
    assert run.error is not None
    assert "the provider is on holiday" in run.error
    for kind in ("model", "agent", "task", "crew"):
        assert any("the provider is on holiday" in line["log"] for line in run.logs(kind)), kind
    assert max(run.progress) < 66
    assert "error" in run.lines[-1]


def test_twenty_thousand_chunks_are_few_lines(run_plugin: Run) -> None:
    long = {"say": "0123456789" * 10_000, "chunks": 20_000}
    run = run_plugin(STORY, offline={"reviewer": [long], "*": ["Fine."]})
    chunks = run.logs("chunk")
    ms = chunks[-1]["data"]["t"] - chunks[0]["data"]["t"]
    assert len(chunks) <= ms / 100 + 10  # one in 100 ms, and what each of three calls ends with
    assert all(len(line["log"]) <= LINE_CHARACTERS_MAX for line in chunks)
    streamed = sum(len(line["log"]) for line in chunks)
    assert streamed <= RUN_COST_MAX
    assert streamed + sum(line["data"].get("left_out", 0) for line in chunks) == len(
        run_text(long)
    ) + 2 * len(run_text({"say": "Fine."}))
    assert_rises_to_the_result(run)


def test_a_run_is_cut_in_the_middle_of_a_model_s_text(run_plugin: Run) -> None:
    """L74: what was streaming stops, no result follows."""
    run = run_plugin(
        STORY,
        offline={"*": [{"say": "word " * 100_000, "chunks": 100_000, "pause_ms": 1}]},
        stop_when=lambda line: line.get("kind") == "chunk",
    )
    assert run.stopped
    assert run.exit_code == 0
    assert run.result is None
    assert run.error is None
    assert len(run.text) < 100_000


def test_a_resumed_crew_begins_where_the_first_ended(run_plugin: Run) -> None:
    first = run_plugin(STORY)
    second = run_plugin(STORY, done=first.steps[:2], attempt=2)
    assert second.began("task") == ["review_task"]
    assert second.progress[0] >= 66
    assert_rises_to_the_result(second)
    assert_links_lead_up(second)
    assert second.usage["tokens_in"] == 400
