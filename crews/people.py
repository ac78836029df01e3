"""People in a run: asking one of them, and waiting for the answer as long as people take.

Owns the open questions of a run and crewai's official way to human input. A question asked again in a later
attempt has the same id, so an answer that was given once is not asked for twice. Waiting ends with a stop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from crewai.core.providers.human_input import HumanInputProvider

from crews import clock
from crews.line import Line, encoded, sayable
from crews.order import Answer
from crews.stopping import Stopping
from protocol.ids import RequestId, TaskId, question_id

if TYPE_CHECKING:
    from crewai.agents.parser import AgentFinish
    from crewai.core.providers.human_input import ExecutorContext

PROMPT_LENGTH_MAX: Final = 16 * 1024
"""Characters of a question: four bytes each at worst, which is what a text on the wire may have."""

QUESTIONS_MAX: Final = 1_000
"""A crew that asks more is in a loop; the sidecar stops listening there too."""

LOGGED_LENGTH_MAX: Final = 2_000
"""Of a question or an answer in the activity stream; the whole of it is kept with the task."""

FEEDBACK_SCHEMA: Final = {"type": "string", "description": "Empty accepts it; a text says what to change."}


class TooManyQuestions(RuntimeError):
    """The run has asked more than anybody will answer."""


class People:
    """The questions of one run. `ask` blocks the thread that asks; `answered` comes from another one."""

    def __init__(self, line: Line, stopping: Stopping, task_id: str, known: Iterable[Answer] = ()) -> None:
        self._line = line
        self._stopping = stopping
        self._task_id = TaskId(task_id)
        self._bell = threading.Condition()
        self._answers: dict[str, Any] = {answer.request_id: answer.value for answer in known}
        self._times: dict[str, int] = {}
        self._asked = 0
        stopping.subscribe(self._wake)

    def ask(self, prompt: str, schema: dict[str, Any] | None = None) -> Any:
        """Ask a person and wait for the answer. Raises when the run must stop."""
        self._stopping.check()
        prompt = shortened(sayable(str(prompt)), PROMPT_LENGTH_MAX)
        request_id = self._register(prompt)
        members = {} if schema is None else {"schema": schema}
        if not self._line.say(ask=prompt, **members):
            raise ValueError("the schema of the question is too long to be sent")
        self._log(prompt, request_id, "asked")
        answer = self._wait(request_id)
        self._log(text_of(answer), request_id, "answered")
        return answer

    def answered(self, request_id: str, value: Any) -> None:
        """Somebody has answered; also before the question was asked, and again after it."""
        with self._bell:
            self._answers[request_id] = value
            self._bell.notify_all()

    def _register(self, prompt: str) -> RequestId:
        with self._bell:
            if self._asked >= QUESTIONS_MAX:
                raise TooManyQuestions(
                    f"not asked, {QUESTIONS_MAX} questions of one run are enough: {prompt}"
                )
            self._asked += 1
            self._times[prompt] = ordinal = self._times.get(prompt, 0) + 1
        return question_id(self._task_id, ordinal, prompt)

    def _wait(self, request_id: str) -> Any:
        with self._bell:
            self._bell.wait_for(lambda: request_id in self._answers or self._stopping.asked)
            self._stopping.check()
            return self._answers[request_id]

    def _wake(self) -> None:
        with self._bell:
            self._bell.notify_all()

    def _log(self, text: str, request_id: str, what: str) -> None:
        self._line.say(
            log=shortened(text, LOGGED_LENGTH_MAX),
            kind="question",
            data={"request_id": request_id, "what": what, "t": clock.wall_ms()},
        )


class HubInput(HumanInputProvider):
    """crewai's way to `human_input: true`: a person accepts the answer or says what to change."""

    def __init__(self, people: People) -> None:
        self._people = people

    def setup_messages(self, context: ExecutorContext) -> bool:
        """False: the messages are crewai's own."""
        return False

    def post_setup_messages(self, context: ExecutorContext) -> None:
        """Nothing is added."""

    def handle_feedback(self, formatted_answer: AgentFinish, context: ExecutorContext) -> AgentFinish:
        """Ask until the answer is accepted."""
        answer = formatted_answer
        while True:
            said = text_of(self._people.ask(review_of(answer, context), dict(FEEDBACK_SCHEMA)))
            if not said.strip():
                context.ask_for_human_input = False
                return answer
            context.messages.append(context._format_feedback_message(said))
            answer = context._invoke_loop()

    async def handle_feedback_async(self, formatted_answer: AgentFinish, context: Any) -> AgentFinish:
        """The same; the loop that waits has nothing else to do."""
        return self.handle_feedback(formatted_answer, context)


def review_of(answer: AgentFinish, context: ExecutorContext) -> str:
    """The question to the person who reviews an answer."""
    agent = str(getattr(context.agent, "role", "") or "The agent").strip()
    task = str(getattr(context.task, "name", "") or "the task").strip()
    output = answer.output if isinstance(answer.output, str) else encoded(answer.output.model_dump()).decode()
    return (
        f"{agent} has finished {task}. An empty answer accepts it; otherwise say what to change.\n\n{output}"
    )


def text_of(answer: Any) -> str:
    """An answer as text: a person may also have answered with a number, a choice or a form."""
    if answer is None:
        return ""
    return answer if isinstance(answer, str) else encoded(answer).decode()


def shortened(text: str, length_max: int) -> str:
    """A text that fits, with a mark where it was cut."""
    return text if len(text) <= length_max else text[: length_max - 1] + "…"
