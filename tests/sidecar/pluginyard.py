"""Folders of plugins that a test writes, changes and takes away.

Owns what lies in them. A plugin here is a manifest, a schema and a `create_crew` of a few lines, which
`programs/pluginchild.py` runs without crewai.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

CHILD = "tests.sidecar.programs.pluginchild"

ANSWERS = "return {'output': settings}"


class Yard:
    """One folder of plugins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(
        self,
        name: str,
        *,
        version: str = "1.0.0",
        capabilities: tuple[str, ...] = (),
        body: str = ANSWERS,
        above: str = "",
    ) -> Path:
        """A plugin that is in order unless `above`, which runs at its import, breaks it. It appears at once,
        as a careful person would copy it."""
        fresh = self.folder / f".{name}.new"
        (fresh / "crew").mkdir(parents=True)
        manifest = {"name": name, "version": version, "capabilities": list(capabilities)}
        (fresh / "plugin.yaml").write_text(json.dumps(manifest))
        (fresh / "settings.schema.json").write_text('{"type": "object"}')
        factory = f"def create_crew(settings, llm=None, search_tool=None):\n    {body}\n"
        (fresh / "crew" / "crew.py").write_text(f"import os, time\n{above}\n\n{factory}")
        self.remove(name)
        os.rename(fresh, self.folder / name)
        return self.folder / name

    def remove(self, name: str) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)
