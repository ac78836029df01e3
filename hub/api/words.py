"""Words that stand in answers as text, and of which the documents name every one.

Owns the annotations that put a closed list of words into the generated schemas; on the wire a word is text.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from hub.core.runs import RunStatus
from hub.core.task import State

STATES: Final = [state.value for state in State]
RUN_STATUSES: Final = [status.value for status in RunStatus]

StateWord = Annotated[str, Meta(extra_json_schema={"enum": STATES})]
RunWord = Annotated[str, Meta(extra_json_schema={"enum": RUN_STATUSES})]
