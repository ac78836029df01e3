"""What a plugin tells others of its settings: one JSON Schema, of which a form can be made.

Owns which documents of a plugin are in it. Never holds a value that somebody has set, other than the
manifest's own defaults.
"""

from __future__ import annotations

from typing import Any

from plugins.contract import Plugin


def form_of(plugin: Plugin) -> dict[str, Any]:
    """The plugin's schema, with the manifest's settings as its `default` and its words where it has none."""
    manifest = plugin.manifest
    said = plugin.schema.get("default")
    form = {
        **plugin.schema,
        "default": {**(said if isinstance(said, dict) else {}), **manifest.default_config},
    }
    if manifest.description:
        form.setdefault("description", manifest.description)
    return form
