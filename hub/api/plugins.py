"""Plugins over HTTP: which there are, who offers them, and the schema of one plugin's settings.

Owns how folders and agents are put together. Never starts anything: runs do, in `runs.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hub.api.endpoint import Call, Endpoint, Told
from hub.api.problems import Problem
from hub.api.views_plugins import (
    Offering,
    PluginFormView,
    PluginList,
    offerings_of,
    view_plugin,
    without_schema,
)
from hub.auth import Scope
from hub.runs.plugins import Unfit, known_or_unfit
from plugins.contract import Found
from protocol.limits import NAME_LENGTH_MAX

PLUGINS_MAX: Final = 1_000
"""Of one list. A fleet with more is one of strangers' making, and each has its own address all the same."""


def troubles_of(found: Found) -> dict[str, str]:
    """By the name of the folder. A hub that lacks the reader of plugins' files has no trouble with them."""
    said = {Path(one.folder).name: known_or_unfit(one) for one in found.troubles}
    return {name: unfit.sentence for name, unfit in said.items() if isinstance(unfit, Unfit)}


async def seen(call: Call) -> tuple[Found, dict[str, str], dict[str, Offering]]:
    found = await call.parts.plugins.all()
    seats = call.parts.board.view_agents(call.parts.clock.now())
    return found, troubles_of(found), offerings_of(seats)


async def list_plugins(call: Call) -> Told:
    """Those in the hub's folders and those that connected agents offer, by name."""
    found, troubles, offered = await seen(call)
    names = sorted({*found.plugins, *troubles, *offered})[:PLUGINS_MAX]
    told = call.parts.registry.forms
    views = tuple(
        without_schema(view_plugin(name, found, troubles, offered.get(name), told)) for name in names
    )
    return Told(200, PluginList(plugins=views, count=len(views)))


async def get_plugin(call: Call) -> Told:
    """One of them, with the schema of its settings."""
    name = call.path("name")
    found, troubles, offered = await seen(call)
    if name not in found.plugins and name not in troubles and name not in offered:
        raise Problem(
            404,
            "plugin_not_found",
            "No plugin folder of this hub has it, and no connected agent offers it."
            " GET /api/plugins lists them.",
            members={"plugin": name[:NAME_LENGTH_MAX]},
        )
    told = call.parts.registry.forms
    return Told(200, view_plugin(name, found, troubles, offered.get(name), told))


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/plugins",
        "List plugins and who offers them",
        list_plugins,
        Scope.TASKS_READ,
        reply=PluginList,
        tag="runs",
    ),
    Endpoint(
        "GET",
        "/api/plugins/{name}",
        "Get a plugin, with the schema of its settings",
        get_plugin,
        Scope.TASKS_READ,
        reply=PluginFormView,
        refusals=(404,),
        tag="runs",
    ),
)
