"""What keeps crewai and its number libraries quiet: variables that must be there before its first import.

Owns the one list, for the process that imports plugins, for each run, and for tests of plugins. Never sets
anything.
"""

from __future__ import annotations

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
"""Measured: without them an import dials out, asks on the terminal, starts threads and takes signals away."""

NEVER_PASSED_ON: Final = "REDIS_URL"
"""crewai would take its own locks there, and cannot even build a crew when that Redis is down."""
