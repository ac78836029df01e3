"""The version of this program, as the package says it. Owns nothing else."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def read_version() -> str:
    try:
        return version("crewhub")
    except PackageNotFoundError:
        return "0+source"


VERSION: Final = read_version()
