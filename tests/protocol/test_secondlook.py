"""What a decoder refused is looked at again: forgiven where the wire is forgiving, named where it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from protocol.badframe import BadFrame, reply_to_bad
from protocol.codec import FrameDecoder, Wire, encode_frame
from protocol.frames import (
    HUB_FRAMES,
    Frame,
    InputAck,
    Ping,
    TaskDone,
    TaskInput,
    WakeResult,
)
from protocol.ids import RequestId, TaskId
from protocol.limits import (
    INTEGER_MAX,
)
from tests.protocol.hearing import TASK, agents, hear, message_of, refused

# --- what is wrong with a frame ---


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize(
    ("said", "field", "word"),
    [
        ({"type": "task_complete"}, "task_id", "missing"),
        ({"type": "task_complete", "task_id": ""}, "task_id", "not_allowed"),
        ({"type": "task_complete", "task_id": "x" * 129}, "task_id", "not_allowed"),
        ({"type": "task_complete", "task_id": 5}, "task_id", "wrong_type"),
        ({"type": "task_complete", "task_id": TASK, "generation": True}, "generation", "wrong_type"),
        ({"type": "task_complete", "task_id": TASK, "generation": 1.5}, "generation", "wrong_type"),
        ({"type": "task_complete", "task_id": TASK, "generation": "1"}, "generation", "wrong_type"),
        ({"type": "task_complete", "task_id": TASK, "generation": -1}, "generation", "not_allowed"),
        (
            {"type": "task_complete", "task_id": TASK, "tokens_used": INTEGER_MAX + 1},
            "tokens_used",
            "not_allowed",
        ),
        ({"type": "task_complete", "task_id": TASK, "seq": 0}, "seq", "not_allowed"),
        ({"type": "task_progress", "task_id": TASK, "progress": 101}, "progress", "not_allowed"),
        ({"type": "identify", "agent_id": "broadcast"}, "agent_id", "not_allowed"),
        ({"type": "identify", "agent_id": "a\tb"}, "agent_id", "not_allowed"),
        ({"type": "identify", "agent_id": ""}, "agent_id", "not_allowed"),
        ({"type": "identify", "agent_id": "a", "slots": 0}, "slots", "not_allowed"),
        ({"type": "identify", "agent_id": "a", "capabilities": ["x", 5]}, "capabilities[...]", "wrong_type"),
        ({"type": "identify", "agent_id": "a", "labels": {"x": 5}}, "labels[...]", "wrong_type"),
        (
            {"type": "identify", "agent_id": "a", "holding": [{"generation": 1}]},
            "holding[...].task_id",
            "missing",
        ),
        ({"type": "status"}, "status", "missing"),
        ({"type": "message", "payload": None}, "payload", "wrong_type"),
        ({"type": "message"}, "payload", "missing"),
    ],
)
def test_a_fault_is_told_with_its_field(said: Any, field: str, word: str, wire: Wire) -> None:
    """L51: an error that does not say what it is about cannot be acted on."""
    code, where, what = refused(said, wire)
    assert (code, what) == ("validation_failed", word)
    assert where.replace("[0]", "[...]").replace("[1]", "[...]") == field


def test_a_word_that_is_too_long_in_a_key_is_told_with_its_field() -> None:
    assert refused({"type": "identify", "agent_id": "a", "labels": {"k" * 300: "v"}})[1] == "labels"


def test_the_answer_to_a_bad_frame_has_all_that_could_be_read() -> None:
    said = [
        {"type": "ping"},
        {"type": "task_failed", "task_id": TASK, "seq": 3, "generation": 2, "retryable": "no"},
    ]
    ping, bad = agents().decode(message_of(said, Wire.JSON), arrays=True)
    assert ping == Ping()
    assert isinstance(bad, BadFrame)
    assert (bad.index, bad.seq, bad.generation) == (1, 3, 2)
    assert json.loads(encode_frame(reply_to_bad(bad), Wire.JSON)) == {
        "type": "error",
        "error": "validation_failed",
        "task_id": TASK,
        "message_type": "task_failed",
        "index": 1,
        "errors": [{"field": "retryable", "error": "wrong_type", "detail": "Expected `bool`, got `str`"}],
    }


def test_only_facts_have_a_number_to_be_receipted() -> None:
    bad = hear({"type": "status", "seq": 3})
    assert isinstance(bad, BadFrame)
    assert bad.seq is None
    bad = hear({"type": "task_accepted", "seq": 3})
    assert isinstance(bad, BadFrame)
    assert bad.seq == 3


# --- what is forgiven ---


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (
            {"type": "resource_report", "cpu_percent": "23 %", "ram_used_bytes": 1.5, "ram_total_bytes": 7},
            {"ram_total_bytes": 7},
        ),
        ({"type": "wake_result", "task_id": 5, "status": ["ok"], "attempt": "1"}, {}),
        ({"type": "state_report", "task_id": TASK, "status": {"now": 1}}, {"task_id": TASK}),
        ({"type": "agent_restarting", "reason": {"code": 5}}, {}),
    ],
)
def test_what_a_v1_client_reports_is_never_an_error(said: Any, heard: Any, wire: Wire) -> None:
    """L52: shown on the feed as far as it can be understood."""
    frame = hear(said, wire)
    assert isinstance(frame, Frame)
    assert json.loads(encode_frame(frame, Wire.JSON)) == {"type": said["type"], **heard}


def test_a_report_that_names_no_task_cannot_be_answered() -> None:
    assert refused({"type": "state_report", "status": 5})[1] == "task_id"


@pytest.mark.parametrize("wire", Wire)
def test_a_request_id_names_its_task(wire: Wire) -> None:
    """The tables give these frames a `request_id` only; it begins with the task id."""
    ack = hear({"type": "input_ack", "request_id": f"{TASK}-1", "seq": 1, "generation": 1}, wire)
    assert isinstance(ack, InputAck)
    assert ack.task_id == TASK
    answer = {"type": "task_input", "request_id": f"{TASK}-1", "value": "42"}
    (given,) = FrameDecoder[Frame](HUB_FRAMES, wire).decode(message_of(answer, wire), arrays=False)
    assert given == TaskInput(task_id=TaskId(TASK), request_id=RequestId(f"{TASK}-1"), value=given.value)  # type: ignore[union-attr]  # a BadFrame would fail here, as it should
    assert refused({"type": "input_ack", "request_id": "some-question"}, wire)[1:] == ("task_id", "missing")
    assert refused({"type": "input_ack", "request_id": 5}, wire)[1:] == ("request_id", "wrong_type")
    assert refused({"type": "input_ack", "request_id": f"{TASK}-1", "task_id": 5}, wire)[1:] == (
        "task_id",
        "wrong_type",
    )


def test_null_is_a_value_where_any_json_is_asked_for() -> None:
    """Other members being null must not make a null output a missing one."""
    said = {"type": "task_done", "task_id": TASK, "index": 0, "output": None, "seq": None, "generation": None}
    assert hear(said) == TaskDone(task_id=TaskId(TASK), index=0, output=Raw(b"null"))
    assert hear(said, Wire.MSGPACK) == TaskDone(task_id=TaskId(TASK), index=0, output=Raw(b"null"))


@pytest.mark.parametrize("wire", Wire)
def test_unknown_members_are_ignored(wire: Wire) -> None:
    assert hear({"type": "ping", "mood": {"deep": [1, 2]}, "protocol_version": 1}, wire) == Ping()


def test_the_last_of_two_equal_names_counts() -> None:
    assert hear('{"type":"wake_result","attempt":1,"attempt":2}') == WakeResult(attempt=2)


def test_text_in_messagepack_that_is_not_utf8_is_told() -> None:
    """Found by the fuzzer: the second look fell over what the first had refused."""
    broken = b"\x82\xa4type\xa6status\xa6status\xa1\xff"
    assert refused(broken, Wire.MSGPACK) == ("validation_failed", "", "invalid_utf8")


def test_text_that_is_nested_as_deep_as_the_stack_allows_is_told() -> None:
    """Somewhere between shallow and deep the first look fails and the head can still be read, or just not."""
    words = set()
    for depth in range(100, 1_200):
        nested = "[" * depth + "]" * depth
        bad = hear('{"type":"status","status":5,"x":' + nested + "}")
        assert isinstance(bad, BadFrame)
        words.add(bad.errors[0].error)
    assert words == {"wrong_type", "too_deep"}


def test_words_that_are_unfit_to_be_said_are_not_said_back() -> None:
    """Found by the fuzzer: an answer that quoted U+0000 could not be read by the one it was for."""
    bad = hear(r'{"type":"task_accepted","task_id":"task\u0000","seq":1,"generation":1}')
    assert isinstance(bad, BadFrame)
    assert (bad.task_id, bad.seq) == (None, 1)
    bad = hear(r'{"type":"task_stopped","task_id":"a\u001bb","how":"\u0000\u001b[2J"}')
    assert isinstance(bad, BadFrame)
    assert bad.task_id is None
    assert bad.errors[0].detail.isprintable()
