"""Following one task: its steps, its words at the foot, its question, on a real terminal and in a pipe."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from tests.hub.conftest import RunningHub
from tests.hub.peers import Said, V2Peer
from tests.hub.terminal import sitting_at
from tests.hub.typing_hands import run, said_by, typed
from tests.waiting import until

BRIEFING = {"summary": "A calm week.", "sections": [{"title": "Sea", "content": "It was \x1b[2Jblue."}]}


class Crew:
    """An agent that has a task and tells of its steps."""

    def __init__(self, peer: V2Peer, assigned: Said) -> None:
        self.peer = peer
        self.assigned = assigned
        self.n = 0

    @property
    def task_id(self) -> str:
        return str(self.assigned["task_id"])

    def line(self, kind: str, text: str, **about: Any) -> Said:
        self.n += 1
        own = {
            "task_id": self.task_id,
            "generation": self.assigned["generation"],
            "n": self.n,
            "level": "info",
        }
        return {"type": "task_log", "kind": kind, "text": text, "data": about, **own}

    async def tell(self, kind: str, text: str, **about: Any) -> None:
        await self.peer.say(self.line(kind, text, **about))

    async def begin(self) -> None:
        await self.peer.say(
            self.line("crew", "digest began: 2 tasks", id=1, parent=None, state="began"),
            self.line("task", "Task 1/2: research", id=2, parent=1, state="began"),
            self.line("agent", "Researcher began", id=3, parent=2, state="began"),
            self.line("tool", "Researcher uses search", id=4, parent=3, state="began"),
            self.line("tool", "search answered", id=4, parent=3, state="ended"),
        )

    async def use(self, tokens_in: int, tokens_out: int, progress: float) -> None:
        own = {"task_id": self.task_id, "generation": self.assigned["generation"]}
        await self.peer.say({"type": "task_usage", "tokens_in": tokens_in, "tokens_out": tokens_out, **own})
        await self.peer.say(
            {"type": "task_progress", "progress": progress, "message": "Task 1/2: research", **own}
        )

    async def ask(self, prompt: str, schema: Any = None, number: int = 1) -> None:
        question = {"request_id": f"{self.task_id}-{number}", "prompt": prompt, "schema": schema}
        await self.peer.say(self.peer.fact("input_required", self.assigned, **question))

    async def hear_answer(self) -> Any:
        told = await self.peer.hear("task_input")
        await self.peer.say(self.peer.fact("input_ack", self.assigned, request_id=told["request_id"]))
        return told["value"]

    async def end(self, kind: str = "task_complete", **more: Any) -> None:
        await self.peer.say(self.peer.fact(kind, self.assigned, **({"result": BRIEFING} | more)))


async def crew_of(hub: RunningHub, agent_id: str = "ada") -> Callable[[], Any]:
    """Dial in; what is returned takes the next task and accepts it."""
    peer = await V2Peer.dial(hub.ws_address, token=await hub.token(agent_id))
    await peer.identify(agent_id)

    async def accept() -> Crew:
        crew = Crew(peer, await peer.hear("task_assign"))
        await peer.say(peer.fact("task_accepted", crew.assigned))
        return crew

    return accept


async def watched(hub: RunningHub) -> None:
    feed = hub.parts.feed
    await until(lambda: feed._watchers, "the command watches the feed")


async def test_a_watched_crew_is_a_line_a_step_and_its_words_stand_at_the_foot(
    running_hub: RunningHub,
) -> None:
    accept = await crew_of(running_hub)
    async with sitting_at(running_hub, "push", "ada", "digest", "--watch") as screen:
        crew = await accept()
        await watched(running_hub)
        await crew.begin()
        await screen.says("Researcher uses search")
        await crew.tell("model", "Researcher is thinking", id=5, parent=3, state="began")
        await screen.says("Researcher is thinking")
        for word in ("The sea ", "is ", "blue\x1b[2J."):
            await crew.tell("chunk", word, parent=5, call="c1", agent="Researcher")
        await screen.says("The sea is blue\\x1b[2J.")
        await crew.use(120, 30, 45)
        await screen.says("120 tokens in, 30 out")
        await screen.says("45 %")
        await crew.tell("task", "Finished research", id=2, parent=1, state="ended")
        await screen.says("Finished research")
        await crew.end()
        assert await screen.ended() == 0
    steps = [line[10:] for line in screen.lines if "esearch" in line]
    assert steps == [
        "  Task 1/2: research",
        "    Researcher began",
        "      Researcher uses search",
        "  Finished research",
    ], "one line a step: no end of a tool, no thinking, no progress that a step has said"
    assert not [line for line in screen.lines if "The sea" in line], "what a model says is no line"
    at_the_end = screen.lines[screen.lines.index("A calm week.") :]
    assert at_the_end == ["A calm week.", "", "Sea", "It was \\x1b[2Jblue.", ""]
    (last,) = [line for line in screen.lines if line.startswith("completed")]
    assert "120 tokens in, 30 out" in last


async def test_a_question_is_asked_and_answered_on_the_terminal(running_hub: RunningHub) -> None:
    accept = await crew_of(running_hub)
    async with sitting_at(running_hub, "push", "ada", "release?", "--watch") as screen:
        crew = await accept()
        await watched(running_hub)
        await crew.ask("Shall it be released?\x1b[2J", {"type": "string", "enum": ["release", "hold"]})
        await screen.says("It asks: Shall it be released?\\x1b[2J")
        await screen.says("One of: release, hold")
        screen.type("perhaps\n")
        await screen.says("value")
        screen.type("hold\n")
        assert await crew.hear_answer() == "hold"
        await crew.ask("How many?", {"type": "integer"}, number=2)
        await screen.says("How many?")
        screen.type("42\n")
        assert await crew.hear_answer() == 42
        await crew.end(result={"decision": "hold"})
        assert await screen.ended() == 0
    assert any('"decision": "hold"' in line for line in screen.lines)


async def test_a_question_that_somebody_else_answers_is_open_no_more(running_hub: RunningHub) -> None:
    accept = await crew_of(running_hub)
    async with sitting_at(running_hub, "push", "ada", "ask", "--watch") as screen:
        crew = await accept()
        await watched(running_hub)
        await crew.ask("Left or right?", {"type": "string"})
        await screen.says("It asks")
        answered = await run(running_hub, "tasks", "answer", crew.task_id, "42")
        assert answered.code == 0, answered.err
        assert await crew.hear_answer() == "42", "the question wants text, so it is text"
        await screen.says("input_ack")
        screen.type("too late\n")
        await crew.end()
        assert await screen.ended() == 0
    assert (await running_hub.task(crew.task_id))["state"] == "completed"


async def test_whoever_stops_typing_is_told_how_to_answer_later(running_hub: RunningHub) -> None:
    accept = await crew_of(running_hub)
    async with sitting_at(running_hub, "push", "ada", "ask", "--watch") as screen:
        crew = await accept()
        await crew.ask("Left or right?")
        await screen.says(f"or elsewhere: hub tasks answer {crew.task_id}")
        screen.type("\x04")
        await screen.says(f"Nobody types here any more. Answer with: hub tasks answer {crew.task_id}")
        await crew.peer.say(
            crew.peer.fact("task_failed", crew.assigned, error="nobody said", retryable=False)
        )
        assert await screen.ended() == 1
    assert any("nobody said" in line for line in screen.lines)


async def test_an_interrupt_leaves_the_question_to_somebody_else(running_hub: RunningHub) -> None:
    accept = await crew_of(running_hub)
    async with sitting_at(running_hub, "push", "ada", "ask", "--watch") as screen:
        crew = await accept()
        await crew.ask("Left or right?")
        await screen.says("It asks")
        screen.process.send_signal(signal.SIGINT)
        assert await screen.ended() == 130
    assert f"hub watch {crew.task_id}" in screen.text
    assert (await running_hub.task(crew.task_id))["state"] == "input_required"


async def test_lines_that_were_said_before_anybody_watched_are_told_once_and_in_order(
    running_hub: RunningHub,
) -> None:
    """L103"""
    accept = await crew_of(running_hub)
    await running_hub.push("ada", "digest")
    crew = await accept()
    await crew.begin()
    async with typed(running_hub, "watch", crew.task_id) as command:
        await watched(running_hub)
        await crew.tell("task", "Task 2/2: write", id=6, parent=1, state="began")
        await crew.end()
        said = await said_by(command)
    assert said.code == 0, said.err
    lines = [one["payload"] for one in said.records if one.get("event") == "task_log"]
    assert [line["n"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["data"]["parent"] == 1
    assert said.records[-1]["result"] == BRIEFING


async def test_lines_that_are_missing_are_said(running_hub: RunningHub) -> None:
    """L62"""
    accept = await crew_of(running_hub)
    async with typed(running_hub, "push", "ada", "digest", "--watch", "--no-json") as command:
        crew = await accept()
        await watched(running_hub)
        await crew.begin()
        crew.n += 7
        await crew.tell("task", "Task 2/2: write", id=6, parent=1)
        await crew.end()
        said = await said_by(command)
    assert "— 7 lines are missing here —" in said.out
    assert said.out.index("uses search") < said.out.index("missing here") < said.out.index("Task 2/2")


async def test_the_log_of_a_task_is_its_whole_story_with_attempts_apart(running_hub: RunningHub) -> None:
    accept = await crew_of(running_hub)
    await running_hub.push("ada", "digest", attempts_max=2)
    crew = await accept()
    await crew.begin()
    await crew.tell("chunk", "Half a ", parent=3, call="c1", agent="Researcher")
    await crew.tell("chunk", "sentence.", parent=3, call="c1", agent="Researcher")
    await crew.tell("output", "one\ttwo " + "w" * 500, stream="stdout")
    await crew.peer.say(crew.peer.fact("task_failed", crew.assigned, error="again", retryable=True))
    again = await accept()
    await again.tell("resumed", "Resumed at task 2/2", id=1, parent=None)
    await again.end()
    await running_hub.becomes(crew.task_id, "completed")
    await running_hub.parts.passing.flush()
    said = await run(running_hub, "tasks", "log", crew.task_id, "--no-json")
    assert said.out.splitlines() == [
        "digest began: 2 tasks",
        "  Task 1/2: research",
        "    Researcher began",
        "      Researcher uses search",
        "      search answered",
        "      Researcher: Half a sentence.",
        "one\ttwo " + "w" * 500,
        "— another attempt —",
        "Resumed at task 2/2",
    ]
    records = (await run(running_hub, "tasks", "log", crew.task_id)).records
    assert len(records) == 9
    assert records[0]["data"]["state"] == "began"
