"""What an offline model says: by an agent's role, a list of turns.

Owns the grammar of `offline.yaml` and of `metadata.offline`, and judges it with the role and the turn in the
sentence. Never plays a turn: `crews.offline` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

ANYBODY: Final = "*"
"""The role whose turns play for every agent that has none of its own."""

SCRIPT_BYTES_MAX: Final = 1024 * 1024
"""A script is a page of text; a file beyond this is something else."""

TURNS_MAX: Final = 10_000
"""Turns of one role: far above any test, far below what makes a file slow to judge."""

ACTIONS: Final = ("say", "tool", "ask", "fail", "stall", "crash")
"""What a turn does; each turn does exactly one of them."""


class BadScript(ValueError):
    """A script that cannot be played. The sentence names the role and the turn."""


class Tokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a turn claims to have used, where counting its text is not exact enough for a test."""

    tokens_in: int = 0
    tokens_out: int = 0


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"arguments": "with"}):
    """One answer of the model: one action, and how it comes."""

    say: Any = msgspec.UNSET
    """The answer: text, or a mapping or list that is said as JSON."""
    tool: str | None = None
    arguments: dict[str, Any] = {}
    ask: str | None = None
    choices: list[str] | None = None
    fail: str | None = None
    stall: bool = False
    crash: str | int | None = None
    """A signal's name (`SEGV`, `KILL`, `ABRT`), or the exit code of a process that leaves without a word."""
    think: str | None = None
    chunks: int | None = None
    pause_ms: int = 0
    """Before every chunk."""
    burn_ms: int = 0
    """Before the answer, with a processor that is kept busy."""
    hold_mb: int = 0
    """Memory that is written to and kept, before the answer."""
    deaf: bool = False
    """From here on the process ignores TERM."""
    attempt: int | None = None
    """Played in this attempt of the task only; others pass over it."""
    usage: Tokens | None = None

    @property
    def actions(self) -> list[str]:
        """The actions it names: a good turn has one."""
        absent = (None, False, msgspec.UNSET)
        return [name for name in ACTIONS if not any(getattr(self, name) is value for value in absent)]


class Script:
    """All turns, by role. Roles are compared without case and surrounding space."""

    def __init__(self, turns: Mapping[str, Sequence[Turn]]) -> None:
        self.turns = {_folded(role): tuple(of_role) for role, of_role in turns.items()}

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self.turns)

    def role_of(self, *names: str) -> str:
        """The first of these names that the script knows, else anybody's; an unknown role is an error."""
        for name in (*names, ANYBODY):
            if _folded(name) in self.turns:
                return _folded(name)
        known = ", ".join(self.turns) or "none"
        raise BadScript(f"The offline script has no turns for the role {_named(names)}; it knows: {known}")

    def turn(self, role: str, number: int, attempt: int = 1) -> Turn:
        """The turn that this role plays as its `number`th (from 0) in that attempt: the last one repeats."""
        turns = [turn for turn in self.turns[role] if turn.attempt in {None, attempt}]
        if not turns:
            raise BadScript(f"The offline script has no turn of the role {role!r} for attempt {attempt}")
        return turns[min(number, len(turns) - 1)]


def load(source: Path | Mapping[str, Any]) -> Script:
    """The script in a YAML file, or in a mapping of the same shape."""
    content = _read(source) if isinstance(source, Path) else source
    if not isinstance(content, Mapping):
        raise BadScript("An offline script maps each agent's role to a list of turns")
    return Script({str(role): _turns(str(role), turns) for role, turns in content.items()})


def _read(path: Path) -> Any:
    import yaml  # noqa: PLC0415  comes with the extra; a mapping needs none

    try:
        with path.open("rb") as file:
            raw = file.read(SCRIPT_BYTES_MAX + 1)
    except OSError as error:
        raise BadScript(f"The offline script {path.name} cannot be read: {error.strerror}") from error
    if len(raw) > SCRIPT_BYTES_MAX:
        raise BadScript(f"The offline script {path.name} is longer than {SCRIPT_BYTES_MAX} bytes")
    try:
        return yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadScript(f"The offline script {path.name} is no YAML: {error}") from error


def _turns(role: str, turns: Any) -> list[Turn]:
    if not isinstance(turns, Sequence) or isinstance(turns, str | bytes) or not turns:
        raise BadScript(f"Role {role!r}: give it a list with at least one turn")
    if len(turns) > TURNS_MAX:
        raise BadScript(f"Role {role!r}: {TURNS_MAX} turns are the most, not {len(turns)}")
    return [_turn(f"Role {role!r}, turn {number}", turn) for number, turn in enumerate(turns, 1)]


def _turn(where: str, raw: Any) -> Turn:
    if isinstance(raw, str):
        raw = {"say": raw}
    try:
        turn = msgspec.convert(raw, Turn)
    except msgspec.ValidationError as error:
        raise BadScript(f"{where}: {error}") from error
    actions = turn.actions
    if len(actions) != 1:
        found = " and ".join(actions) or "none"
        raise BadScript(f"{where}: a turn has exactly one of {', '.join(ACTIONS)}; this one has {found}")
    _judge(where, turn)
    return turn


def _judge(where: str, turn: Turn) -> None:
    if min(turn.pause_ms, turn.burn_ms, turn.hold_mb, turn.chunks or 0) < 0:
        raise BadScript(f"{where}: chunks, pause_ms, burn_ms and hold_mb are not negative")
    if turn.arguments and turn.tool is None:
        raise BadScript(f"{where}: `with` gives a tool its arguments, and this turn uses no tool")
    if turn.choices is not None and turn.ask is None:
        raise BadScript(f"{where}: `choices` belong to `ask`, and this turn asks nothing")
    if isinstance(turn.crash, str) and turn.crash not in SIGNALS:
        raise BadScript(f"{where}: crash by one of {', '.join(SIGNALS)} or with an exit code")


SIGNALS: Final = ("SEGV", "KILL", "ABRT", "TERM", "BUS", "FPE")
"""How a process may be told to fall over."""


def _folded(role: str) -> str:
    return " ".join(role.split()).casefold()


def _named(names: Sequence[str]) -> str:
    return " or ".join(repr(name) for name in dict.fromkeys(names) if name) or "of an agent without a role"
