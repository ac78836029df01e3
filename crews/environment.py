"""What a crew's process finds in its environment, set before crewai is imported for the first time.

Owns the list that keeps crewai quiet: no telemetry, no tracing prompt, no version check, no threads of number
libraries. Never reads a credential: those travel in the order alone (L40).
"""

from __future__ import annotations

import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

CLEAN: Final = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "OTEL_SDK_DISABLED": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TESTING": "true",
    "ANONYMIZED_TELEMETRY": "False",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Measured: without them the process dials out, asks on the terminal, starts threads, takes signals."""

REMOVED: Final = ("REDIS_URL",)
"""crewai takes its own locks there: with a Redis that is down not even a crew can be built."""

STORAGE: Final = "CREWAI_STORAGE_DIR"
"""Where crewai keeps its tables: one folder a run, or runs overwrite each other's."""


def cleanse(environ: MutableMapping[str, str]) -> None:
    """Before the first import of crewai, and again in the run's own environment."""
    environ.update(CLEAN)
    for name in REMOVED:
        environ.pop(name, None)


def settle(environ: MutableMapping[str, str]) -> None:
    """Give the run a private storage folder, inside its own temporary folder unless somebody named one."""
    tempfile.tempdir = None  # the zygote's own was remembered before the fork
    place = Path(environ.get(STORAGE) or Path(environ.get("TMPDIR") or Path.cwd(), "crewai")).absolute()
    place.mkdir(parents=True, exist_ok=True)
    environ[STORAGE] = str(place)
