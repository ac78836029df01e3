"""A person at the terminal answers what the watched run asks.

Owns the prompt, the typed line and what becomes of it: sent, refused with a sentence and asked again, or too
late because somebody else was quicker. Never answers by itself.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from console.live import FootLine
from console.output import CommandFailed, Exit, Output
from console.questions import say_prompt, typed_lines, value_for

if TYPE_CHECKING:
    from hub.commands.client import HubClient

PROMPT: Final = "> "

AGAIN: Final = frozenset({Exit.USAGE, Exit.UNREACHABLE})
"""An answer that does not fit its schema, or that found no hub: the person may type another."""


class Answering:
    """Use as a context. What is typed while nothing is asked is left alone."""

    def __init__(self, client: HubClient, output: Output, foot: FootLine, task_id: str) -> None:
        self._client = client
        self._output = output
        self._foot = foot
        self._task_id = task_id
        self._question: dict[str, Any] | None = None
        self._listening = ExitStack()
        self._has_begun = False

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def ask(self, question: dict[str, Any]) -> None:
        """Show the question; from now on a typed line is its answer."""
        with self._foot.lifted():
            say_prompt(self._output, str(question.get("prompt", "")), question.get("schema"))
            self._output.note(f"Type the answer and press Enter, or elsewhere: {self._elsewhere}")
        self._question = question
        self._foot.hold(PROMPT)
        if not self._has_begun:
            self._has_begun = True
            self._listening.enter_context(typed_lines(self._hear))

    @property
    def _elsewhere(self) -> str:
        return f'hub tasks answer {self._task_id} "..."'

    def no_more(self) -> None:
        """Nothing is asked now: it was answered, here or elsewhere, or its run is over."""
        if self._question is not None:
            self._question = None
            self._foot.hold(None)

    def _hear(self, line: str | None) -> None:
        """On the listening thread."""
        question = self._question
        if question is None:
            return
        if line is None:
            self.no_more()
            self._remark(f"Nobody types here any more. Answer with: {self._elsewhere}")
            return
        try:
            self._send(question, line)
        except CommandFailed as failure:
            self._remark(failure.message)
            if failure.code in AGAIN:
                self._foot.hold(PROMPT)
            else:
                self.no_more()

    def _send(self, question: dict[str, Any], line: str) -> None:
        value = value_for(line, question.get("schema"))
        body = {"request_id": question["request_id"], "value": value}
        self._client.post(f"/api/tasks/{self._task_id}/input", body)
        self.no_more()

    def _remark(self, sentence: str) -> None:
        with self._foot.lifted():
            self._output.note(sentence)
