"""Dialogues written down as JSON lines, so that anybody's hub or client can be asked to play one half.

Owns reading them and matching what was heard. The first line names the dialogue, its subprotocol and sample
values of its `$variables`; a player replaces those it was given others for, and binds the rest when it hears
them. What is heard may have more members than the script says, never less. Never opens a socket.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

DIALOGUES = Path(__file__).parent / "dialogues"

Variables = dict[str, Any]


class Line(NamedTuple):
    """One step: somebody says a frame (or several, or a bare text), closes, or a person uses the API."""

    speaker: str
    frames: list[dict[str, Any]]
    """One for a frame; several for an array of frames; none for anything else."""
    text: str | None
    """What goes over the wire, if it is not made of `frames`."""
    is_array: bool
    is_bad: bool
    close: int | None
    post: str | None
    body: Any
    reply: Any


class Script(NamedTuple):
    title: str
    subprotocol: str | None
    samples: Variables
    lines: list[Line]


def read(path: Path) -> Script:
    head, *rest = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [_line(step) for step in rest if "note" not in step]
    return Script(head["dialogue"], head["subprotocol"], head["variables"], lines)


def _line(step: dict[str, Any]) -> Line:
    frame = step.get("frame", [])
    is_array = "frame" in step and isinstance(frame, list)
    return Line(
        speaker=step["from"],
        frames=frame if isinstance(frame, list) else [frame],
        text=step.get("text"),
        is_array=is_array,
        is_bad=step.get("is_bad", False),
        close=step.get("close"),
        post=step.get("post"),
        body=step.get("body"),
        reply=step.get("reply"),
    )


def every_script() -> list[Path]:
    return sorted(DIALOGUES.glob("*.jsonl"))


def filled(template: Any, variables: Variables) -> Any:
    """The template with every `$name` replaced, in names of members and inside longer words too."""
    match template:
        case str() if template.startswith("$") and template[1:] in variables:
            return variables[template[1:]]
        case str():
            for name, value in variables.items():
                template = template.replace(f"${name}", str(value))
            return template
        case list():
            return [filled(each, variables) for each in template]
        case dict():
            return {filled(name, variables): filled(value, variables) for name, value in template.items()}
        case _:
            return template


def differences(template: Any, heard: Any, variables: Variables, at: str = "") -> Iterator[str]:
    """What of the template was not heard. A `$name` that has no value yet takes the one that is heard."""
    if isinstance(template, str) and template.startswith("$") and template[1:] not in variables:
        variables[template[1:]] = heard
        return
    wanted = filled(template, variables) if not isinstance(template, dict | list) else template
    if isinstance(wanted, dict) and isinstance(heard, dict):
        for unfilled, value in wanted.items():
            name = filled(unfilled, variables)
            if name not in heard:
                yield f"{at}.{name} is missing"
            else:
                yield from differences(value, heard[name], variables, f"{at}.{name}")
    elif isinstance(wanted, list) and isinstance(heard, list) and len(wanted) == len(heard):
        for index, (value, found) in enumerate(zip(wanted, heard, strict=True)):
            yield from differences(value, found, variables, f"{at}[{index}]")
    elif wanted != heard:
        yield f"{at} is {heard!r}, not {wanted!r}"
