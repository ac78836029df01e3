"""Which settings plugins take, as agents have told: the latest word on each plugin, within bounds.

Owns the memory of it, which is gone with the process: agents tell again whenever they connect. Never judges
settings by it, because a schema from elsewhere may take for ever to judge by; people's forms are made of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from protocol.limits import KIB, PLUGIN_SCHEMAS_BYTES_MAX

FORMS_MAX: Final = 512
"""Plugins whose schema is remembered; the one that was told longest ago is forgotten first."""

FORM_BYTES_MAX: Final = 32 * KIB
"""One of them: with `FORMS_MAX` at most 16 MiB. Sidecars of ours tell half as much."""

assert FORM_BYTES_MAX < PLUGIN_SCHEMAS_BYTES_MAX

WORDS_LENGTH_MAX: Final = 1_000
"""Of a title or a description: they travel in every list of plugins, as a manifest's do."""


class Form(Struct, frozen=True, kw_only=True):
    """One plugin's settings: words for people, and the schema as JSON text."""

    schema: Raw
    title: str = ""
    description: str = ""


class Words(Struct, frozen=True):
    """What of a schema is for people; strangers may have put anything there."""

    title: Any = None
    description: Any = None


class FormsTold:
    """By plugin: whoever came last has said it."""

    def __init__(self) -> None:
        self._forms: OrderedDict[str, Form] = OrderedDict()
        self._last = b""

    def __len__(self) -> int:
        return len(self._forms)

    def tell(self, plugins: Collection[str], said: Raw | None) -> None:
        """Of an identify whose token was good: only plugins that it offers count."""
        text = b"" if said is None else bytes(said)
        if not text or text == self._last:
            return  # a whole fleet says the same, one after the other
        self._last = text
        for name, schema in msgspec.json.decode(text, type=dict[str, Raw]).items():
            form = form_of(bytes(schema)) if name in plugins else None
            if form is not None:
                self._forms[name] = form
                self._forms.move_to_end(name)
        while len(self._forms) > FORMS_MAX:
            self._forms.popitem(last=False)

    def named(self, name: str) -> Form | None:
        return self._forms.get(name)


def form_of(schema: bytes) -> Form | None:
    """None for what is no schema of settings, or too big for a form."""
    if not schema.startswith(b"{") or len(schema) > FORM_BYTES_MAX:
        return None
    words = msgspec.json.decode(schema, type=Words)
    return Form(schema=Raw(schema), title=words_of(words.title), description=words_of(words.description))


def words_of(said: object) -> str:
    return said[:WORDS_LENGTH_MAX] if isinstance(said, str) else ""
