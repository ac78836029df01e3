"""Failures of the same kind have the same fingerprint, whatever differs from one to the next.

Owns what of an error counts: not its numbers, ids, quoted parts, paths or addresses. Never shows an error:
people read the whole text.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from hub.core.task import State, Task

ERROR_CHARS_MAX: Final = 4_096
"""So much of an error is looked at: what goes on after that is a dump, and a commit waits for this."""

FINGERPRINT_DIGITS: Final = 16
"""64 bits: among a million kinds of failure two meet once in tens of millions of hubs."""

FINGERPRINTED: Final = frozenset({State.FAILED, State.DEAD_LETTER})

VARYING: Final = re.compile(
    r"""(?x)
      (?<!\w) (?: '[^'\n]*' | "[^"\n]*" | `[^`\n]*` ) (?!\w)      # what somebody quotes
    | \b [a-z][a-z0-9+.-]{0,15} :// [^\s'"<>)]+                   # addresses
    | (?<![a-z0-9]) [0-9a-f]{8} (?: -[0-9a-f]{4} ){3} -[0-9a-f]{12} (?![a-z0-9])   # UUIDs
    | (?<![\w.]) (?: [a-z]: | ~ | \.{1,2} )? (?: [/\\] [\w.@+~%-]+ )+ [/\\]?   # paths
    | (?<![a-z0-9]) 0x [0-9a-f]+ (?![a-z0-9])
    | (?<![a-z0-9]) (?= [a-f]* [0-9] ) [0-9a-f]{8,} (?![a-z0-9])  # digests, ids
    | [0-9]+ (?: [.,:][0-9]+ )*                                   # numbers, times, versions
    """
)
"""Every branch moves on with each character it takes: the time is a small multiple of the length."""


def shape_of(error: str) -> str:
    """An error with a mark in the place of everything that varies; blanks and case do not count."""
    return " ".join(VARYING.sub("*", error[:ERROR_CHARS_MAX].lower()).split())


def fingerprint(how: str, plugin: str | None, error: str | None) -> str:
    """By which failures are grouped: how it ended, in which plugin, and the shape of the error."""
    kind = "\0".join((how, plugin or "", shape_of(error or "")))
    return hashlib.sha256(kind.encode(errors="replace")).hexdigest()[:FINGERPRINT_DIGITS]


def fingerprint_of(task: Task) -> str | None:
    """Of a task that failed for good; None of any other."""
    if task.state not in FINGERPRINTED or task.ending is None:
        return None
    return fingerprint(task.ending.how, task.spec.plugin, task.error)
