"""What the dialogues of these tests have in common: who is there, and what a stranger says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.codec import SUBPROTOCOLS
from protocol.conversation import AgentConversation, HubConversation, Phase
from protocol.errors import RemoteProtocolError
from protocol.frames import Identified, Identify, TaskAccepted
from protocol.ids import AgentId, Generation, InstanceId, Seq, TaskId

ADA = AgentId("ada")
TASK = TaskId("task-0123456789abcdef")
IDENTIFY = Identify(agent_id=ADA, protocol_version=2, instance_id=InstanceId("ada-journal"))
IDENTIFIED = Identified(agent_id=ADA, protocol_version=2, seq_received=Seq(0))
EVERY_SUBPROTOCOL = [None, *SUBPROTOCOLS]
VERSIONS = [1, 2]


def accepted(seq: int | None, generation: int | None = 1) -> TaskAccepted:
    return TaskAccepted(
        task_id=TASK,
        seq=None if seq is None else Seq(seq),
        generation=None if generation is None else Generation(generation),
    )


def told(hub: HubConversation, *said: Any) -> list[Any]:
    """What a hub hears when a stranger sends this JSON; several go as an array."""
    return list(hub.receive(json.dumps(said[0] if len(said) == 1 else said)))


def ending(hub: HubConversation, *said: Any) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as error:
        told(hub, *said)
    assert hub.phase is Phase.OVER
    return error.value


def hub_says(agent: AgentConversation, *said: Any) -> list[Any]:
    """What an agent hears when a strange hub sends this JSON; several go as an array."""
    return list(agent.receive(json.dumps(said[0] if len(said) == 1 else said)))
