"""What a crew does, told for people: each event worth telling becomes one line of the activity stream.

Owns the words and the hand-picked members of `data` (docs/crews.md): names, numbers, short openings of texts.
Never passes an event on whole, never a prompt; never says a line itself and never imports crewai.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from crews.lineage import Node
from crews.telling import CREW, Moment, Story, Told, named, opening, reason, role_in
from crews.usage import Used

Teller: TypeAlias = Callable[[Story, Any, Any, Moment], Iterable[Told]]


def told(story: Story, source: Any, event: Any, now: Moment) -> list[Told]:
    """What this event is worth telling; usually nothing."""
    kind = str(getattr(event, "type", ""))
    tell = TOLD.get(kind)
    if tell is not None:
        return list(tell(story, source, event, now))
    if kind.endswith("_started") and kind not in UNSCOPED:
        story.lineage.pass_through(event)
    elif kind.endswith(("_failed", "_error")) and kind not in UNTOLD:
        return [_other_trouble(story, event, now)]
    return []


def told_at_the_end(story: Story, now: Moment) -> list[Told]:
    """What was still waiting when the run ended."""
    return [story.streamed(piece, now.ms) for piece in story.chunks.close(now.s)]


# ---- crew and tasks ----------------------------------------------------------------------------------------


def _crew_began(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    if story.crew is not None:
        story.lineage.pass_through(event)  # a crew inside a tool: its tasks are extra ones
        return
    story.meter.know([str(task.id) for task in getattr(source, "tasks", None) or ()])
    node = _crew(story, event, now, getattr(event, "crew_name", None))
    count = story.meter.tasks
    text = f"{node.name} began: {count} {'task' if count == 1 else 'tasks'}"
    yield Told(text, "crew", story.members(node, "began", now, of=count), message=text, is_weighty=True)


def _crew(story: Story, event: Any, now: Moment, name: Any = None) -> Node:
    name = named(name, CREW)
    name = CREW if name == "crew" else name
    story.crew = story.lineage.begin(event, "crew", name, now_s=now.s)
    return story.crew


def _crew_goes_on(story: Story, now: Moment) -> Iterable[Told]:
    """A resumed run has a crew although nobody says that it began."""
    if story.crew is None:
        node = _crew(story, None, now)
        begun_at, count = story.meter.begun_at, story.meter.tasks
        text = f"{node.name} goes on: {begun_at} of {count} tasks were done before"
        yield Told(text, "crew", story.members(node, "began", now, of=count), is_weighty=True)


def _crew_ended(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    node = story.lineage.end(event, "crew")
    if node is not None:
        models = {
            name: {"tokens_in": used.tokens_in, "tokens_out": used.tokens_out}
            for name, used in story.tally.by_model.items()
        }
        found = story.members(node, "ended", now, models=models or None)
        yield Told(f"{node.name} has finished its tasks", "crew", found, is_weighty=True)


def _crew_failed(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    node = story.lineage.end(event, "crew")
    if node is not None:
        yield story.failed(node, f"{node.name} failed", event, now)


def _task_began(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    task_id = str(event.task_id or "")
    story.meter.meet(task_id)
    yield from _crew_goes_on(story, now)
    name = story.task_name(task_id, event)
    story.meter.begin(task_id)
    node = story.lineage.begin(event, "task", name, key=task_id, task_id=task_id, now_s=now.s)
    index, count = story.meter.index(task_id), story.meter.tasks
    text = f"Extra task: {name}" if index is None else f"Task {index + 1}/{count}: {name}"
    found = story.members(node, "began", now, index=index, of=None if index is None else count)
    yield Told(text, "task", found, message=text, is_weighty=True)


def _task_ended(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    task_id = str(event.task_id or "")
    story.meter.finish(task_id)
    node = story.lineage.end(event, "task", task_id)
    if node is not None:
        text = f"Finished {node.name}"
        output = opening(getattr(getattr(event, "output", None), "raw", None))
        found = story.members(node, "ended", now, index=story.meter.index(task_id), output=output)
        yield Told(text, "task", found, message=text, is_weighty=True)


def _task_failed(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    node = story.lineage.end(event, "task", str(event.task_id or ""))
    if node is not None:
        yield story.failed(node, f"{node.name} failed", event, now)


# ---- agents ------------------------------------------------------------------------------------------------


def _agent_began(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    task_id = str(getattr(getattr(event, "task", None), "id", "") or "")
    role = role_in(event) or "agent"
    node = story.lineage.begin(event, "agent", role, key=role, task_id=task_id, agent=role, now_s=now.s)
    yield Told(f"{role} began", "agent", story.members(node, "began", now))


def _agent_ended(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    node = story.lineage.end(event, "agent", role_in(event) or "agent")
    if node is not None:
        found = story.members(node, "ended", now, output=opening(event.output))
        yield Told(f"{node.name} finished", "agent", found)


def _agent_failed(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    node = story.lineage.end(event, "agent", role_in(event) or "agent")
    if node is not None:
        yield story.failed(node, f"{node.name} failed", event, now)


def _planned(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    text = f"{role_in(event) or 'An agent'} has made a plan"
    yield story.remark(event, text, "agent", now, output=opening(event.plan))


# ---- models ------------------------------------------------------------------------------------------------


def _call_began(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    task_id, call_id = str(event.task_id or ""), named(event.call_id, "")
    story.meter.call(task_id)
    node = story.lineage.begin(
        event,
        "model",
        named(event.model, "model"),
        key=call_id,
        task_id=task_id,
        agent=role_in(event),
        now_s=now.s,
    )
    text = f"{node.agent or CREW} is thinking"
    yield Told(text, "model", story.members(node, "began", now), message=text)


def _call_ended(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    call_id = named(event.call_id, "")
    yield from _rest_of_the_call(story, call_id, now)
    used = story.tally.add(call_id, named(event.model, "model"), event.usage)
    node = story.lineage.end(event, "model", call_id)
    if node is not None:
        tokens = {} if used == Used() else {"tokens_in": used.tokens_in, "tokens_out": used.tokens_out}
        said = f" ({used.tokens_in} tokens in, {used.tokens_out} out)" if tokens else ""
        found = story.members(node, "ended", now, **tokens)
        yield Told(f"{node.agent or CREW} got an answer{said}", "model", found)


def _call_failed(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    call_id = named(event.call_id, "")
    yield from _rest_of_the_call(story, call_id, now)
    node = story.lineage.end(event, "model", call_id)
    if node is not None:
        yield story.failed(node, f"The model {node.name} failed", event, now, level="warning")


def _rest_of_the_call(story: Story, call_id: str, now: Moment) -> Iterable[Told]:
    return [story.streamed(piece, now.ms) for piece in story.chunks.end(call_id, now.s)]


def _chunk(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    is_thought = event.type == "llm_thinking_chunk"
    pieces = story.chunks.add(
        named(event.call_id, ""), role_in(event), event.chunk or "", now.s, is_thought=is_thought
    )
    return [story.streamed(piece, now.ms) for piece in pieces]


def _summary(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    text = f"{role_in(event) or CREW} has said more than the model can hear: the beginning is summarised"
    yield story.remark(event, text, "model", now, message=text)


# ---- tools -------------------------------------------------------------------------------------------------


def _tool_began(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    tool, task_id = named(event.tool_name, "tool"), str(event.task_id or "")
    node = story.lineage.begin(
        event, "tool", tool, key=tool, task_id=task_id, agent=role_in(event), now_s=now.s
    )
    text = f"{node.agent or CREW} uses {tool}"
    found = story.members(node, "began", now, arguments=opening(event.tool_args))
    yield Told(text, "tool", found, message=text)


def _tool_ended(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    node = story.lineage.end(event, "tool", named(event.tool_name, "tool"))
    if node is not None:
        cached = True if getattr(event, "from_cache", False) else None
        found = story.members(node, "ended", now, output=opening(event.output), from_cache=cached)
        yield Told(f"{node.name} answered", "tool", found)


def _tool_failed(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    node = story.lineage.end(event, "tool", named(event.tool_name, "tool"))
    if node is not None:
        yield story.failed(node, f"{node.name} failed", event, now, level="warning")


TOOL_TROUBLES: Final = {
    "tool_failure_detected": "says that it failed",
    "tool_validate_input_error": "was given arguments that it does not take",
    "tool_selection_error": "is not a tool of this agent",
}


def _tool_trouble(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    why = getattr(event, "error", None) or getattr(event, "failure", None)
    why = getattr(why, "message", None) or why
    reason_given = opening(why) or "no reason given"
    text = f"{named(event.tool_name, 'A tool')} {TOOL_TROUBLES[event.type]}: {reason_given}"
    yield story.warning(event, text, "tool", now)


# ---- the rest ----------------------------------------------------------------------------------------------


def _guarded(story: Story, source: Any, event: Any, now: Moment) -> Iterable[Told]:
    name = named(event.guardrail_name, "A guardrail")
    if event.success:
        yield story.remark(event, f"{name} accepts the output", "guardrail", now)
    else:
        yield story.warning(event, f"{name} refuses the output: {reason(event.error)}", "guardrail", now)


def _other_trouble(story: Story, event: Any, now: Moment) -> Told:
    """Whatever else fails by its name: memory, knowledge, a connection to a tool server."""
    what = event.type.rpartition("_")[0].replace("_", " ")
    return story.warning(event, f"{what} failed: {reason(getattr(event, 'error', None))}", "warning", now)


TOLD: Final[dict[str, Teller]] = {
    "crew_kickoff_started": _crew_began,
    "crew_kickoff_completed": _crew_ended,
    "crew_kickoff_failed": _crew_failed,
    "task_started": _task_began,
    "task_completed": _task_ended,
    "task_failed": _task_failed,
    "agent_execution_started": _agent_began,
    "agent_execution_completed": _agent_ended,
    "agent_execution_error": _agent_failed,
    "llm_call_started": _call_began,
    "llm_call_completed": _call_ended,
    "llm_call_failed": _call_failed,
    "llm_stream_chunk": _chunk,
    "llm_thinking_chunk": _chunk,
    "context_window_summarization_started": _summary,
    "tool_usage_started": _tool_began,
    "tool_usage_finished": _tool_ended,
    "tool_usage_error": _tool_failed,
    "tool_failure_detected": _tool_trouble,
    "tool_validate_input_error": _tool_trouble,
    "tool_selection_error": _tool_trouble,
    "llm_guardrail_completed": _guarded,
    "agent_reasoning_completed": _planned,
}

UNTOLD: Final = frozenset({"flow_failed", "method_execution_failed", "tool_execution_error"})
"""Their cause is told by the agent's, the task's or the tool's own failure."""

UNSCOPED: Final = frozenset({"agent_logs_started"})
"""They are called a start and have no end."""
