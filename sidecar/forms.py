"""What settings this sidecar's plugins take, as its card tells the hub, for the forms that people fill in.

Owns how much of it is told: nothing that a hub would refuse may stand on a card, because it would refuse the
whole card. What is left out costs a form, and no work.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import msgspec

from plugins.contract import Plugin
from plugins.forms import form_of
from protocol import limits
from protocol.rawjson import Flaw, judge

FORM_BYTES_MAX: Final = 16 * limits.KIB
"""One plugin's schema: a bigger one would crowd out the forms of others, and no person fills it in."""

log = logging.getLogger("sidecar.plugins")


def forms_of(plugins: Mapping[str, Plugin]) -> bytes:
    """{plugin: schema} as JSON text, as many as there is room for, in the order of their names; empty for
    none.
    """
    told: dict[str, msgspec.Raw] = {}
    for name, plugin in plugins.items():
        form = msgspec.Raw(msgspec.json.encode(form_of(plugin)))
        is_small = len(bytes(form)) <= FORM_BYTES_MAX
        if is_small and not isinstance(judged(told | {name: form}), Flaw):
            told[name] = form
        else:
            log.warning("a plugin's settings are too big for a form", extra={"plugin": name})
    return msgspec.json.encode(told) if told else b""


def judged(told: Mapping[str, msgspec.Raw]) -> msgspec.Raw | Flaw:
    """As the hub will."""
    return judge(msgspec.json.encode(told), bytes_max=limits.PLUGIN_SCHEMAS_BYTES_MAX)
