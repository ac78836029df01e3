"""What a crew returns, as the JSON that travels to the hub.

Owns the reading of crewai's output, and what a briefing must look like. The result is always a JSON object,
whatever a model wrote (L88). Never repairs a briefing that is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from crews.line import encoded
from protocol.limits import RESULT_BYTES_MAX

BRIEFING: Final = "briefing"
"""The capability of plugins whose result other programs show as a briefing."""

SUMMARY_LENGTH_MAX: Final = 300
"""Characters: it stands on one card, and is read aloud."""

_FENCED: Final = re.compile(r"\A\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


class UnfitResult(Exception):
    """The crew finished, and what it returned may not be its result."""

    def __init__(self, sentence: str, *, retryable: bool) -> None:
        super().__init__(sentence)
        self.retryable = retryable


def result_of(output: Any, *, briefing: bool) -> dict[str, Any]:
    """The result of a finished crew; `UnfitResult` when it cannot be one."""
    result = plain(output)
    if briefing:
        mistake = mistake_in(result)
        if mistake:
            raise UnfitResult(f"the crew's output is no briefing: {mistake}", retryable=True)
    size = len(encoded(result))
    if size > RESULT_BYTES_MAX:
        sentence = f"the result has {size} bytes, at most {RESULT_BYTES_MAX} may travel"
        raise UnfitResult(sentence, retryable=False)
    return result


def plain(output: Any) -> dict[str, Any]:
    """An object: the structured output, or the JSON that the text is, or the text itself."""
    structured = getattr(output, "pydantic", None)
    if structured is not None:
        return dict(structured.model_dump(mode="json", serialize_as_any=True, fallback=str))
    fields = getattr(output, "json_dict", None)
    if isinstance(fields, Mapping):
        return dict(fields)
    text = str(getattr(output, "raw", output))
    found = parsed(text)
    return found if isinstance(found, dict) else {"output": text}


def parsed(text: str) -> Any:
    """The JSON that a text is, also when the model put a fence round it; None when it is none."""
    fenced = _FENCED.match(text)
    try:
        return json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return None


def mistake_in(result: Mapping[str, Any]) -> str:
    """Why this is no {summary, sections: [{title, content}]}; empty when it is one."""
    summary, sections = result.get("summary"), result.get("sections")
    if not isinstance(summary, str) or not summary.strip():
        return "summary must be a text that is not empty"
    if len(summary) > SUMMARY_LENGTH_MAX:
        return f"summary has {len(summary)} characters, at most {SUMMARY_LENGTH_MAX} are allowed"
    if not isinstance(sections, list):
        return "sections must be a list"
    for number, section in enumerate(sections, 1):
        for member in ("title", "content"):
            if not isinstance(section, dict) or not isinstance(section.get(member), str):
                return f"section {number} must have a {member} that is a text"
    return ""
