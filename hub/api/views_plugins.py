"""What callers get to see of plugins: who offers one, and what its settings are.

Owns the shapes and the one function that makes them out of folders, agents and what those have told. Never
reads a folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from hub.core.views import SeatView
from hub.runs.forms import Form, FormsTold, words_of
from plugins.contract import Found, Plugin
from plugins.forms import form_of

# msgspec (seen with 0.22) reads `Raw | None` as null and nothing else; see `bodies.py`.
if TYPE_CHECKING:
    OptionalRaw = Raw | None
else:
    OptionalRaw = Raw

AGENTS_SHOWN_MAX: Final = 100
"""Of those that offer a plugin; how many there are is said beside it."""

NOTHING: Final = Raw(b"null")


class PluginView(Struct, frozen=True, kw_only=True):
    """A plugin that a connected agent offers, or that lies in a folder of this hub."""

    name: str
    title: str
    description: str
    versions: tuple[str, ...]
    agents: tuple[str, ...]
    """Those connected that offer it, by name, at most 100."""
    agent_count: int
    is_in_folder: bool
    """This hub reads its documents itself, and judges the settings of its runs."""
    trouble: str | None
    """Why the folder of that name cannot be used."""
    has_schema: bool


class PluginFormView(PluginView, frozen=True, kw_only=True):
    settings_schema: OptionalRaw
    """JSON Schema 2020-12 of its settings; its `default` are those that may be left out. Null: nobody has
    said what they are.
    """


class PluginList(Struct, frozen=True, kw_only=True):
    plugins: tuple[PluginView, ...]
    count: int


class Offering(Struct, kw_only=True):
    """Who offers one plugin, as it is put together."""

    agents: list[str] = []
    versions: set[str] = set()


def offerings_of(seats: Sequence[SeatView]) -> dict[str, Offering]:
    """By plugin; only agents that are connected count."""
    found: dict[str, Offering] = {}
    for seat in seats:
        for name in seat.plugins if seat.is_connected else ():
            offering = found.setdefault(name, Offering())
            offering.agents.append(seat.agent_id)
            if version := seat.plugin_versions.get(name):
                offering.versions.add(version)
    return found


def view_plugin(
    name: str, found: Found, troubles: Mapping[str, str], offering: Offering | None, told: FormsTold
) -> PluginFormView:
    """What this hub reads itself counts more than what an agent has told."""
    plugin = found.plugins.get(name)
    form = told.named(name) if plugin is None else form_in(plugin)
    offered = offering or Offering()
    versions = offered.versions | ({plugin.manifest.version} if plugin else set())
    return PluginFormView(
        name=name,
        title=form.title if form else "",
        description=form.description if form else "",
        versions=tuple(sorted(versions)),
        agents=tuple(sorted(offered.agents)[:AGENTS_SHOWN_MAX]),
        agent_count=len(offered.agents),
        is_in_folder=plugin is not None,
        trouble=troubles.get(name),
        has_schema=form is not None,
        settings_schema=form.schema if form else NOTHING,
    )


def form_in(plugin: Plugin) -> Form:
    form = form_of(plugin)
    return Form(
        schema=Raw(msgspec.json.encode(form)),
        title=words_of(form.get("title")),
        description=words_of(form.get("description")),
    )


def without_schema(view: PluginFormView) -> PluginView:
    """As it stands in a list: a schema is for whoever fills in the form."""
    return PluginView(**{name: getattr(view, name) for name in PluginView.__struct_fields__})
