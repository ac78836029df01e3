"""How a task is handed to a program: the order as one JSON object, and what its environment says of the run.

Owns both forms, for commands and crews alike. Nothing of a task becomes part of a shell string (L35); whose
variables are passed on, and which keys a run is given, is decided by the runner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.runners.contract import Order
from sidecar.runners.hunt import MARKER_VARIABLE
from sidecar.runners.process import ANSWERS, REPORT
from sidecar.workspace import Workspace

PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TZ")
"""What a program finds of the sidecar's own environment unless the settings list something else."""

DESCRIPTION_IN_ENVIRONMENT_BYTES_MAX: Final = 32 * 1024
"""A longer description is on standard input only: one variable may have 128 KiB on Linux, and all share a
stack.
"""

SIDECARS_OWN: Final = ("CREWHUB_", "HUB_", "SIDECAR_")
"""A variable that begins so belongs to the sidecar: its token and its keys are among them."""

_encode = msgspec.json.Encoder().encode


def check_passed_on(names: tuple[str, ...]) -> None:
    """ValueError for a variable that no run may be given."""
    for name in names:
        if name.startswith(SIDECARS_OWN):
            raise ValueError(f"{name} belongs to the sidecar: a run never sees its token")


def environment_of(order: Order, workspace: Workspace) -> dict[str, str]:
    """What every program is given; it overrides whatever was passed on."""
    variables = {
        "HOME": str(workspace.home),
        "TMPDIR": str(workspace.tmp),
        "CREWHUB_WORKSPACE": str(workspace.root),
        MARKER_VARIABLE: workspace.marker,
        "CREWHUB_TASK_ID": order.task_id,
        "CREWHUB_GENERATION": str(order.generation),
        "CREWHUB_ATTEMPT": str(order.attempt),
        "CREWHUB_ATTEMPTS_MAX": str(order.attempts_max),
        "CREWHUB_PLUGIN": order.plugin,
        "CREWHUB_TRACE": order.trace,
        "CREWHUB_REPORT_FD": str(REPORT),
        "CREWHUB_ANSWERS_FD": str(ANSWERS),
    }
    if len(order.description.encode(errors="replace")) <= DESCRIPTION_IN_ENVIRONMENT_BYTES_MAX:
        variables["CREWHUB_DESCRIPTION"] = order.description
    return {
        name: value.replace("\0", "").encode(errors="replace").decode()
        for name, value in variables.items()
        if value is not None
    }


def task_of(order: Order, more: Mapping[str, Any] | None = None) -> bytes:
    """The whole order, kept steps and answers of earlier attempts included; `more` adds or overrides."""
    free = {"metadata": order.metadata, "inputs": order.inputs, "done": order.done, "answers": order.answers}
    return _encode(
        {
            "task_id": order.task_id,
            "generation": order.generation,
            "attempt": order.attempt,
            "attempts_max": order.attempts_max,
            "description": order.description.encode(errors="replace").decode(),
            "plugin": order.plugin,
            "time_left_ms": order.time_left_ms,
            **{name: None if text is None else msgspec.Raw(text) for name, text in free.items()},
            **(more or {}),
        }
    )
