"""Making text of strangers harmless for terminals and logs.

Owns which characters may do something to a terminal (move the cursor, recolour, rename the window, reverse
the reading direction) and shows each as a visible escape. Never changes anything else.
"""

from __future__ import annotations

import re
from typing import Final

# C0 but for newline and tab, DEL, C1, marks and overrides of direction, separators of lines, lone surrogates.
_HARMFUL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def harmless(text: str) -> str:
    """The text with everything that a terminal would obey made visible: `\\x1b` instead of an escape."""
    return _HARMFUL.sub(_shown, text)


def harmless_line(text: str, length_max: int | None = None) -> str:
    """As above, on one line, and cut."""
    shown = harmless(text).replace("\n", "\\n").replace("\t", " ")
    return shown if length_max is None or len(shown) <= length_max else shown[: length_max - 1] + "…"
