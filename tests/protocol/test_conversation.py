"""Dialogues: what one end says the other hears, in the order and the roles that the wire allows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw, structs

from protocol.badframe import BadFrame
from protocol.close import CloseCode
from protocol.codec import SUBPROTOCOLS
from protocol.conversation import AgentConversation, Announcement, HubConversation, Phase, reply_to_end
from protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    AgentLeft,
    ErrorFrame,
    Frame,
    Heartbeat,
    Identified,
    Identify,
    Ping,
    Pong,
    TaskAccepted,
    TaskAck,
    TaskAssign,
    TaskComplete,
    TaskProgress,
    TaskRevoke,
)
from protocol.ids import AgentId, Generation, Seq, TaskId
from protocol.limits import (
    FRAME_BYTES_MAX,
    FRAMES_PER_MESSAGE_MAX,
    IDENTIFY_BYTES_MAX,
    IDENTIFY_TRUSTED_BYTES_MAX,
)
from tests.doubles import Pair
from tests.protocol.dialogue import (
    ADA,
    EVERY_SUBPROTOCOL,
    IDENTIFIED,
    IDENTIFY,
    TASK,
    VERSIONS,
    accepted,
    ending,
    told,
)

REVOKE = TaskRevoke(task_id=TASK, generation=Generation(1), reason="lease")

# --- the introduction ---


@pytest.mark.parametrize("subprotocol", EVERY_SUBPROTOCOL)
def test_two_ends_meet_and_talk(subprotocol: str | None) -> None:
    pair = Pair(subprotocol)
    assert pair.tell_hub(IDENTIFY) == [IDENTIFY]
    assert (pair.hub.phase, pair.agent.phase) == (Phase.INTRODUCED, Phase.INTRODUCED)
    assert (pair.hub.version, pair.hub.peer) == (2, IDENTIFY)
    assert pair.tell_agent(IDENTIFIED) == [IDENTIFIED]
    assert (pair.hub.phase, pair.agent.phase, pair.agent.hub) == (Phase.OPEN, Phase.OPEN, IDENTIFIED)
    result = TaskComplete(task_id=TASK, generation=Generation(1), seq=Seq(2), result=Raw(b'{"a":[1]}'))
    assert pair.tell_hub(accepted(1), result, Ping()) == [accepted(1), result, Ping()]
    assert pair.to_hub.delivered == 2, "one message for the identify, one for all of a turn"
    acks = [TaskAck(task_id=TASK, generation=Generation(1), seq=Seq(n), status="accepted") for n in (1, 2)]
    assert pair.tell_agent(*acks, Pong(timestamp=1)) == [*acks, Pong(timestamp=1)]
    assert pair.is_quiet


def test_a_v1_client_is_one_that_names_no_version_or_an_old_one() -> None:
    for version, spoken in ((None, 1), (0, 1), (1, 1), (2, 2), (3, 2), (99, 2)):
        hub = HubConversation()
        told(hub, {"type": "identify", "agent_id": "ada", "protocol_version": version})
        assert hub.version == spoken


@pytest.mark.parametrize(
    "said",
    [
        {"type": "ping"},
        {"type": "task_complete", "task_id": TASK},
        {"type": "telepathy"},
        {"type": "task_complete"},
        [{"type": "identify", "agent_id": "ada"}],
        {},
        [],
        7,
    ],
)
def test_nothing_but_one_identify_comes_first(said: Any) -> None:
    error = ending(HubConversation(), said)
    assert (error.code, error.close) == (ErrorCode.NOT_IDENTIFIED, CloseCode.BAD_FRAME)


def test_a_first_message_that_cannot_be_read_says_what_is_wrong() -> None:
    hub = HubConversation()
    with pytest.raises(RemoteProtocolError) as error:
        hub.receive("{")
    assert (error.value.code, error.value.close) == (ErrorCode.INVALID_JSON, CloseCode.BAD_FRAME)
    bad = ending(HubConversation(), {"type": "identify", "agent_id": "broadcast"})
    answer = reply_to_end(bad)
    assert (bad.code, bad.close) == (ErrorCode.VALIDATION_FAILED, CloseCode.BAD_FRAME)
    assert answer.errors is not None
    assert (answer.error, answer.message_type, answer.errors[0].field) == (
        "validation_failed",
        "identify",
        "agent_id",
    )


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_a_v2_subprotocol_needs_version_two(subprotocol: str) -> None:
    agent = AgentConversation()
    hub = HubConversation(subprotocol)
    if not hub.wire.text:
        with pytest.raises(RemoteProtocolError) as error:
            hub.receive(hub.wire.value.encode({"type": "identify", "agent_id": "ada"}))
    else:
        (message,) = agent.say(Identify(agent_id=ADA))
        with pytest.raises(RemoteProtocolError) as error:
            hub.receive(message)
    assert (error.value.code, error.value.close) == (ErrorCode.VALIDATION_FAILED, CloseCode.BAD_FRAME)
    with pytest.raises(LocalProtocolError, match="subprotocol"):
        AgentConversation(subprotocol).say(Identify(agent_id=ADA))


def test_a_second_identify_is_refused_and_the_socket_stays() -> None:
    """L12: identifying twice on one socket gave double delivery, or a ghost."""
    for version in VERSIONS:
        hub = Pair().introduce(version).hub
        (bad,) = told(hub, {"type": "identify", "agent_id": "eve"})
        assert isinstance(bad, BadFrame)
        assert (bad.code, bad.message_type) == (ErrorCode.INVALID_STATE, "identify")
        assert told(hub, {"type": "ping"}) == [Ping()]
        assert hub.peer is not None
        assert hub.peer.agent_id == "ada"


def test_a_stranger_may_say_little_and_a_known_one_more() -> None:
    """L38, and the size half of it: who has shown no token costs us 4 KiB and no more."""
    for is_trusted, bytes_max in ((False, IDENTIFY_BYTES_MAX), (True, IDENTIFY_TRUSTED_BYTES_MAX)):
        frame = '{"type":"identify","agent_id":"ada","unknown":""}'
        fits = frame.replace('""', '"' + "x" * (bytes_max - len(frame)) + '"')
        assert len(HubConversation(is_trusted=is_trusted).receive(fits)) == 1
        hub = HubConversation(is_trusted=is_trusted)
        with pytest.raises(RemoteProtocolError) as error:
            hub.receive(fits + " ")
        assert (error.value.code, error.value.close) == (
            ErrorCode.FRAME_TOO_BIG,
            CloseCode.TOO_SLOW_OR_TOO_BIG,
        )


def test_an_agent_keeps_to_the_size_of_its_first_frame() -> None:
    labels = {f"label-{n}": "x" * 200 for n in range(100)}
    known = structs.replace(IDENTIFY, labels=labels)
    AgentConversation().say(known)
    agent = AgentConversation()
    with pytest.raises(LocalProtocolError, match="above 4096"):
        agent.say(structs.replace(known, token="secret"))
    assert (agent.phase, agent.version) == (Phase.NEW, 1)


# --- before `identified` ---


def test_an_agent_waits_for_identified() -> None:
    for version in VERSIONS:
        agent = AgentConversation()
        with pytest.raises(LocalProtocolError, match="nothing has been said"):
            agent.say(Ping())
        agent.say(structs.replace(IDENTIFY, protocol_version=version))
        for frame in (Ping(), accepted(1), IDENTIFY):
            with pytest.raises(LocalProtocolError, match="not yet agreed"):
                agent.say(frame)


def test_a_hub_hears_small_talk_but_no_v2_fact_before_identified() -> None:
    hub = HubConversation()
    told(hub, {"type": "identify", "agent_id": "ada", "protocol_version": 2})
    assert told(hub, {"type": "ping"}) == [Ping()]
    assert hub.say(Pong(timestamp=1)) == ['{"type":"pong","timestamp":1}']
    error = ending(hub, {"type": "task_accepted", "task_id": TASK, "seq": 1, "generation": 1})
    assert (error.code, error.close) == (ErrorCode.INVALID_STATE, CloseCode.BAD_FRAME)


def test_a_v1_client_may_report_before_it_has_read_identified() -> None:
    hub = HubConversation()
    told(hub, {"type": "identify", "agent_id": "ada"})
    assert told(hub, {"type": "task_accepted", "task_id": "task-s1"}) == [
        TaskAccepted(task_id=TaskId("task-s1"))
    ]


def test_a_hub_says_nothing_but_errors_before_an_identify() -> None:
    hub = HubConversation()
    for frame in (IDENTIFIED, Pong(timestamp=1), TaskAssign(task_id=TASK)):
        with pytest.raises(LocalProtocolError, match="nothing has been said"):
            hub.say(frame)
    assert hub.say(ErrorFrame(error="rate_limited")) == ['{"type":"error","error":"rate_limited"}']


def test_a_hub_assigns_nothing_before_identified() -> None:
    pair = Pair()
    pair.tell_hub(IDENTIFY)
    with pytest.raises(LocalProtocolError, match="not yet agreed"):
        pair.hub.say(TaskAssign(task_id=TASK))
    pair.tell_agent(IDENTIFIED)
    with pytest.raises(LocalProtocolError):
        pair.hub.say(IDENTIFIED)


def test_identified_and_what_follows_are_messages_of_their_own() -> None:
    """A client may look at `identified` before it knows that arrays exist."""
    pair = Pair()
    pair.tell_hub(IDENTIFY)
    messages = pair.hub.say(IDENTIFIED, TaskAssign(task_id=TASK), Pong(timestamp=1))
    assert [json.loads(message)["type"] for message in messages] == ["identified", "task_assign", "pong"]


def test_a_v2_peer_is_told_its_version_and_its_mark() -> None:
    for frame in (
        Identified(agent_id=ADA),
        Identified(agent_id=ADA, protocol_version=2),
        Identified(agent_id=ADA, seq_received=Seq(0)),
    ):
        pair = Pair()
        pair.tell_hub(IDENTIFY)
        with pytest.raises(LocalProtocolError, match="its mark"):
            pair.hub.say(frame)
        assert pair.hub.phase is Phase.INTRODUCED


# --- facts ---


@pytest.mark.parametrize("subprotocol", EVERY_SUBPROTOCOL)
def test_facts_follow_the_mark(subprotocol: str | None) -> None:
    pair = Pair(subprotocol).introduce(mark=7)
    assert (pair.hub.seq, pair.agent.seq) == (7, 7)
    for seq in (6, 7, 9, None):
        with pytest.raises(LocalProtocolError, match="fact 8"):
            pair.agent.say(accepted(seq))
    with pytest.raises(LocalProtocolError):
        pair.agent.say(accepted(8, None))
    with pytest.raises(LocalProtocolError):
        pair.agent.say(accepted(8), accepted(9), accepted(11))
    assert pair.tell_hub(accepted(8), accepted(9)) == [accepted(8), accepted(9)]
    assert (pair.hub.seq, pair.agent.seq) == (9, 9)


def test_a_missing_fact_ends_the_connection() -> None:
    hub = Pair().introduce(mark=7).hub
    error = ending(hub, {"type": "task_accepted", "task_id": TASK, "seq": 9, "generation": 1})
    assert (error.code, error.close) == (ErrorCode.VALIDATION_FAILED, CloseCode.BAD_FRAME)
    assert told(hub, {"type": "ping"}) == [], "nothing is heard after the end"
    assert hub.say(reply_to_end(error)) == ['{"type":"error","error":"validation_failed"}']
    with pytest.raises(LocalProtocolError, match="close"):
        hub.say(Pong(timestamp=1))


def test_a_repeated_fact_is_passed_on_for_its_receipt() -> None:
    hub = Pair().introduce(mark=7).hub
    said = {"type": "task_accepted", "task_id": TASK, "generation": 1}
    assert told(hub, {**said, "seq": 3}) == [accepted(3)]
    assert told(hub, {**said, "seq": 8}, {**said, "seq": 8}) == [accepted(8), accepted(8)]
    assert hub.seq == 8


def test_a_bad_fact_leaves_no_gap() -> None:
    """The hub receipts it `refused`; the next one is heard."""
    hub = Pair().introduce().hub
    good = {"type": "task_accepted", "task_id": TASK, "generation": 1}
    items = told(hub, {**good, "seq": 1}, {**good, "seq": 2, "generation": "x"}, {**good, "seq": 3})
    assert [item.seq for item in items] == [1, 2, 3]
    assert isinstance(items[1], BadFrame)
    assert items[1].index == 1
    assert hub.seq == 3


def test_a_v2_fact_has_a_number_and_a_generation() -> None:
    hub = Pair().introduce().hub
    items = told(
        hub, {"type": "task_accepted", "task_id": TASK, "seq": 1}, {"type": "task_accepted", "task_id": TASK}
    )
    assert [(item.index, item.seq, item.errors[0].field) for item in items] == [
        (0, 1, "generation"),
        (1, None, "seq"),
    ]
    assert hub.seq == 1
    (lone,) = told(hub, {"type": "task_accepted", "task_id": TASK, "generation": 4})
    (first,) = hub.receive('[{"type":"task_accepted","task_id":"t"}]')
    assert isinstance(first, BadFrame)
    assert first.index == 0, "an array of one is an array"
    assert (lone.index, lone.code, lone.task_id, lone.generation) == (
        None,
        ErrorCode.VALIDATION_FAILED,
        TASK,
        4,
    )


# --- data of the wrong kind ---


def test_binary_comes_only_on_messagepack_and_text_only_on_json() -> None:
    """L50: a binary frame crashed the connection."""
    for subprotocol, message in ((None, b"{}"), ("hub.v2.json", b"{}"), ("hub.v2.msgpack", "{}")):
        for end in (HubConversation(subprotocol), AgentConversation(subprotocol)):
            with pytest.raises(RemoteProtocolError) as error:
                end.receive(message)
            assert (error.value.close, end.phase) == (CloseCode.UNSUPPORTED_DATA, Phase.OVER)


def test_a_malformed_message_from_a_known_peer_leaves_the_socket() -> None:
    hub = Pair().introduce().hub
    (bad,) = hub.receive("{")
    assert isinstance(bad, BadFrame)
    assert bad.code is ErrorCode.INVALID_JSON
    assert told(hub, {"type": "ping"}) == [Ping()]


def test_a_message_that_is_too_big_closes_the_socket() -> None:
    hub = Pair().introduce().hub
    with pytest.raises(RemoteProtocolError) as error:
        hub.receive(" " * (FRAME_BYTES_MAX + 1))
    assert (error.value.code, error.value.close) == (ErrorCode.FRAME_TOO_BIG, CloseCode.TOO_SLOW_OR_TOO_BIG)


# --- saying much ---


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_a_turn_of_many_facts_is_heard_whole(subprotocol: str) -> None:
    pair = Pair(subprotocol).introduce()
    facts = [accepted(n + 1) for n in range(2 * FRAMES_PER_MESSAGE_MAX + 5)]
    assert pair.tell_hub(*facts) == facts
    assert pair.to_hub.delivered == 1 + 3


@pytest.mark.parametrize("subprotocol", EVERY_SUBPROTOCOL)
def test_an_announcement_is_heard_like_its_frame(subprotocol: str | None) -> None:
    announcement: Announcement[Any] = Announcement(AgentLeft(agent_id=AgentId("bob")))
    pairs = [Pair(subprotocol).introduce() for _ in range(2)] + [Pair().introduce(1)]
    for pair in pairs:
        pair.hub_says(announcement)
        assert pair.to_agent.deliver_all() == [announcement.frame]


def test_roles_do_not_mix() -> None:
    """The types forbid it too; a stranger has no types."""
    frames: list[Frame] = [Heartbeat(as_of_seq=Seq(0)), TaskProgress(task_id=TASK)]
    agent = Pair().introduce().agent
    for frame in frames:
        (message,) = Pair().introduce().agent.say(frame)  # type: ignore[arg-type]  # a list of both roles
        (bad,) = agent.receive(message)
        assert isinstance(bad, BadFrame)
        assert bad.code is ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert REVOKE in Pair().introduce().tell_agent(REVOKE)
