"""The model that plays a script: real events, the same tokens every time, and trouble on request."""

import copy
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crewai.events import stream_context
from crewai.events.event_listener import event_listener
from pydantic import BaseModel

from crews.offline import (
    ASK_TOOL,
    OfflineFailure,
    OfflineModel,
    chunks_of,
    ignore_term,
    tokens_of,
    wording,
)
from crews.script import BadScript, load
from crews.testing import UnfitTrial
from crews.tools import AskHuman
from crews.transcript import Transcript

# Whichever of them is first waits for the import of crewai, on a machine that may be shared by many.
pytestmark = pytest.mark.timeout(180)

STORY = Path(__file__).parent / "stories" / "story_crew"
Run = Callable[..., Transcript]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """crewai draws panels of what a model streams, unless a crew has told it not to."""
    monkeypatch.setattr(event_listener.formatter, "verbose", False)


class Title(BaseModel):
    """A structured answer."""

    title: str


@contextmanager
def heard() -> Iterator[list[Any]]:
    """The events of what happens inside."""
    events: list[Any] = []
    token = stream_context.add_stream_sink(lambda _, event: events.append(event))
    yield events
    stream_context.reset_stream_sinks(token)


def model(*turns: Any, **more: Any) -> OfflineModel:
    return OfflineModel("writer", load({"writer": list(turns)}), **more)


def agent(role: str) -> Any:
    return SimpleNamespace(id="an-agent", role=role)


# ---- one call


def test_a_call_emits_what_a_real_one_emits() -> None:
    with heard() as events:
        answer = model({"say": "one two", "think": "hm"}).call("hello", from_agent=agent("writer"))
    assert answer == "Thought: hm\nFinal Answer: one two"
    kinds = [event.type for event in events]
    assert kinds[:2] == ["llm_call_started", "llm_thinking_chunk"]
    assert set(kinds[2:-1]) == {"llm_stream_chunk"}
    assert kinds[-1] == "llm_call_completed"
    assert "".join(event.chunk for event in events[2:-1]) == answer
    assert len({event.call_id for event in events}) == 1
    assert {event.agent_role for event in events} == {"writer"}


def test_the_same_texts_always_cost_the_same() -> None:
    with heard() as events:
        model("Fine.").call("x" * 41)
    assert events[-1].usage == {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    assert (tokens_of(""), tokens_of("1234"), tokens_of("12345")) == (0, 1, 2)


def test_a_turn_may_name_its_tokens() -> None:
    played = model({"say": "x", "usage": {"tokens_in": 7, "tokens_out": 3}})
    played.call("hello")
    played.call([{"role": "user", "content": "hello"}])
    assert played.get_token_usage_summary().total_tokens == 20


def test_a_call_without_an_agent_gets_the_bare_answer() -> None:
    assert model("Fine.").call("hello") == "Fine."
    assert model({"say": {"a": 1}}).call("hello") == '{"a":1}'


def test_a_structured_answer_is_what_was_asked_for() -> None:
    answer = model({"say": {"title": "Cats"}}).call("hello", response_model=Title)
    assert answer == Title(title="Cats")


def test_each_call_plays_the_next_turn_and_the_last_repeats() -> None:
    played = model("one", "two")
    assert [played.call("hello") for _ in range(3)] == ["one", "two", "two"]


def test_a_shared_model_plays_each_role_by_itself() -> None:
    shared = OfflineModel("", load({"writer": ["w1", "w2"], "reviewer": ["r1", "r2"]}))
    said = [
        shared.call("x", from_agent=agent(role)) for role in ("writer", "reviewer", "Writer\n", "reviewer")
    ]
    assert [text.rpartition(" ")[2] for text in said] == ["w1", "r1", "w2", "r2"]


def test_the_role_at_the_call_counts_before_the_role_in_the_plugin() -> None:
    script = load({"{topic} writer": ["as written"], "cats writer": ["as filled in"]})
    played = OfflineModel("{topic} writer", script)
    assert played.call("x", from_agent=agent("cats writer")).endswith("as filled in")
    assert played.call("x", from_agent=agent("dogs writer")).endswith("as written")


def test_a_role_without_turns_is_an_error_that_says_so() -> None:
    with pytest.raises(BadScript, match="no turns for the role 'editor'; it knows: writer"):
        OfflineModel("editor", load({"writer": ["x"]})).call("hello")
    with pytest.raises(BadScript, match="it knows: none"):
        OfflineModel().call("hello")


def test_a_failure_is_an_event_and_an_error() -> None:
    played = model({"fail": "no such model"}, "Fine.")
    with heard() as events, pytest.raises(OfflineFailure, match="no such model"):
        played.call("hello")
    assert [event.type for event in events] == ["llm_call_started", "llm_call_failed"]
    assert played.call("hello") == "Fine."


def test_a_copy_plays_on_its_own() -> None:
    played = model("one", "two")
    twin = copy.deepcopy(played)
    assert (played.call("x"), twin.call("x"), played.call("x")) == ("one", "one", "two")


@pytest.mark.parametrize("wanted", [1, 3, 10, 1000])
def test_an_answer_comes_in_about_as_many_pieces_as_were_asked_for(wanted: int) -> None:
    text = "0123456789" * 10
    pieces = list(chunks_of(text, wanted))
    assert "".join(pieces) == text
    assert len(pieces) <= wanted
    assert all(pieces)
    assert len(pieces) >= min(wanted, len(text)) // 2


def test_no_piece_of_an_answer_is_empty() -> None:
    for text in ("", " ", "a ", " a  b "):
        assert "".join(chunks_of(text, None)) == text
        assert all(chunks_of(text, None))
    assert list(chunks_of("", 5)) == []


def test_the_tool_that_a_question_uses_is_the_one_that_plugins_have() -> None:
    turn = load({"x": [{"ask": "Sure?", "choices": ["yes"]}]}).turn("x", 0)
    assert AskHuman().name == ASK_TOOL
    assert wording(turn).endswith(
        f'Action: {ASK_TOOL}\nAction Input: {{"question":"Sure?","choices":["yes"]}}'
    )


# ---- in a run


def test_a_person_is_asked_and_the_crew_goes_on(run_plugin: Run) -> None:
    script = {"*": ["Fine."], "writer": [{"ask": "Which end?", "choices": ["happy", "sad"]}, "A sad end."]}
    run = run_plugin(STORY, offline=script, answers=lambda prompt: "sad" if prompt == "Which end?" else "?")
    assert run.questions == ["Which end?"]
    assert run.exit_code == 0
    assert any("sad" in str(line["data"].get("output")) for line in run.logs("tool"))


def test_a_structured_step_is_given_as_a_mapping(run_plugin: Run) -> None:
    script = {"*": ["Fine."], "writer": [{"say": {"title": "Cats", "words": 3}}]}
    run = run_plugin(STORY, {"form": "structured"}, offline=script)
    assert run.exit_code == 0, run.error
    assert run.steps[1]["pydantic"] == {"title": "Cats", "words": 3}


@pytest.mark.parametrize(
    ("how", "code"), [("SEGV", -signal.SIGSEGV), ("KILL", -signal.SIGKILL), ("ABRT", -signal.SIGABRT), (3, 3)]
)
def test_a_crash_is_a_crash_and_the_next_attempt_goes_on(run_plugin: Run, how: str | int, code: int) -> None:
    script = {"*": ["Fine."], "reviewer": [{"crash": how, "attempt": 1}, "All good."]}
    first = run_plugin(STORY, offline=script)
    assert first.exit_code == code
    assert first.result is None
    assert first.error is None
    assert len(first.steps) == 2
    second = run_plugin(STORY, offline=script, done=first.steps, attempt=2)
    assert second.result == {"output": "All good."}
    assert second.began("task") == ["review_task"]


def test_a_role_that_the_script_lacks_fails_the_run_by_name(run_plugin: Run) -> None:
    run = run_plugin(STORY, offline={"researcher": ["Fine."]})
    assert run.exit_code == 1
    assert run.error is not None
    assert "no turns for the role 'writer'; it knows: researcher" in run.error


def test_memory_and_time_are_taken_as_asked(run_plugin: Run) -> None:
    script = {"*": ["Fine."], "writer": [{"say": "x", "hold_mb": 8, "burn_ms": 50}]}
    run = run_plugin(STORY, offline=script)
    assert run.exit_code == 0
    ended = [line["data"] for line in run.logs("model") if line["data"]["state"] == "ended"]
    assert ended[1]["ms"] >= 50


def test_a_deaf_process_is_not_ended_by_term() -> None:
    pid = os.fork()
    if pid == 0:
        ignore_term()
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_stalled_deaf_run_hears_neither_the_word_nor_term_and_is_killed(run_plugin: Run) -> None:
    """L75: a model that hangs is no reason for a run to stay; whoever watches it kills it."""
    with pytest.raises(UnfitTrial, match=r"did not end within 3 s(.|\n)*writer is thinking"):
        run_plugin(
            STORY,
            offline={"*": ["Fine."], "writer": [{"stall": True, "deaf": True}]},
            stop_when=lambda line: line.get("message") == "writer is thinking",
            patience_s=3,
        )
    assert run_plugin(STORY).exit_code == 0
