"""What is told of a crew: sentences for people, hand-picked members for programs, and never too long."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from crews.activity import told, told_at_the_end
from crews.progress import Meter
from crews.telling import ERROR_LENGTH_MAX, NAME_LENGTH_MAX, OPENING_LENGTH_MAX, Moment, Story, Told
from tests.crews.events import Stage, agent, call, crew_of, task

LINE_BYTES_MAX = 32 * 1024  # of any entry: 4,096 characters of four bytes, and names

LONG = "\U0001f600" * 100_000
SECRET_PROMPT = "the whole prompt"


class Play:
    """A story that hears events one second after the other."""

    def __init__(self, *, linked: bool = True, tasks: int = 1, begun_at: int = 0) -> None:
        self.stage = Stage(linked=linked)
        self.story = Story(Meter(tasks, begun_at=begun_at))
        self.told: list[Told] = []
        self._s = 0

    def hear(self, event: Any, source: Any = None) -> list[Told]:
        self._s += 1
        entries = told(self.story, source, event, Moment(1000 * self._s, float(self._s)))
        self.told += entries
        return entries

    def begin(self, type_: str, source: Any = None, **members: Any) -> list[Told]:
        return self.hear(self.stage.begin(type_, **members), source)

    def end(self, type_: str, **members: Any) -> list[Told]:
        return self.hear(self.stage.end(type_, **members))

    def event(self, type_: str, **members: Any) -> list[Told]:
        return self.hear(self.stage.event(type_, **members))

    def up_to_the_agent(self) -> None:
        self.begin("crew_kickoff_started", crew_of("write"), crew_name="crew")
        self.begin("task_started", **task("write"))
        self.begin("agent_execution_started", task_prompt=SECRET_PROMPT, **agent("Writer", "write"))
        self.begin("flow_started")


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "unlinked"])
def test_a_small_crew_is_told_from_its_beginning_to_its_end(linked: bool) -> None:
    play = Play(linked=linked)
    play.up_to_the_agent()
    play.begin("llm_call_started", messages=SECRET_PROMPT, **call(1, "Writer", "write"))
    play.event("llm_stream_chunk", chunk="Once upon a time", **call(1, "Writer", "write"))
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    play.end("llm_call_completed", usage=usage, response="…", **call(1, "Writer", "write"))
    play.begin(
        "tool_usage_started", tool_name="search", tool_args={"q": "cats"}, **call(0, "Writer", "write")
    )
    play.end("tool_usage_finished", tool_name="search", output="many", from_cache=True, agent_role="Writer")
    play.end("flow_finished")
    play.end("agent_execution_completed", output="A tale.", **agent("Writer", "write"))
    play.end("task_completed", output=SimpleNamespace(raw="A tale."), **task("write"))
    play.end("crew_kickoff_completed", crew_name="crew")
    assert [(entry.text, entry.data.get("id"), entry.data["parent"]) for entry in play.told] == [
        ("The crew began: 1 task", 1, None),
        ("Task 1/1: write", 2, 1),
        ("Writer began", 3, 2),
        ("Writer is thinking", 4, 3),
        ("Once upon a time", None, 4),
        ("Writer got an answer (10 tokens in, 5 out)", 4, 3),
        ("Writer uses search", 5, 3),
        ("search answered", 5, 3),
        ("Writer finished", 3, 2),
        ("Finished write", 2, 1),
        ("The crew has finished its tasks", 1, None),
    ]
    tool = play.told[7].data
    assert tool["task"] == "write"
    assert tool["agent"] == "Writer"
    assert tool["output"] == "many"
    assert tool["from_cache"] is True
    assert tool["ms"] == 1000
    assert play.told[-1].data["models"] == {"m": {"tokens_in": 10, "tokens_out": 5}}


def test_prompts_are_never_told() -> None:
    play = Play()
    play.up_to_the_agent()
    play.begin("llm_call_started", messages=[{"content": SECRET_PROMPT}], **call(1, "Writer", "write"))
    play.end("llm_call_completed", usage=None, messages=SECRET_PROMPT, **call(1, "Writer", "write"))
    assert SECRET_PROMPT not in str(play.told)


def test_no_entry_is_long_however_long_its_texts_are() -> None:
    """Names, openings and errors have bounds, so that a line of the stream has one."""
    play = Play()
    play.begin("crew_kickoff_started", crew_of("write"), crew_name=LONG)
    play.begin("task_started", task_id="id-of-write", task_name=LONG)
    play.begin("agent_execution_started", **agent(LONG, "write"))
    play.begin("llm_call_started", call_id=LONG, model=LONG, agent_role=LONG)
    play.event("llm_stream_chunk", call_id=LONG, chunk=LONG, agent_role=LONG)
    play.end("llm_call_failed", call_id=LONG, error=LONG, agent_role=LONG)
    play.begin("tool_usage_started", tool_name=LONG, tool_args={"a": LONG}, agent_role=LONG)
    play.end("tool_usage_finished", tool_name=LONG, output={LONG: LONG}, agent_role=LONG)
    play.event("llm_guardrail_completed", guardrail_name=LONG, success=False, error=LONG)
    play.event("agent_reasoning_completed", plan=LONG, agent_role=LONG)
    play.event("memory_save_failed", error=LONG)
    play.event("tool_selection_error", tool_name=LONG, error=LONG)
    play.end("agent_execution_error", error=LONG, **agent(LONG, "write"))
    play.end("task_completed", output=SimpleNamespace(raw=LONG), task_id="id-of-write")
    assert len(play.told) >= 13
    for entry in play.told:
        assert len(msgspec.json.encode(entry)) <= LINE_BYTES_MAX
        for name in ("crew", "task", "agent", "tool", "model"):
            assert len(entry.data.get(name, "")) <= NAME_LENGTH_MAX
        for name in ("arguments", "output"):
            assert len(entry.data.get(name, "")) <= OPENING_LENGTH_MAX
    failed = [entry for entry in play.told if entry.data.get("state") == "failed"]
    assert all(entry.text.endswith("…") for entry in failed)
    assert max(len(entry.text) for entry in failed) <= ERROR_LENGTH_MAX + NAME_LENGTH_MAX + 20


def test_a_failure_is_told_with_its_cause_at_every_level_above_it() -> None:
    play = Play()
    play.up_to_the_agent()
    play.begin("llm_call_started", **call(1, "Writer", "write"))
    play.end("llm_call_failed", error="401 wrong key", **call(1, "Writer", "write"))
    play.end("flow_failed", error="401 wrong key")
    play.end("agent_execution_error", error="401 wrong key", **agent("Writer", "write"))
    play.end("task_failed", error="401 wrong key", **task("write"))
    play.end("crew_kickoff_failed", error="401 wrong key", crew_name="crew")
    assert [(entry.text, entry.level, entry.is_weighty) for entry in play.told[4:]] == [
        ("The model m failed: 401 wrong key", "warning", False),
        ("Writer failed: 401 wrong key", "error", True),
        ("write failed: 401 wrong key", "error", True),
        ("The crew failed: 401 wrong key", "error", True),
    ]
    assert play.story.meter.percent < 99


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ({"type_": "tool_usage_error", "tool_name": "t", "error": "boom"}, "t failed: boom"),
        (
            {
                "type_": "tool_failure_detected",
                "tool_name": "t",
                "failure": SimpleNamespace(message="not found"),
            },
            "t says that it failed: not found",
        ),
        (
            {"type_": "tool_validate_input_error", "tool_name": "t", "error": "q is missing"},
            "t was given arguments that it does not take: q is missing",
        ),
        (
            {"type_": "tool_selection_error", "tool_name": "u", "error": ""},
            "u is not a tool of this agent: no reason given",
        ),
        (
            {
                "type_": "llm_guardrail_completed",
                "guardrail_name": "short",
                "success": False,
                "error": "too long",
            },
            "short refuses the output: too long",
        ),
        ({"type_": "memory_query_failed", "error": "no table"}, "memory query failed: no table"),
        ({"type_": "mcp_connection_failed", "error": "refused"}, "mcp connection failed: refused"),
        ({"type_": "something_new_error", "error": None}, "something new failed: no reason given"),
    ],
    ids=lambda value: value["type_"] if isinstance(value, dict) else "",
)
def test_trouble_on_the_way_is_a_warning_with_its_reason(event: dict[str, Any], sentence: str) -> None:
    play = Play()
    play.up_to_the_agent()
    if event["type_"] == "tool_usage_error":
        play.begin("tool_usage_started", tool_name="t", tool_args="")
        (entry,) = play.end(**event)
    else:
        (entry,) = play.event(**event)
    assert (entry.text, entry.level) == (sentence, "warning")
    assert entry.data["parent"] == 3


def test_what_is_good_or_only_slow_is_told_without_a_warning() -> None:
    play = Play()
    play.up_to_the_agent()
    (accepted,) = play.event("llm_guardrail_completed", guardrail_name="short", success=True, error=None)
    (summary,) = play.event("context_window_summarization_started", agent_role="Writer", error=None)
    (plan,) = play.event("agent_reasoning_completed", plan="first this", agent_role="Writer")
    assert accepted.text == "short accepts the output"
    assert summary.text == "Writer has said more than the model can hear: the beginning is summarised"
    assert (plan.text, plan.data["output"]) == ("Writer has made a plan", "first this")
    assert {entry.level for entry in (accepted, summary, plan)} == {"info"}


@pytest.mark.parametrize(
    "type_", ["default_env", "agent_logs_started", "agent_logs_execution", "hook_dispatched", "flow_finished"]
)
def test_noise_is_not_told(type_: str) -> None:
    play = Play()
    play.up_to_the_agent()
    assert play.event(type_) == []


def test_a_crew_inside_a_tool_hangs_below_it_and_moves_nothing() -> None:
    play = Play()
    play.up_to_the_agent()
    play.begin("tool_usage_started", tool_name="sub", tool_args="")
    before = play.story.meter.percent
    assert play.begin("crew_kickoff_started", crew_of("inner"), crew_name="inner") == []
    (extra,) = play.begin("task_started", **task("inner"))
    assert (extra.text, extra.data["parent"]) == ("Extra task: inner", 4)
    assert "index" not in extra.data
    play.end("task_completed", output=None, **task("inner"))
    assert play.end("crew_kickoff_completed", crew_name="inner") == []
    assert play.story.meter.percent == before
    play.end("tool_usage_finished", tool_name="sub", output="")
    play.end("flow_finished")
    play.end("agent_execution_completed", output="", **agent("Writer", "write"))
    play.end("task_completed", output=None, **task("write"))
    (end,) = play.end("crew_kickoff_completed", crew_name="crew")
    assert end.text == "The crew has finished its tasks"


def test_a_resumed_crew_is_told_although_nobody_says_that_it_began() -> None:
    play = Play(tasks=3, begun_at=2)
    goes_on, begins = play.begin("task_started", **task("review"))
    assert goes_on.text == "The crew goes on: 2 of 3 tasks were done before"
    assert (begins.text, begins.data["parent"]) == ("Task 3/3: review", goes_on.data["id"])
    play.end("task_completed", output=None, **task("review"))
    (end,) = play.event("crew_kickoff_completed", crew_name="crew")
    assert end.data["id"] == goes_on.data["id"]


def test_thoughts_are_told_apart_from_answers() -> None:
    play = Play()
    play.up_to_the_agent()
    play.begin("llm_call_started", **call(1, "Writer", "write"))
    (thought,) = play.event("llm_thinking_chunk", chunk="hm", **call(1, "Writer", "write"))
    assert thought.data["thought"] is True
    (answer,) = play.event("llm_stream_chunk", chunk="yes", **call(1, "Writer", "write"))
    assert "thought" not in answer.data


def test_text_that_waits_when_the_run_ends_is_told() -> None:
    story = Story(Meter(1))
    for chunk in ("one ", "two"):
        told(story, None, Stage().event("llm_stream_chunk", chunk=chunk, call_id="1"), Moment(0, 0.0))
    assert [entry.text for entry in told_at_the_end(story, Moment(1, 0.01))] == ["two"]
    assert told_at_the_end(story, Moment(1, 0.01)) == []


def test_an_agent_s_name_on_several_lines_is_told_on_one() -> None:
    play = Play()
    play.begin("crew_kickoff_started", crew_of("write"), crew_name="My crew\n")
    (entry,) = play.begin("agent_execution_started", **agent("Senior\n  Writer\n", "write"))
    assert entry.text == "Senior Writer began"
    assert play.told[0].text == "My crew began: 1 task"
