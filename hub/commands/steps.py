"""How an event of the feed, a question and an ending sound to a person, or look in a pipe.

Owns the wording and the tones. Never asks a hub anything.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from console.harmless import harmless
from console.live import bar, elapsed
from console.output import Exit, Output, cut
from console.questions import say_prompt
from console.results import say_result
from console.story import Step

FINAL: Final = frozenset({"completed", "failed", "cancelled", "dead_letter"})

TEXT_LENGTH_MAX: Final = 200

TONES: Final = {
    "task_complete": "good",
    "task_resumed": "good",
    "task_failed": "bad",
    "task_recovering": "warn",
    "task_requeued": "warn",
    "task_rejected": "warn",
    "task_cancel": "warn",
    "task_cancelled": "warn",
    "task_cancelling": "warn",
    "task_stopped": "warn",
    "input_required": "warn",
    "agent_left": "warn",
    "gap": "warn",
    "reset": "warn",
    "task_progress": "soft",
    "task_log": "soft",
    "task_usage": "soft",
}


def exit_of(task: dict[str, Any]) -> Exit:
    """How a task ended, as a number."""
    ending = task.get("ending") or {}
    if task["state"] == "completed":
        return Exit.COMPLETE
    if task["state"] == "cancelled":
        return Exit.CANCELLED
    return Exit.TIMED_OUT if ending.get("whose_fault") == "time" else Exit.FAILED


def tokens_of(usage: dict[str, Any] | None) -> str:
    if not usage or not isinstance(usage.get("tokens_out"), int):
        return ""
    return f"{usage.get('tokens_in') or 0} tokens in, {usage['tokens_out']} out"


def words_of(payload: Any, event: str = "") -> str:
    """What an event says to a person, in one line."""
    if event == "gap":
        return "some passing lines were left out here"
    if not isinstance(payload, dict):
        return ""
    parts = []
    if isinstance(payload.get("progress"), int | float):
        parts.append(bar(float(payload["progress"])))
    for name in ("message", "text", "description", "error", "reason", "how", "prompt", "state"):
        if isinstance(payload.get(name), str) and payload[name]:
            parts.append(" ".join(payload[name].split())[:TEXT_LENGTH_MAX])
            break
    return "  ".join([*parts, *filter(None, [tokens_of(payload)])])


def say_event(output: Output, item: dict[str, Any], *, task_is_known: bool = False) -> None:
    """One line a step. Whoever follows one task knows its id."""
    if output.quiet:
        return
    if output.is_json:
        output.record(item)
        return
    clock, name = clock_of(item), str(item["event"])
    subject = "" if task_is_known else f"{item.get('task_id') or '':22} "
    text = harmless(f"{clock}  {name:15} {item.get('agent_id') or '':10} {subject}")
    text = f"{text}{harmless(words_of(item.get('payload'), name))}".rstrip()
    output.line(output.paint(text, TONES[name]) if name in TONES else text)


def clock_of(item: dict[str, Any]) -> str:
    return datetime.fromtimestamp(item.get("timestamp", 0) / 1000).astimezone().strftime("%H:%M:%S")


def say_step(output: Output, item: dict[str, Any], step: Step) -> None:
    """One line of a run's story, for a person, cut to the width of the terminal."""
    text = cut(f"{clock_of(item)}  {step.indented}", output.columns)
    output.line(output.paint(text, step.tone) if step.tone else text)


def say_missing(output: Output, count: int) -> None:
    """What was left out on the way is said, so that nobody takes the rest for the whole."""
    text = "one line is missing here" if count == 1 else f"{count} lines are missing here"
    output.line(output.paint(f"— {text} —", "warn"))


def say_question(output: Output, task: dict[str, Any]) -> None:
    question = task.get("question") or {}
    say_prompt(output, str(question.get("prompt", "")), question.get("schema"))
    output.note(f'Answer with: hub tasks answer {task["task_id"]} "..."')


def say_end(output: Output, task: dict[str, Any]) -> Exit:
    code = exit_of(task)
    if output.quiet:
        return code
    if output.is_json:
        output.record(task)
        return code
    tone = "good" if code is Exit.COMPLETE else "bad"
    parts = [
        f"{output.paint(task['state'], tone)}  {task['task_id']}",
        blame_of(task),
        time_of(task),
        tokens_of(task["usage"]),
    ]
    output.line("  ".join(filter(None, parts)) + how_it_stopped(task))
    if task.get("error"):
        output.line(harmless(str(task["error"])))
    if task.get("result") is not None:
        say_result(output, task["result"])
    return code


def blame_of(task: dict[str, Any]) -> str:
    """Whose fault a failure was: of the work, of the machine, of a rule, of time, or of a person."""
    fault = (task.get("ending") or {}).get("whose_fault")
    return f"fault: {harmless(fault)}" if fault and task["state"] != "cancelled" else ""


def time_of(task: dict[str, Any]) -> str:
    """How long it took, waiting included."""
    since, until = task.get("created_at"), task.get("updated_at")
    return elapsed(until - since) if isinstance(since, int) and isinstance(until, int) else ""


def how_it_stopped(task: dict[str, Any]) -> str:
    """The proof that a cancelled run is gone."""
    ending = task.get("ending") or {}
    if not ending.get("stopped"):
        return ""
    proof = ending.get("proof") or {}
    signals = ", ".join(proof.get("signals", ()))
    parts = [
        str(ending["stopped"]),
        f"by {signals}" if signals else "",
        f"({proof.get('reaped', 0)} reaped, {proof.get('survivors', 0)} left)" if proof else "",
    ]
    return "  " + " ".join(part for part in parts if part)
