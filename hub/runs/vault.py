"""Credentials that came with a run: in memory for as long as its task is open, and nowhere else.

Owns which members of settings are credentials (their names begin with `_`) and the one place where they join
an order again: on its way to the link of the run's holder. Never writes, logs or shows one. A hub that was
restarted has lost them: a run that came by Redis gets them again with its entry, any other goes on with the
keys that its sidecar has of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from hub.core.effects import Tell
from hub.errors import Overloaded
from protocol.frames import TaskAssign
from protocol.ids import TaskId
from protocol.limits import KIB, METADATA_BYTES_MAX

MARK: Final = "_"
"""How the name of a credential begins (contracts §5)."""

KEYS_BYTES_MAX: Final = 4 * KIB
"""Of one run: a few keys of some hundred characters, in what an order has to spare beside its inputs."""

RUNS_MAX: Final = 10_000
"""Runs with keys at once: 40 MiB at the very most. One more is refused rather than run without its keys."""

SETTINGS_BYTES_MAX: Final = METADATA_BYTES_MAX - KEYS_BYTES_MAX
"""Of a run's settings without its keys: together they are the inputs of an order."""


def parted(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that may be kept and shown, and the credentials with their marks."""
    plain = {name: value for name, value in settings.items() if not name.startswith(MARK)}
    return plain, {name: value for name, value in settings.items() if name.startswith(MARK)}


def is_too_big(keys: Mapping[str, Any]) -> bool:
    return len(msgspec.json.encode(keys)) > KEYS_BYTES_MAX


class Vault:
    """Keys by task. `keep` them before the task is pushed: its order may leave in the same turn."""

    def __init__(self, *, runs_max: int = RUNS_MAX) -> None:
        self._runs_max = runs_max
        self._keys: dict[TaskId, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"Vault({len(self)} runs)"

    def keep(self, task_id: TaskId, keys: Mapping[str, Any]) -> None:
        """Raises Overloaded where there is no room."""
        assert not is_too_big(keys), "whoever takes keys in looks at their size first"
        if not keys:
            return
        if task_id not in self._keys and len(self._keys) >= self._runs_max:
            raise Overloaded(f"{len(self._keys)} runs with keys are open")
        self._keys[task_id] = dict(keys)

    def drop(self, task_id: TaskId) -> None:
        """Its task is over, or was never made."""
        self._keys.pop(task_id, None)

    def completed(self, effect: Tell) -> Tell:
        """What is told, with the run's keys among the inputs if it is the order to do it."""
        frame = effect.frame
        if not self._keys or not isinstance(frame, TaskAssign):
            return effect
        keys = self._keys.get(frame.task_id)
        if keys is None:
            return effect
        return Tell(effect.link_id, msgspec.structs.replace(frame, inputs=joined(frame.inputs, keys)))


def joined(inputs: Raw | None, keys: Mapping[str, Any]) -> Raw | None:
    """Inputs and keys in one object. Inputs that are no object have no room for keys."""
    settings = {} if inputs is None else msgspec.json.decode(inputs)
    return Raw(msgspec.json.encode({**settings, **keys})) if isinstance(settings, dict) else inputs
