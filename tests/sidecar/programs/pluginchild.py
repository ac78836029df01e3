"""A child module that imports plugins as a crew's does, and runs their `create_crew` itself, without crewai.

A run does what that function does. Bad manners are its part. No test is here.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plugins.loader import BrokenPlugin, find, load

CREWS: dict[str, Any] = {}


def prepare(folders: Sequence[str]) -> dict[str, Any]:
    for folder in map(Path, folders):
        while (folder / "wait").exists():
            time.sleep(0.01)
        if (folder / "refuse").exists():
            raise RuntimeError("this folder is not for sale")
    found = find([Path(folder) for folder in folders])
    troubles = list(found.troubles)
    for name, plugin in found.plugins.items():
        try:
            CREWS[name] = load(plugin)
        except BrokenPlugin as broken:
            troubles.append(broken.trouble)
    return {
        "plugins": [{"name": name, "version": found.plugins[name].manifest.version} for name in CREWS],
        "troubles": [
            {"folder": one.folder, "sentence": one.sentence, "traceback": one.traceback} for one in troubles
        ],
        "crewai": "none",
    }


def main() -> None:
    order = json.loads(sys.stdin.buffer.read())
    result = CREWS[order["plugin"]](order["settings"], llm=None, search_tool=None)
    os.write(3, json.dumps({"result": result}).encode() + b"\n")
    os._exit(0)
