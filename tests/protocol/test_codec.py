"""Messages become frames or complaints, member by member; frames become as few messages as may be."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from protocol.badframe import BadFrame
from protocol.close import CloseCode
from protocol.codec import SUBPROTOCOLS, Announcement, Wire, encode_frame, pack
from protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    AgentLeft,
    Frame,
    Ping,
    TaskAccepted,
    TaskComplete,
    TaskProgress,
)
from protocol.ids import AgentId, TaskId
from protocol.limits import (
    FRAME_BYTES_MAX,
    FRAMES_PER_MESSAGE_MAX,
    PROGRESS_BYTES_MAX,
    RESULT_BYTES_MAX,
)
from tests.protocol.hearing import TASK, agents, hear, message_of, refused

# --- what is no frame ---


@pytest.mark.parametrize(
    "message",
    ["", "x", "{", '{"type":"ping"', '{"type":"ping"} x', "\0", "NaN", '{"type":"ping","n":NaN}', "'ping'"],
)
def test_text_that_is_not_json_is_invalid_json(message: str) -> None:
    assert refused(message) == ("invalid_json", "", "malformed")


@pytest.mark.parametrize(
    "message", [b"", b"\xc1", b"\x81", b"\x81\xa4type\xa4ping!", b"\xdb\xff\xff\xff\xffa"]
)
def test_bytes_that_are_not_messagepack_are_invalid_json(message: bytes) -> None:
    assert refused(message, Wire.MSGPACK) == ("invalid_json", "", "malformed")


@pytest.mark.parametrize("message", ["[", '[{"type":"ping"}', '[{"type":"ping"},]', "[1 2]"])
def test_a_broken_array_is_one_fault(message: str) -> None:
    assert refused(message) == ("invalid_json", "", "malformed")


@pytest.mark.parametrize(
    "message", [b"\xff", b'{"type":"ping","x":"\xff"}', b'{"type":"ping","x":"\xed\xa0\x80"}']
)
def test_bytes_that_are_not_utf8_are_invalid_json(message: bytes) -> None:
    assert refused(message) == ("invalid_json", "", "invalid_utf8")


def test_half_a_surrogate_pair_is_invalid_json() -> None:
    assert refused('{"type":"ping","x":"\ud800"}')[0] == "invalid_json"
    assert refused(r'{"type":"ping","x":"\ud800 and on"}')[0] == "invalid_json"


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize("said", [1, "ping", None, True, 1.5])
def test_what_is_not_an_object_is_no_frame(said: Any, wire: Wire) -> None:
    """L50: `[1]` or a bare word crashed a connection."""
    assert refused(message_of(said, wire), wire) == ("validation_failed", "", "wrong_type")
    assert refused([said], wire) == ("validation_failed", "", "wrong_type")


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize("said", [{}, {"type": None}, {"type": 1}, {"type": ["ping"]}, {"seq": 1}])
def test_a_frame_has_a_type(said: Any, wire: Wire) -> None:
    assert refused(said, wire) == ("validation_failed", "type", "missing")


@pytest.mark.parametrize("wire", Wire)
def test_an_unknown_type_is_named_in_the_answer(wire: Wire) -> None:
    bad = hear({"type": "telepathy", "task_id": TASK, "seq": 4, "generation": 2}, wire)
    assert isinstance(bad, BadFrame)
    assert (bad.code, bad.message_type) == (ErrorCode.UNKNOWN_MESSAGE_TYPE, "telepathy")
    assert (bad.task_id, bad.seq, bad.generation) == (TASK, 4, 2), "perhaps a fact of a newer release"


@pytest.mark.parametrize("name", ["x" * 129, "\x1b[2J", "a\nb", "\u202eabc"])
def test_a_type_that_is_unfit_to_be_said_back_is_left_out(name: str) -> None:
    bad = hear({"type": name})
    assert isinstance(bad, BadFrame)
    assert (bad.code, bad.message_type) == (ErrorCode.UNKNOWN_MESSAGE_TYPE, None)


def test_what_the_hub_says_is_unknown_from_an_agent() -> None:
    assert refused({"type": "task_assign", "task_id": TASK})[0] == "unknown_message_type"


# --- free-form members ---


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[" * 65 + "]" * 65, "too_deep"),
        ("[" + "1," * 10_000 + "1]", "too_many_members"),
        (r'["\u0000"]', "nul"),
    ],
)
def test_free_form_json_has_bounds(text: str, word: str, wire: Wire) -> None:
    frame = TaskComplete(task_id=TaskId(TASK), result=Raw(text.encode()))
    (message,) = pack([encode_frame(frame, wire)], wire, arrays=False)
    code, _, what = refused(message, wire)
    assert (code, what) == ("validation_failed", word)


def test_json_text_in_messagepack_is_checked_as_json() -> None:
    for text in ("{", "NaN", "", r'"\ud800"', "1 2"):
        said = {"type": "task_complete", "task_id": TASK, "result": text}
        assert refused(said, Wire.MSGPACK) == ("validation_failed", "result", "malformed")


@pytest.mark.parametrize("value", [5, {"a": 1}, [1], b"{}", True])
def test_a_free_form_member_is_a_string_in_messagepack(value: Any) -> None:
    """Raw JSON between MessagePack bytes would be read as something else."""
    said = {"type": "task_complete", "task_id": TASK, "result": value}
    assert refused(said, Wire.MSGPACK) == ("validation_failed", "result", "wrong_type")
    broken = b"\x83\xa4type\xadtask_complete\xa7task_id\xa1t\xa6result\xa1\xff"
    assert refused(broken, Wire.MSGPACK) == ("validation_failed", "result", "wrong_type")


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize("text", ["1", "[]", '"words"', "true"])
def test_a_payload_is_an_object(text: str, wire: Wire) -> None:
    payload: Any = text if wire is Wire.MSGPACK else json.loads(text)
    assert refused({"type": "message", "payload": payload}, wire) == (
        "validation_failed",
        "payload",
        "wrong_type",
    )


@pytest.mark.parametrize("wire", Wire)
def test_a_null_where_an_object_may_be_is_nothing(wire: Wire) -> None:
    frame = hear({"type": "task_progress", "task_id": TASK, "execution_event": None}, wire)
    assert frame == TaskProgress(task_id=TaskId(TASK))
    if wire is Wire.MSGPACK:
        assert hear({"type": "task_progress", "task_id": TASK, "execution_event": "null"}, wire) == frame


# --- U+0000 ---


def test_a_nul_anywhere_is_refused() -> None:
    for said in (
        r'{"type":"status","status":"a\u0000"}',
        r'{"type":"ping","unknown":"\u0000"}',
        r'{"type":"ping","\u0000":1}',
        r'{"type":"message","payload":{"a":"\u0000"}}',
    ):
        assert refused(said) == ("validation_failed", "", "nul")
    assert isinstance(hear(r'{"type":"status","status":"\\u0000 is no NUL"}'), Frame)


def test_a_nul_in_messagepack_is_refused_and_a_zero_byte_is_not() -> None:
    assert refused({"type": "status", "status": "a\0"}, Wire.MSGPACK) == ("validation_failed", "", "nul")
    said = {"type": "task_complete", "task_id": TASK, "tokens_used": 256, "generation": 65536}
    assert b"\0" in message_of(said, Wire.MSGPACK)
    assert isinstance(hear(said, Wire.MSGPACK), TaskComplete)


def test_a_bad_member_leaves_the_others_alone() -> None:
    said = r'[{"type":"ping"},{"type":"status","status":"\u0000"},7,{"type":"ping"}]'
    items = agents().decode(said, arrays=True)
    assert [type(item) for item in items] == [Ping, BadFrame, BadFrame, Ping]
    assert [item.index for item in items if isinstance(item, BadFrame)] == [1, 2]


# --- sizes ---


def test_a_message_that_is_too_big_ends_the_conversation() -> None:
    for message in ("x" * (FRAME_BYTES_MAX + 1), "ü" * (FRAME_BYTES_MAX - 1), b"x" * (FRAME_BYTES_MAX + 1)):
        with pytest.raises(RemoteProtocolError) as error:
            agents().decode(message, arrays=True)
        assert (error.value.code, error.value.close) == (
            ErrorCode.FRAME_TOO_BIG,
            CloseCode.TOO_SLOW_OR_TOO_BIG,
        )


@pytest.mark.parametrize("wire", Wire)
def test_a_result_has_a_bound_of_its_own(wire: Wire) -> None:
    """L60: that task fails alone, and the socket stays."""
    for size, is_heard in ((RESULT_BYTES_MAX, True), (RESULT_BYTES_MAX + 1, False)):
        frame = TaskComplete(task_id=TaskId(TASK), result=Raw(b'"' + b"x" * (size - 2) + b'"'))
        (message,) = pack([encode_frame(frame, wire)], wire, arrays=False)
        if is_heard:
            assert hear(message, wire) == frame
        else:
            assert refused(message, wire) == ("frame_too_big", "result", "too_big")


@pytest.mark.parametrize("wire", Wire)
def test_small_talk_is_small(wire: Wire) -> None:
    said = {"type": "task_progress", "task_id": TASK, "unknown": "x" * PROGRESS_BYTES_MAX}
    assert refused(said, wire) == ("frame_too_big", "", "too_big")


def test_deep_nesting_outside_of_what_we_read_is_refused_too() -> None:
    deep = "[" * 5_000 + "]" * 5_000
    assert refused('{"type":"ping","unknown":' + deep + "}") == ("validation_failed", "", "too_deep")
    assert refused(deep)[2] in {"too_deep", "malformed", "wrong_type"}
    assert (
        refused(b"\x82\xa4type\xa4ping\xa1x" + b"\x91" * 5_000 + b"\x01", Wire.MSGPACK)[0]
        == "validation_failed"
    )


# --- arrays ---


@pytest.mark.parametrize("wire", Wire)
def test_an_array_of_one_or_none_is_an_array(wire: Wire) -> None:
    assert agents(wire).decode(message_of([], wire), arrays=True) == []
    assert hear([{"type": "ping"}], wire) == Ping()
    bad = hear([{"type": "status"}], wire)
    assert isinstance(bad, BadFrame)
    assert bad.index == 0


@pytest.mark.parametrize("wire", Wire)
def test_arrays_do_not_nest(wire: Wire) -> None:
    items = agents(wire).decode(message_of([{"type": "ping"}, [{"type": "ping"}]], wire), arrays=True)
    assert items[0] == Ping()
    assert isinstance(items[1], BadFrame)
    assert items[1].index == 1


@pytest.mark.parametrize("wire", Wire)
def test_an_array_from_a_v1_client_is_refused(wire: Wire) -> None:
    (bad,) = agents(wire).decode(message_of([{"type": "ping"}], wire), arrays=False)
    assert isinstance(bad, BadFrame)
    assert (bad.code, bad.errors[0].error) == (ErrorCode.VALIDATION_FAILED, "not_allowed")


@pytest.mark.parametrize("padding", [0, 1000])
@pytest.mark.parametrize("wire", Wire)
def test_an_array_has_at_most_256_members(wire: Wire, padding: int) -> None:
    """Small and large arrays are read in two ways, with one result."""
    ping = {"type": "ping", "x": "x" * padding}
    most = message_of([ping] * FRAMES_PER_MESSAGE_MAX, wire)
    assert agents(wire).decode(most, arrays=True) == [Ping()] * FRAMES_PER_MESSAGE_MAX
    more = message_of([ping] * (FRAMES_PER_MESSAGE_MAX + 1), wire)
    (bad,) = agents(wire).decode(more, arrays=True)
    assert isinstance(bad, BadFrame)
    assert (bad.code, bad.index) == (ErrorCode.VALIDATION_FAILED, None)


def test_blanks_before_a_message_do_not_hide_an_array() -> None:
    assert agents().decode(' \n[{"type":"ping"}]', arrays=True) == [Ping()]
    assert agents().decode(' \n{"type":"ping"}', arrays=True) == [Ping()]


def test_a_frame_keeps_its_own_bytes_and_not_the_message() -> None:
    said = [{"type": "ping", "x": "x" * 50_000}, {"type": "message", "payload": {"a": 1}}]
    _, frame = agents().decode(message_of(said, Wire.JSON), arrays=True)
    assert len(memoryview(frame.payload).obj) < 100  # type: ignore[union-attr,arg-type]  # a Message, whose Raw is a view


# --- saying ---


def test_a_v1_peer_is_told_one_frame_a_message() -> None:
    member = encode_frame(Ping(), Wire.JSON)
    assert pack([member] * 3, Wire.JSON, arrays=False) == ['{"type":"ping"}'] * 3
    assert pack([], Wire.JSON, arrays=True) == []


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize("count", [1, 2, 15, 16, 255, 256, 257, 600])
def test_many_frames_become_few_messages(wire: Wire, count: int) -> None:
    member = encode_frame(Ping(), wire)
    messages = pack([member] * count, wire, arrays=True)
    assert len(messages) == -(-count // FRAMES_PER_MESSAGE_MAX)
    assert [frame for message in messages for frame in agents(wire).decode(message, arrays=True)] == [
        Ping()
    ] * count


@pytest.mark.parametrize("wire", Wire)
def test_messages_are_split_at_the_size_limit(wire: Wire) -> None:
    for size in (40, 41, 42, 43, 44, 60):
        frames = [TaskAccepted(task_id=TaskId("x" * n)) for n in (1, 2, 3, 4, 5, 1, 1, 1)]
        members = [encode_frame(frame, wire) for frame in frames]
        bytes_max = max(size, *(len(member) for member in members))
        messages = pack(members, wire, arrays=True, bytes_max=bytes_max)
        assert all(len(message) <= bytes_max for message in messages)
        assert [f for message in messages for f in agents(wire).decode(message, arrays=True)] == frames


def test_a_frame_above_the_limit_is_our_fault() -> None:
    with pytest.raises(LocalProtocolError, match="above the limit"):
        pack([b"x" * 11], Wire.JSON, arrays=True, bytes_max=10)


def test_an_announcement_is_encoded_once_for_each_wire() -> None:
    announcement = Announcement(AgentLeft(agent_id=AgentId("ada")))
    for wire in Wire:
        assert announcement.encoded(wire) is announcement.encoded(wire)
        assert announcement.encoded(wire) == encode_frame(announcement.frame, wire)


def test_messagepack_carries_json_as_a_string() -> None:
    frame = TaskComplete(task_id=TaskId(TASK), result=Raw('{"größe":1}'.encode()))
    assert msgspec.msgpack.decode(encode_frame(frame, Wire.MSGPACK))["result"] == '{"größe":1}'


def test_a_subprotocol_names_its_wire() -> None:
    assert [Wire.of(name) for name in (None, *SUBPROTOCOLS)] == [Wire.JSON, Wire.JSON, Wire.MSGPACK]
    assert SUBPROTOCOLS == ("hub.v2.json", "hub.v2.msgpack")
    with pytest.raises(LocalProtocolError):
        Wire.of("hub.v3.cbor")
