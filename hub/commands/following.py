"""Following one task to its end: its events, its run's story, its question, and the exit code.

Owns what is a line, what only moves the foot of the terminal, and when following is over. Never changes the
task; the one thing it may send is the answer that a person types (`answering.py`).
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from console.live import FootLine
from console.output import Exit, Output
from console.questions import can_ask
from console.story import Story
from hub.commands.activity import Account
from hub.commands.answering import Answering
from hub.commands.redialling import feed_for_ever, patiently
from hub.commands.steps import FINAL, say_end, say_event, say_missing, say_question, say_step, tokens_of

if TYPE_CHECKING:
    from hub.commands.client import HubClient, HubEvent


class Following:
    """One task on its way: what was said of it already, and how it stands."""

    def __init__(self, client: HubClient, output: Output, task_id: str) -> None:
        from hub.clock import wall_ms

        self._client = client
        self._output = output
        self._task_id = task_id
        self._account = Account(client, task_id)
        self._asked: str | None = None
        self._said = ""
        self._words = ""
        self._story = Story()
        self._tells_steps = False
        self._questions: set[str] = set()
        self._foot = FootLine(output, wall_ms)
        self._answering = Answering(client, output, self._foot, task_id) if can_ask(output) else None

    def to_the_end(self) -> Exit:
        with self._foot, self._answering or nullcontext():
            code = self._ended(self._catch_up())
            if code is None:
                code = self._live()
        return code

    def _live(self) -> Exit:
        for event in feed_for_ever(self._client, self._output, since=None, task=self._task_id):
            code = self._heard(event)
            if code is not None:
                return code
        return Exit.UNREACHABLE

    def _heard(self, event: HubEvent) -> Exit | None:
        """What the event changes: nothing yet, or the exit code."""
        if event.event in ("snapshot", "reset"):
            return self._ended(self._catch_up())
        if event.cursor is None:
            self._passing({"event": event.event, **event.body})
            return None
        if not self._account.is_new_event(event.cursor):
            return None
        self._say(event.body)
        return self._ended(self._look())

    # -- looking

    def _look(self) -> dict[str, Any]:
        return patiently(self._output, lambda: self._client.get(f"/api/tasks/{self._task_id}"))

    def _catch_up(self) -> dict[str, Any]:
        """What has happened so far and was not said yet; then the task as it is."""
        self._tell()
        task = self._look()
        self._words = tokens_of(task["usage"])
        self._foot.show(task["progress"], self._words or None)
        return task

    def _tell(self) -> None:
        """History and log, as far as they were not said yet."""
        for item, missing in patiently(self._output, self._account.untold):
            if item["event"] == "task_log":
                self._say_line(item, missing)
            else:
                self._say(item)

    def _ended(self, task: dict[str, Any]) -> Exit | None:
        if task["state"] in FINAL:
            self._tell()  # the row may be ahead of the feed: its ending is told before its end is
            with self._foot.lifted():
                return say_end(self._output, task)
        if task["state"] == "input_required":
            return self._asks(task)
        question = task.get("question")
        if self._answering is not None and (question is None or question.get("answered")):
            self._answering.no_more()  # one whose run is over can still be answered: the next run gets it
        return None

    def _asks(self, task: dict[str, Any]) -> Exit | None:
        """A question holds the task up. A person can answer while this waits; a script has to know now."""
        question = task.get("question") or {}
        if question.get("request_id") != self._asked:
            self._asked = question.get("request_id")
            self._tell()  # here too the row may be ahead: what led to the question is told before it
            if self._answering is not None:
                self._answering.ask(question)
            else:
                with self._foot.lifted():
                    say_question(self._output, task)
        return None if sys.stdin.isatty() else Exit.INPUT_REQUIRED

    # -- saying

    def _say(self, item: dict[str, Any]) -> None:
        if not self._is_told_by_steps(item):
            with self._foot.lifted():
                say_event(self._output, item, task_is_known=True)
        if item["event"] == "task_accepted":
            self._story, self._tells_steps = Story(), False
            self._foot.begin(item["timestamp"])

    def _is_told_by_steps(self, item: dict[str, Any]) -> bool:
        """Whether a person has read it already as a step of the run; a program gets every event."""
        payload = item.get("payload") or {}
        if self._output.is_json or not self._tells_steps:
            return False
        if item["event"] == "input_required":
            return self._is_known_question(str(payload.get("prompt", "")))
        return item["event"] == "input_ack" or (item["event"] == "task_done" and payload.get("kept") is True)

    def _is_known_question(self, prompt: str) -> bool:
        is_known = prompt in self._questions
        self._questions.add(prompt)
        return is_known

    def _passing(self, item: dict[str, Any]) -> None:
        if item["event"] == "task_log":
            self._hear_line(item)
        elif item["event"] in ("task_progress", "task_usage"):
            self._progress(item)
        else:
            with self._foot.lifted():
                say_event(self._output, item, task_is_known=True)

    def _hear_line(self, item: dict[str, Any]) -> None:
        """A line of the run's log. What was said before anybody listened, or was left out, may be kept."""
        line = item.get("payload") or {}
        if self._account.is_ahead(line):
            for untold in patiently(self._output, self._account.untold_lines):
                self._say_line(*untold)
        missing = self._account.missing_before(line)
        if missing is not None:
            self._say_line(item, missing)

    def _say_line(self, item: dict[str, Any], missing: int) -> None:
        """A step is a line, under whose step it is; what a model says just now stands at the foot."""
        if self._output.is_json or self._output.quiet:
            say_event(self._output, item)
            return
        if missing:
            with self._foot.lifted():
                say_missing(self._output, missing)
        step = self._story.heard(item.get("payload") or {})
        if step is not None and not (step.kind == "question" and self._is_known_question(step.text)):
            self._tells_steps = self._tells_steps or step.kind in ("crew", "task", "agent")
            with self._foot.lifted():
                say_step(self._output, item, step)
        self._show(None)

    def _show(self, percent: float | None) -> None:
        spoken = self._story.spoken
        room = max(20, self._output.columns - 60) if self._foot.is_seen else 0
        tail = f"…{spoken[-room:]}" if len(spoken) > room else spoken
        self._foot.show(percent, "  ".join(filter(None, (self._words, tail))))

    def _progress(self, item: dict[str, Any]) -> None:
        """Progress moves the bar; it is a line only when it says something new that no step has said."""
        payload = item.get("payload") or {}
        percent = payload.get("progress")
        self._words = tokens_of(payload) or self._words
        self._show(float(percent) if isinstance(percent, int | float) else None)
        said = str(payload.get("message") or payload.get("text") or "")
        is_known = said in ("", self._said) or self._tells_steps
        if (self._foot.is_seen or self._tells_steps) and is_known and not self._output.is_json:
            return
        self._said = said
        with self._foot.lifted():
            say_event(self._output, item, task_is_known=True)


def follow_task(client: HubClient, output: Output, task_id: str) -> int:
    """One line a step, to the task's end; Ctrl-C only detaches."""
    try:
        return int(Following(client, output, task_id).to_the_end())
    except KeyboardInterrupt:
        output.note(f"\nDetached; the task goes on. Come back with: hub watch {task_id}")
        return int(Exit.INTERRUPTED)
