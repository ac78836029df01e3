"""Old clients and new hubs, new clients and other hubs: what each may be told, and what each makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw, structs

from protocol.badframe import BadFrame
from protocol.close import CloseCode
from protocol.conversation import AgentConversation, Announcement, Phase
from protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    AGENT_FRAMES,
    HUB_FRAMES,
    ErrorFrame,
    Fact,
    Identified,
    Identify,
    Ping,
    Pong,
    TaskAck,
    TaskComplete,
    WakeResult,
)
from protocol.ids import Generation, Seq
from protocol.limits import (
    IDENTIFY_TRUSTED_BYTES_MAX,
)
from protocol.versions import V1_ACK_STATUSES, V1_AGENT_FRAMES, V1_HUB_FRAMES, V2_MEMBERS
from tests.doubles import Pair
from tests.protocol.dialogue import (
    ADA,
    IDENTIFIED,
    IDENTIFY,
    TASK,
    accepted,
    hub_says,
    told,
)
from tests.protocol.samples import full

# --- what an agent hears ---


@pytest.mark.parametrize(
    "said",
    [
        {"type": "identified", "agent_id": "ada"},
        {"type": "identified", "agent_id": "ada", "protocol_version": 2},
        {"type": "identified", "agent_id": "ada", "protocol_version": 1, "seq_received": 0},
        {
            "type": "identified",
            "agent_id": "ada",
            "protocol_version": 2,
            "seq_received": 0,
            "frame_bytes_max": 9,
        },
        {"type": "task_assign", "task_id": TASK},
    ],
)
def test_a_hub_that_does_not_agree_is_left(said: Any) -> None:
    agent = AgentConversation()
    agent.say(IDENTIFY)
    with pytest.raises(RemoteProtocolError) as error:
        hub_says(agent, said)
    assert (agent.phase, error.value.close) == (Phase.OVER, CloseCode.BAD_FRAME)


def test_identified_comes_once_and_in_its_turn() -> None:
    said = {"type": "identified", "agent_id": "ada", "protocol_version": 2, "seq_received": 0}
    for agent in (AgentConversation(), Pair().introduce().agent):
        with pytest.raises(RemoteProtocolError, match="out of turn"):
            hub_says(agent, said)


def test_an_agent_hears_errors_at_any_time() -> None:
    agent = AgentConversation()
    said = {"type": "error", "error": "rate_limited", "retry_after_ms": 5}
    assert hub_says(agent, said) == [ErrorFrame(error="rate_limited", retry_after_ms=5)]
    agent.say(IDENTIFY)
    assert hub_says(agent, said) == [ErrorFrame(error="rate_limited", retry_after_ms=5)]


def test_an_agent_survives_frames_of_a_newer_hub() -> None:
    agent = Pair().introduce().agent
    bad, pong = hub_says(agent, {"type": "horoscope"}, {"type": "pong", "timestamp": 1})
    assert isinstance(bad, BadFrame)
    assert (bad.code, pong) == (ErrorCode.UNKNOWN_MESSAGE_TYPE, Pong(timestamp=1))


def test_an_agent_keeps_to_the_hubs_frame_limit() -> None:
    pair = Pair()
    pair.tell_hub(IDENTIFY)
    pair.tell_agent(structs.replace(IDENTIFIED, frame_bytes_max=IDENTIFY_TRUSTED_BYTES_MAX))
    big = TaskComplete(
        task_id=TASK,
        generation=Generation(1),
        seq=Seq(1),
        result=Raw(b'"' + b"x" * IDENTIFY_TRUSTED_BYTES_MAX + b'"'),
    )
    with pytest.raises(LocalProtocolError, match="above the limit"):
        pair.agent.say(big)
    assert pair.agent.seq == 0, "what was not said has no number"


# --- v1 peers ---


def test_a_v1_client_is_told_only_what_it_knows() -> None:
    hub = Pair().introduce(1).hub
    for kind in HUB_FRAMES:
        frame: Any = full(kind)
        if kind is TaskAck:
            frame = structs.replace(frame, status="accepted")
        if kind is Identified or kind not in V1_HUB_FRAMES:
            with pytest.raises(LocalProtocolError):
                hub.say(frame)
        else:
            (message,) = hub.say(frame)
            assert not set(V2_MEMBERS.get(kind, ())) & set(json.loads(message))


def test_a_v1_client_sees_exactly_the_v1_replies() -> None:
    pair = Pair()
    pair.tell_hub(Identify(agent_id=ADA))
    assert pair.hub.say(IDENTIFIED) == ['{"type":"identified","agent_id":"ada"}']
    ack = TaskAck(task_id=TASK, generation=Generation(1), seq=Seq(1), status="retried")
    assert json.loads(pair.hub.say(ack)[0]) == {"type": "task_ack", "task_id": TASK, "status": "retried"}
    assert json.loads(pair.hub.say(Announcement(ack))[0]) == {
        "type": "task_ack",
        "task_id": TASK,
        "status": "retried",
    }
    for status in ("stale", "refused", "duplicate", "rejected", "stopped", "kept", "asked", "answered"):
        assert status not in V1_ACK_STATUSES
        with pytest.raises(LocalProtocolError, match=status):
            pair.hub.say(structs.replace(ack, status=status))


def test_a_v1_client_gets_one_frame_a_message() -> None:
    pair = Pair().introduce(1)
    assert len(pair.hub.say(Pong(timestamp=1), Pong(timestamp=2))) == 2
    assert len(Pair().introduce(2).hub.say(Pong(timestamp=1), Pong(timestamp=2))) == 1


def test_a_v1_client_may_not_send_arrays() -> None:
    hub = Pair().introduce(1).hub
    (bad,) = told(hub, {"type": "ping"}, {"type": "ping"})
    assert isinstance(bad, BadFrame)
    assert bad.code is ErrorCode.VALIDATION_FAILED
    assert told(hub, {"type": "ping"}) == [Ping()]


def test_numbers_of_v1_clients_are_not_looked_at() -> None:
    hub = Pair().introduce(1).hub
    assert told(hub, {"type": "task_accepted", "task_id": TASK, "seq": 900}) == [accepted(None, None)]
    (bad,) = told(hub, {"type": "task_accepted", "seq": 900})
    assert isinstance(bad, BadFrame)
    assert bad.seq is None


def test_a_v1_client_says_only_what_v1_clients_say() -> None:
    pair = Pair().introduce(1)
    for kind in AGENT_FRAMES:
        frame: Any = full(kind)
        if kind not in V1_AGENT_FRAMES or isinstance(frame, Fact | Identify):
            with pytest.raises(LocalProtocolError):
                pair.agent.say(frame)
        else:
            assert pair.tell_hub(frame) == [frame]
    report = WakeResult(status="success")
    assert pair.tell_hub(accepted(None), report) == [accepted(None), report]


def test_a_v1_client_does_not_know_v2_frames() -> None:
    agent = Pair().introduce(1).agent
    (bad,) = hub_says(agent, {"type": "task_revoke", "task_id": TASK, "generation": 1, "reason": "lease"})
    assert isinstance(bad, BadFrame)
    assert (bad.code, bad.message_type) == (ErrorCode.UNKNOWN_MESSAGE_TYPE, "task_revoke")
