"""The cold source of crews: each run is an interpreter of its own, which imports everything anew.

Owns the program of such a run, and the one look at the plugins when the sidecar starts. A run begins in
seconds instead of milliseconds, and there is nothing to keep: for systems that cannot fork, and for who wants
runs to share nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sidecar.runners.guard import ROOT
from sidecar.runners.handover import PASSED_ON
from sidecar.runners.importing import OURS_FIRST, Importer, Recipe
from sidecar.runners.prepared import Prepared
from sidecar.runners.process import SUPERVISED, Launcher
from sidecar.runners.warm import CHILD

RUN: Final = OURS_FIRST + (
    "import runpy; del sys.argv[1]; runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
"""As `python -m` does it, with the path of a zygote."""


class Cold:
    """Has the face of a `Zygote`, and no process between two runs."""

    def __init__(
        self,
        folder: Path,
        folders: Sequence[str | Path],
        environ: Mapping[str, str],
        *,
        passed_on: Sequence[str] = PASSED_ON,
        child: str = CHILD,
    ) -> None:
        self.launcher: Final[Launcher] = SUPERVISED
        self.prepared = Prepared()
        """What the last look said of the plugins."""
        self._recipe = Recipe.of(child, folders, folder, environ, passed_on)
        self.argv: Final = (sys.executable, "-P", "-c", RUN, ROOT, child, *self._recipe.folders)

    async def start(self) -> Prepared:
        """Import everything once, only to see what there is. CannotPrepare, an OSError, when that fails."""
        importer = Importer(self._recipe)
        try:
            await importer.begin()
            self.prepared = await importer.prepared()
        except BaseException:
            importer.kill()
            raise
        finally:
            await importer.end()
        return self.prepared

    async def reload(self) -> Prepared:
        """Look again. Every run imports what is there when it begins."""
        return await self.start()

    async def close(self) -> None:
        """There is nothing to close."""
