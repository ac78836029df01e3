"""Plugin folders on disk, made for one test."""

import json
from pathlib import Path
from typing import Any

from plugins.contract import Plugin
from plugins.loader import find

CREW = "def create_crew(settings, llm=None, search_tool=None):\n    return dict(settings)\n"
SCHEMA: dict[str, Any] = {"type": "object"}


def make_plugin(
    folders: Path,
    name: str = "brief",
    *,
    manifest: str | None = None,
    schema: dict[str, Any] | str = SCHEMA,
    crew: str = CREW,
    **files: str,
) -> Path:
    """A plugin's folder below `folders`; `files` are further modules beside its `crew.py`."""
    folder = folders / name
    (folder / "crew").mkdir(parents=True, exist_ok=True)
    text = manifest if manifest is not None else f'name: {name}\nversion: "1.0.0"\n'
    (folder / "plugin.yaml").write_text(text)
    (folder / "settings.schema.json").write_text(schema if isinstance(schema, str) else json.dumps(schema))
    (folder / "crew" / "crew.py").write_text(crew)
    for module, code in files.items():
        (folder / "crew" / f"{module}.py").write_text(code)
    return folder


def found(folder: Path) -> Plugin:
    """The plugin in this folder, which has to be in order."""
    answer = find([folder])
    assert not answer.troubles, answer.troubles
    return answer.plugins[folder.name]


def sentence_about(folder: Path) -> str:
    """Why the plugin in this folder is not offered."""
    answer = find([folder.parent])
    assert folder.name not in answer.plugins
    [sentence] = [trouble.sentence for trouble in answer.troubles if trouble.folder == str(folder)]
    return sentence
