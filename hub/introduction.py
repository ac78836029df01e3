"""What an identify is to the board: the frame's members, and what the hub draws for it.

Owns the copy, member by member. Never judges: the link has checked the token, the board decides the rest.
"""

from __future__ import annotations

import secrets
from typing import Final

from hub.core.events import AgentIdentified, Sender
from protocol.frames import Identify

ID_BYTES: Final = 8
"""Of a session and of an epoch: nobody meets the same one twice."""


def introduced(frame: Identify, sender: Sender, *, slots: int) -> AgentIdentified:
    """An authenticated identify. Of a v1 client nothing is taken that only v2 knows to mean."""
    is_v1 = sender.version < 2
    return AgentIdentified(
        sender=sender,
        name=frame.name or frame.agent_id,
        status=frame.status,
        capabilities=frame.capabilities,
        labels=frame.labels,
        plugins=frame.plugins,
        plugin_versions=frame.plugin_versions,
        features=frame.features,
        client_type=frame.client_type,
        sdk=frame.sdk,
        slots=slots,
        slot_kinds={} if is_v1 else frame.slot_kinds,
        resting=None if is_v1 else frame.resting,
        boot_id=frame.boot_id or "",
        connection=frame.connection,
        seq_next=frame.seq_next,
        hub_epoch=frame.hub_epoch,
        holding=None if is_v1 else frame.holding,
        session_id=secrets.token_hex(ID_BYTES),
        epoch_if_renewed=secrets.token_hex(ID_BYTES),
    )
