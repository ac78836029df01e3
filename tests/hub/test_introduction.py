"""What the board is told of an identify: every member, once."""

from __future__ import annotations

from hub.core.events import AgentIdentified, Sender
from hub.introduction import introduced
from protocol.frames import Holding, Identify, Resting
from protocol.ids import AgentId, Generation, InstanceId, Seq, TaskId

SAID = Identify(
    agent_id=AgentId("ada"),
    name="Ada",
    status="fine",
    capabilities=("research",),
    protocol_version=2,
    client_type="crewhub-sidecar",
    instance_id=InstanceId("instance-1"),
    boot_id="boot-1",
    connection=3,
    seq_next=Seq(7),
    hub_epoch="epoch-1",
    slots=2,
    slot_kinds={"gpu": 1},
    resting=Resting(reason="quiet_hours", until=1_800_000_000_000),
    labels={"site": "north"},
    plugins=("digest",),
    plugin_versions={"digest": "1.2.0"},
    sdk="crewhub/0.5",
    features=("arrays",),
    holding=(Holding(task_id=TaskId("task-0000000000000001"), generation=Generation(1), state="running"),),
)

NOT_FOR_THE_BOARD = {"agent_id", "token", "protocol_version", "instance_id", "slots", "plugin_schemas"}
"""Those that `Sender` has, the secret, the seats, which the link counts, and what forms are made of, which is
no affair of whoever hands out work."""


def heard(version: int) -> AgentIdentified:
    sender = Sender(5, SAID.agent_id, InstanceId("instance-1"), version)
    return introduced(SAID, sender, slots=2)


def test_every_member_of_an_identify_reaches_the_board() -> None:
    """L56: a member that is added to the frame and forgotten here fails this test."""
    event = heard(2)
    for name in Identify.__struct_fields__:
        if name not in NOT_FOR_THE_BOARD:
            assert getattr(event, name) == getattr(SAID, name), name
    assert (event.slots, event.sender.agent_id) == (2, "ada")


def test_a_v1_client_has_neither_kinds_of_slots_nor_rest_nor_a_list_of_what_it_holds() -> None:
    event = heard(1)
    assert (event.slot_kinds, event.resting, event.holding) == ({}, None, None)


def test_sessions_and_epochs_are_drawn_anew_each_time() -> None:
    drawn = [word for event in (heard(2), heard(2)) for word in (event.session_id, event.epoch_if_renewed)]
    assert len(set(drawn)) == 4
