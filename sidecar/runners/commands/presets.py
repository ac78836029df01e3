"""Known coding agents: how each is called, given its prompt and told to go on, and the rules for its output.

Owns these facts, taken from the agents' published documentation and sources (docs/command-runner.md), and how
an argument vector is made of them. A task's text is on standard input or one argument behind `--`; the only
other thing that a task brings into the vector is a session's id, which must look like one (L35). Starts
nothing.
"""

from __future__ import annotations

import platform
import re
from typing import Any, Final, Literal

import msgspec

from sidecar.runners.commands.dialects import SESSION_STEP, Reading
from sidecar.runners.commands.rules import RULES_MAX, Rule, Usage
from sidecar.runners.contract import Order
from sidecar.runners.handover import check_passed_on, task_of
from sidecar.runners.output import Output
from sidecar.runners.reported import Said

SESSION: Final = "{session}"
SESSION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""What may become an argument: no blank, no dash in front, no path."""

GO_ON: Final = """\
An earlier run of this task was interrupted. Go on where it stopped, and do not begin again.

The task:

"""

Prompt = Literal["stdin", "argument", "order"]
"""The task's text on standard input · the same as the last argument behind `--` · the whole order as JSON on
standard input, as every command gets it.
"""


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent. The vector is: the program, `arguments`, the owner's own arguments, `resume` when there is a
    session to go on with, `ending`, and the prompt if it is an argument.
    """

    arguments: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    prompt: Prompt = "order"
    resume: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    reads: Literal["json", "text"] = "json"
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        check_passed_on(self.environment)
        if self.resume and SESSION not in self.resume:
            raise ValueError(f"resume must have {SESSION} as one of its arguments")
        if "--" in (*self.arguments, *self.resume, *self.ending):
            raise ValueError(
                '"--" is put before the prompt when prompt = "argument", and stands nowhere else'
            )
        if len(self.rules) > RULES_MAX:
            raise ValueError(f"at most {RULES_MAX} rules")

    @property
    def says_results(self) -> bool:
        """Whether a run that ended well has said its result: code 0 alone is then no success (L70)."""
        return any(rule.result is not None for rule in self.rules)

    def template(self, argv: tuple[str, ...], session: str | None) -> tuple[str, ...]:
        """The argument vector, with placeholders that are yet to be filled from the task."""
        program, *own = argv
        again = () if session is None else tuple(session if one == SESSION else one for one in self.resume)
        prompt = ("--", "{description:text}") if self.prompt == "argument" else ()
        return (program, *self.arguments, *own, *again, *self.ending, *prompt)

    def stdin(self, order: Order, session: str | None) -> bytes:
        """What the program finds on standard input."""
        if self.prompt == "order":
            return task_of(order)
        return b"" if self.prompt == "argument" else prompt_of(order, session)

    def reading(self, order: Order, said: Said, output: Output) -> Reading:
        about = {"host": platform.node(), "attempt": order.attempt}
        return Reading(self.rules, about, said, output)


def prompt_of(order: Order, session: str | None) -> bytes:
    """The task as a person would type it: its text, and its inputs if it has any."""
    text = order.description if session is None else GO_ON + order.description
    if order.inputs not in (None, b"{}", b"null"):
        text = f"{text}\n\nInputs:\n{(order.inputs or b'').decode(errors='replace')}"
    return text.encode(errors="replace")


class _Session(msgspec.Struct):
    session: str
    host: str
    attempt: int


class _Step(msgspec.Struct):
    index: int
    output: msgspec.Raw = msgspec.Raw(b"null")


_steps = msgspec.json.Decoder(list[_Step])
_session = msgspec.json.Decoder(_Session)


def session_of(order: Order) -> str | None:
    """The session to go on with: of the attempt before this one, on this machine. A session that the last
    attempt could not go on with said nothing of itself there, and so the next begins anew.
    """
    try:
        kept = [step for step in _steps.decode(order.done or b"[]") if step.index == SESSION_STEP]
        found = _session.decode(bytes(kept[0].output)) if kept else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # steps of something else than an agent with sessions
    if found is None or found.host != platform.node() or order.attempt - found.attempt > 1:
        return None
    return found.session if SESSION_ID.fullmatch(found.session) else None


# ---- the agents ------------------------------------------------------------------------------------------


def _rule(**members: Any) -> Rule:
    return Rule(**members)


CLAUDE_CODE: Final = Preset(
    arguments=("-p", "--output-format", "stream-json", "--verbose"),
    prompt="stdin",
    resume=("--resume", SESSION),
    environment=("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CONFIG_DIR"),
    rules=(
        _rule(
            when={"type": "system", "subtype": "init"},
            session="session_id",
            log="Claude Code has begun with {model}",
            message="Claude Code has begun",
            kind="agent",
            data={"model": "model"},
            progress=10,
        ),
        _rule(
            when={"type": "assistant"},
            turn=True,
            usage=Usage(
                of="message.id",
                tokens_in=(
                    "message.usage.input_tokens",
                    "message.usage.cache_read_input_tokens",
                    "message.usage.cache_creation_input_tokens",
                ),
                tokens_out=("message.usage.output_tokens",),
                model="message.model",
            ),
        ),
        _rule(
            when={"type": "assistant"},
            each="message.content",
            where={"type": "text"},
            log="{text}",
            kind="model",
        ),
        _rule(
            when={"type": "assistant"},
            each="message.content",
            where={"type": "tool_use"},
            log="Uses {name}: {input.command|input.file_path|input.pattern|input}",
            message="Uses {name}",
            kind="tool",
            data={"tool": "name"},
        ),
        _rule(
            when={"type": "user"},
            each="message.content",
            where={"type": "tool_result", "is_error": True},
            log="A tool failed: {content}",
            kind="tool",
            level="warning",
        ),
        _rule(when={"type": "user"}),
        _rule(
            when={"type": "result"},
            session="session_id",
            usage=Usage(
                tokens_in=(
                    "usage.input_tokens",
                    "usage.cache_read_input_tokens",
                    "usage.cache_creation_input_tokens",
                ),
                tokens_out=("usage.output_tokens",),
                cost="total_cost_usd",
            ),
        ),
        _rule(
            when={"type": "result", "is_error": False},
            result={"output": "result", "turns": "num_turns", "cost": "total_cost_usd"},
        ),
        _rule(when={"type": "result", "is_error": True}, error="Claude Code: {result|subtype}"),
    ),
)

CODEX: Final = Preset(
    arguments=("exec", "--json"),
    ending=("-",),
    prompt="stdin",
    resume=("resume", SESSION),
    environment=("CODEX_API_KEY", "OPENAI_API_KEY", "CODEX_HOME"),
    rules=(
        _rule(
            when={"type": "thread.started"},
            session="thread_id",
            log="Codex has begun",
            message="Codex has begun",
            kind="agent",
            progress=10,
        ),
        _rule(when={"type": "turn.started"}, progress=30),
        _rule(when={"type": ("item.started", "item.updated")}),
        _rule(when={"type": "item.completed"}, turn=True),
        _rule(
            when={"type": "item.started", "item.type": "command_execution"},
            log="Runs {item.command}",
            message="Runs a command",
            kind="tool",
        ),
        _rule(
            when={
                "type": "item.completed",
                "item.type": "command_execution",
                "item.status": ("failed", "declined"),
            },
            log="{item.command} ended as {item.status} ({item.exit_code})",
            kind="tool",
            level="warning",
        ),
        _rule(
            when={"type": "item.started", "item.type": "mcp_tool_call"},
            log="Uses {item.server}.{item.tool}: {item.arguments}",
            message="Uses {item.tool}",
            kind="tool",
            data={"tool": "item.tool"},
        ),
        _rule(
            when={"type": "item.completed", "item.type": "web_search"},
            log="Searched for {item.query}",
            message="Searched for {item.query}",
            kind="tool",
        ),
        _rule(
            when={"type": "item.completed", "item.type": "file_change"},
            each="item.changes",
            log="{kind}: {path}",
            kind="tool",
        ),
        _rule(
            when={"type": "item.completed", "item.type": "agent_message"},
            log="{item.text}",
            kind="model",
            result={"output": "item.text"},
        ),
        _rule(
            when={"type": "item.completed", "item.type": "reasoning"},
            log="{item.text}",
            kind="model",
            level="debug",
        ),
        _rule(
            when={"type": "item.completed", "item.type": "error"},
            log="{item.message}",
            level="error",
        ),
        _rule(when={"type": "error"}, log="{message}", level="error"),
        _rule(
            when={"type": "turn.completed"},
            usage=Usage(adds=True, tokens_in=("usage.input_tokens",), tokens_out=("usage.output_tokens",)),
        ),
        _rule(when={"type": "turn.failed"}, error="Codex: {error.message}"),
    ),
)

GEMINI_CLI: Final = Preset(
    arguments=("--output-format", "stream-json"),
    prompt="stdin",
    resume=("--resume", SESSION),
    environment=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    rules=(
        _rule(
            when={"type": "init"},
            session="session_id",
            log="Gemini CLI has begun with {model}",
            message="Gemini CLI has begun",
            kind="agent",
            data={"model": "model"},
            progress=10,
        ),
        _rule(when={"type": "message", "role": "user"}),
        _rule(when={"type": "message", "role": "assistant"}, gather="content"),
        _rule(
            when={"type": "tool_use"},
            log="Uses {tool_name}: {parameters.command|parameters.file_path|parameters}",
            message="Uses {tool_name}",
            kind="tool",
            data={"tool": "tool_name"},
            turn=True,
        ),
        _rule(when={"type": "tool_result"}),
        _rule(
            when={"type": "tool_result", "status": "error"},
            log="A tool failed: {error.message|output}",
            kind="tool",
            level="warning",
        ),
        _rule(when={"type": "error", "severity": "warning"}, log="{message}", level="warning"),
        _rule(when={"type": "error", "severity": "error"}, log="{message}", level="error"),
        _rule(
            when={"type": "result"},
            usage=Usage(tokens_in=("stats.input_tokens",), tokens_out=("stats.output_tokens",)),
        ),
        _rule(when={"type": "result", "status": "success"}, result={"output": "@gathered"}),
        _rule(when={"type": "result", "status": "error"}, error="Gemini CLI: {error.message}"),
    ),
)

AIDER: Final = Preset(
    arguments=("--yes-always", "--no-stream", "--no-pretty", "--no-check-update"),
    ending=("--message-file", "/dev/stdin"),
    prompt="stdin",
    environment=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"),
    reads="text",
)

JSONL_AGENT: Final = Preset()
"""An agent that prints our own report lines; or any other, with an `agent` table of the owner's."""

PRESETS: Final = {
    "claude-code": CLAUDE_CODE,
    "codex": CODEX,
    "gemini-cli": GEMINI_CLI,
    "aider": AIDER,
    "jsonl-agent": JSONL_AGENT,
}


def preset_named(name: str, agent: Preset | None) -> Preset:
    """ValueError, with the sentence for the owner, when there is none of that name."""
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    if agent is not None and name != "jsonl-agent":
        raise ValueError(f'an agent table is for preset = "jsonl-agent"; {name} has its own')
    return agent or PRESETS[name]
