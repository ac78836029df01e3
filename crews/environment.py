"""What a crew's process finds in its environment, set before crewai is imported for the first time.

Owns when and where what keeps crewai quiet is set, and where a run may write. Never reads a credential: those
travel in the order alone (L40).
"""

from __future__ import annotations

import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from plugins.quiet import CLEAN, NEVER_PASSED_ON

STORAGE: Final = "CREWAI_STORAGE_DIR"
"""Where crewai keeps its tables: one folder a run, or runs overwrite each other's."""


def cleanse(environ: MutableMapping[str, str]) -> None:
    """Before the first import of crewai, and again in the run's own environment."""
    environ.update(CLEAN)
    environ.pop(NEVER_PASSED_ON, None)


def settle(environ: MutableMapping[str, str]) -> None:
    """Give the run a private storage folder, inside its own temporary folder unless somebody named one."""
    tempfile.tempdir = None  # the zygote's own was remembered before the fork
    place = Path(environ.get(STORAGE) or Path(environ.get("TMPDIR") or Path.cwd(), "crewai")).absolute()
    place.mkdir(parents=True, exist_ok=True)
    environ[STORAGE] = str(place)
