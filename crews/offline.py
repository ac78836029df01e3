"""A model that needs no network and no key: it plays a script, by the role of the agent that calls it.

Owns how a turn becomes an answer: the real events, a stream of chunks, deterministic token counts, and the
troubles that tests need (a failure, a stall, a crash). Never reads a file: it is given a `Script`.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import msgspec
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from pydantic import PrivateAttr

from crews import clock
from crews.script import Script, Turn

ASK_TOOL: Final = "ask_human"
"""The tool of `crews.tools` that a turn with `ask` uses."""

CONTEXT_TOKENS: Final = 32_000
"""Big enough that a script's own text is never summarised away."""

CHARACTERS_A_TOKEN: Final = 4
"""The usual rule of thumb: the same text always counts the same."""

THOUGHT: Final = "I know what to answer"
"""What stands before an answer whose turn thinks nothing of its own."""


class OfflineFailure(RuntimeError):
    """The model failed because its script says so."""


class OfflineModel(BaseLLM):
    """Plays the turns of one role; the last turn repeats. Each agent takes one of its own."""

    llm_type: str = "offline"
    model: str = "offline"
    role: str = ""
    attempt: int = 1
    script: Any = None
    stream: bool | None = True

    _played: dict[str, Any] = PrivateAttr(default_factory=dict)

    kept: ClassVar[list[bytearray]] = []
    """Memory that turns asked to hold, until the process ends."""

    def __init__(
        self, role: str = "", script: Script | None = None, *, attempt: int = 1, **more: Any
    ) -> None:
        fields: dict[str, Any] = {"model": "offline", "provider": "offline"} | more
        super().__init__(**fields | {"role": role, "script": script, "attempt": attempt})

    def supports_function_calling(self) -> bool:
        """No: tools are then asked for in text, which works with every version."""
        return False

    def get_context_window_size(self) -> int:
        return CONTEXT_TOKENS

    def get_input_tokens_count(self, messages: Any, tools: Any = None, response_model: Any = None) -> int:
        """Counted, not estimated with a warning at each call."""
        return tokens_of(_text_of(messages))

    def call(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        """Play the next turn of the role."""
        turn = self._next_turn(from_agent)
        with llm_call_context():
            self._emit_call_started_event(
                messages, tools, callbacks, available_functions, from_task, from_agent
            )
            try:
                suffer(turn)
            except OfflineFailure as failure:
                self._emit_call_failed_event(str(failure), from_task, from_agent)
                raise
            text = wording(turn, for_agent=from_agent is not None and response_model is None)
            if turn.think:
                self._emit_thinking_chunk_event(turn.think, from_task, from_agent)
            for chunk in chunks_of(text, turn.chunks):
                pause(turn.pause_ms)
                self._emit_stream_chunk_event(chunk, from_task, from_agent, call_type=LLMCallType.LLM_CALL)
            usage = used(turn, _text_of(messages), text)
            self._track_token_usage_internal(usage)
            self._emit_call_completed_event(
                text, LLMCallType.LLM_CALL, from_task, from_agent, messages, usage=usage
            )
        answer = self._apply_stop_words(text)
        return answer if response_model is None else self._validate_structured_output(answer, response_model)

    def _next_turn(self, agent: Any) -> Turn:
        script = self.script if isinstance(self.script, Script) else Script({})
        role = script.role_of(str(getattr(agent, "role", "") or ""), self.role)
        number = next(self._played.setdefault(role, itertools.count()))  # whole from every thread
        return script.turn(role, number, self.attempt)


# ---- a turn's text -----------------------------------------------------------------------------------------


def wording(turn: Turn, *, for_agent: bool = True) -> str:
    """What the model says: as an agent's turn is written in text, or bare when nobody but code reads it."""
    thought = f"Thought: {turn.think or THOUGHT}\n"
    if turn.ask is not None:
        question: dict[str, Any] = {"question": turn.ask}
        if turn.choices is not None:
            question["choices"] = turn.choices
        return f"{thought}Action: {ASK_TOOL}\nAction Input: {_json(question)}"
    if turn.tool is not None:
        return f"{thought}Action: {turn.tool}\nAction Input: {_json(turn.arguments)}"
    answer = turn.say if isinstance(turn.say, str) else _json(turn.say)
    return f"{thought}Final Answer: {answer}" if for_agent else answer


def chunks_of(text: str, wanted: int | None) -> Iterator[str]:
    """The text in pieces: a word each, or as many as were asked for, and never an empty one."""
    if wanted is None:
        words = text.split(" ")
        yield from (word + " " for word in words[:-1])
        yield from words[-1:] if words[-1] else []
        return
    size = max(1, -(-len(text) // max(1, wanted)))
    yield from (text[start : start + size] for start in range(0, len(text), size))


def used(turn: Turn, asked: str, said: str) -> dict[str, int]:
    """The same texts always cost the same."""
    tokens_in, tokens_out = tokens_of(asked), tokens_of(said)
    if turn.usage is not None:
        tokens_in, tokens_out = turn.usage.tokens_in, turn.usage.tokens_out
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }


def tokens_of(text: str) -> int:
    return -(-len(text) // CHARACTERS_A_TOKEN)


def _text_of(messages: Any) -> str:
    if isinstance(messages, str):
        return messages
    return "\n".join(str(message.get("content") or "") for message in messages or ())


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# ---- a turn's troubles -------------------------------------------------------------------------------------


def suffer(turn: Turn) -> None:
    """Whatever goes wrong in this turn, or takes long, before it answers."""
    if turn.deaf:
        ignore_term()
    if turn.hold_mb:
        OfflineModel.kept.append(bytearray(os.urandom(1024) * 1024 * turn.hold_mb))
    burn(turn.burn_ms)
    if turn.crash is not None:
        crash(turn.crash)
    if turn.stall:
        threading.Event().wait()
    if turn.fail is not None:
        raise OfflineFailure(turn.fail)


def pause(milliseconds: int) -> None:
    """Wait without asking a clock; nothing wakes it but the end of the process."""
    if milliseconds:
        threading.Event().wait(milliseconds / 1000)


def burn(milliseconds: int) -> None:
    """Keep a processor busy, as a crew that computes does."""
    end = clock.monotonic_s() + milliseconds / 1000
    while clock.monotonic_s() < end:
        sum(range(1000))


def crash(how: str | int) -> None:
    """Fall over: by a signal, or by leaving without a word."""
    if isinstance(how, int):
        os._exit(how)
    os.kill(os.getpid(), getattr(signal, f"SIG{how}"))
    threading.Event().wait()  # the signal is on its way; nothing more is said meanwhile


def ignore_term() -> None:
    """For the whole process, from any thread: Python's own way is the main thread's alone."""
    ctypes.CDLL(None).signal(int(signal.SIGTERM), 1)  # 1 is SIG_IGN
