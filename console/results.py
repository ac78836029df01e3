"""What a run has made, as a person reads it: a briefing with sections, a text, or an object's members.

Owns the layout on a terminal. Never changes what a pipe gets: there a result is JSON.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from console.harmless import harmless
from console.output import Output

WIDTH_MAX: Final = 100
"""Columns of running text; longer lines are hard to read however wide the terminal is."""


def is_briefing(result: Any) -> bool:
    """`{summary, sections: [{title, content}]}`, which may have more members."""
    if not isinstance(result, Mapping) or not isinstance(result.get("summary"), str):
        return False
    sections = result.get("sections")
    return isinstance(sections, list) and all(
        isinstance(one, Mapping) and isinstance(one.get("title"), str) and isinstance(one.get("content"), str)
        for one in sections
    )


def say_result(output: Output, result: Any) -> None:
    """Print it for a person. JSON is the caller's own line."""
    if is_briefing(result):
        for line in briefing_lines(output, result):
            output.line(line)
        return
    text = result.get("output") if isinstance(result, Mapping) else result
    if isinstance(text, str):
        output.line(harmless(text.rstrip("\n")))
    else:
        output.fields({"result": result})


def briefing_lines(output: Output, briefing: Mapping[str, Any]) -> Iterator[str]:
    width = max(20, min(WIDTH_MAX, output.columns - 1))
    yield ""
    yield from wrapped(briefing["summary"], width)
    for section in briefing["sections"]:
        yield ""
        for line in wrapped(section["title"], width):
            yield output.paint(line, "strong")
        yield from wrapped(section["content"], width)


def wrapped(text: str, width: int) -> Iterator[str]:
    """Running text in lines that fit, its own line breaks kept."""
    for paragraph in harmless(text).splitlines():
        yield from textwrap.wrap(paragraph, width, replace_whitespace=False) or [""]
