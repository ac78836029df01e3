"""What the process that imports crews finds in its environment, all of it set before the first import.

Owns where it may write. Names of the
sidecar's own environment are passed on one by one, so none of its credentials can be among them (L40).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from plugins.quiet import CLEAN, NEVER_PASSED_ON


def importing_environment(
    environ: Mapping[str, str], passed_on: Sequence[str], folder: Path
) -> dict[str, str]:
    """The whole environment of a process that imports plugins; it writes nowhere but in `folder`.

    OSError when the folder cannot be made.
    """
    home, temporary = folder / "home", folder / "tmp"
    for place in (folder, home, temporary):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    passed = {name: environ[name] for name in passed_on if name in environ and name != NEVER_PASSED_ON}
    written = {"HOME": home, "TMPDIR": temporary, "CREWAI_STORAGE_DIR": home / "crewai"}
    return passed | CLEAN | {name: str(place) for name, place in written.items()}
