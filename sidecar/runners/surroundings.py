"""What one run of a crew finds in its environment: what keeps crewai quiet, its folders, and no secret.

Owns that list; `clean.py` has the one of the process that imports. Credentials never lie in an environment
(L40), and neither does the address of a Redis, which crewai would take its locks from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from plugins.quiet import CLEAN, NEVER_PASSED_ON
from sidecar.runners.contract import Order
from sidecar.runners.handover import PASSED_ON, check_passed_on, environment_of
from sidecar.workspace import Workspace

STORAGE: Final = "CREWAI_STORAGE_DIR"


def check_crew_environment(names: tuple[str, ...]) -> None:
    """ValueError for a variable that no crew may be given."""
    check_passed_on(names)
    if NEVER_PASSED_ON in names:
        raise ValueError(f"a crew never sees {NEVER_PASSED_ON}: crewai would take its locks there")


def passed_on(names: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """What of the sidecar's own environment a crew may see."""
    return {name: environ[name] for name in (*PASSED_ON, *names) if name in environ}


def crew_environment(passed: Mapping[str, str], order: Order, workspace: Workspace) -> dict[str, str]:
    """The whole environment of one run."""
    of_the_run = environment_of(order, workspace)
    of_the_run.pop("CREWHUB_DESCRIPTION", None)  # a crew reads its order
    return {**passed, **CLEAN, **of_the_run, STORAGE: str(workspace.home / "crewai")}
