"""Every frame survives every wire, with optional members set and unset; recorded clients are understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol import agentframes, frames, hubframes
from protocol.codec import FrameDecoder, Wire, encode_frame, pack
from protocol.frames import (
    AGENT_FRAMES,
    FACT_TYPES,
    HUB_FRAMES,
    Fact,
    Frame,
    Heartbeat,
    Holding,
    Identify,
    TaskComplete,
    frame_type,
)
from protocol.ids import AgentId, Generation, Seq, TaskId
from tests.protocol.samples import ROLES, frames_of, full

RECORDED = Path(__file__).parent / "recorded" / "v1-client.jsonl"
EVERY_FRAME = [(role, kind) for role, kinds in ROLES.items() for kind in kinds]


def named(kind: Any) -> str:
    return kind if isinstance(kind, str) else frame_type(kind)


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize(("role", "kind"), EVERY_FRAME, ids=named)
def test_every_frame_survives_the_wire(role: str, kind: type[Frame], wire: Wire) -> None:
    decoder: FrameDecoder[Frame] = FrameDecoder(ROLES[role], wire)
    samples = list(frames_of(kind))
    for frame in samples:
        (message,) = pack([encode_frame(frame, wire)], wire, arrays=False)
        assert isinstance(message, str) is wire.text
        assert decoder.decode(message, arrays=False) == [frame]
    together = pack([encode_frame(frame, wire) for frame in samples], wire, arrays=True)
    assert [frame for message in together for frame in decoder.decode(message, arrays=True)] == samples


@pytest.mark.parametrize("wire", Wire)
@pytest.mark.parametrize(("role", "kind"), EVERY_FRAME, ids=named)
def test_null_is_the_same_as_absent(role: str, kind: type[Frame], wire: Wire) -> None:
    """L52: an old client that sends null for what it does not know is understood."""
    decoder: FrameDecoder[Frame] = FrameDecoder(ROLES[role], wire)
    least = next(frames_of(kind))
    members = msgspec.json.decode(msgspec.json.encode(full(kind)))
    required = {field.encode_name for field in msgspec.structs.fields(kind) if field.required}
    bare = msgspec.json.decode(msgspec.json.encode(least))
    free_form = {"payload", "output", "value"}
    said = dict[str, Any].fromkeys(members) | {name: bare[name] for name in (*required, "type")}
    if wire is Wire.MSGPACK:
        said |= {name: msgspec.json.encode(said[name]).decode() for name in required & free_form}
    encoded = wire.value.encode(said)
    assert decoder.decode(encoded.decode() if wire.text else encoded, arrays=False) == [least]


def test_the_two_unions_name_every_frame_once() -> None:
    def leaves(kind: type[Frame]) -> set[type[Frame]]:
        below = kind.__subclasses__()
        return set().union(*(leaves(each) for each in below)) if below else {kind}

    # defstruct twins and other tests' frames aside: what the wire's modules define.
    defined = {kind for kind in leaves(Frame) if kind.__module__.startswith("protocol.")}
    assert defined == set(AGENT_FRAMES) | set(HUB_FRAMES)
    for kinds in ROLES.values():
        assert len({frame_type(kind) for kind in kinds}) == len(kinds)


def test_frames_is_the_door_to_all_of_them() -> None:
    for module in (agentframes, hubframes):
        defined = {
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__
        }
        assert defined <= set(frames.__all__)
        assert all(getattr(frames, name) is getattr(module, name) for name in defined)


def test_facts_are_the_frames_with_a_number() -> None:
    assert set(FACT_TYPES) == {kind for kind in AGENT_FRAMES if issubclass(kind, Fact)}
    numbered = {kind for kind in AGENT_FRAMES if "seq" in kind.__struct_fields__}
    assert numbered == set(FACT_TYPES)


def test_frames_cannot_be_changed() -> None:
    frame: Any = next(frames_of(Identify))
    with pytest.raises(AttributeError):
        frame.agent_id = "eve"


def test_what_a_stranger_must_see_is_never_left_out() -> None:
    """A default may be omitted only where the tables call the member optional."""
    identify = json.loads(encode_frame(Identify(agent_id=AgentId("ada"), protocol_version=2), Wire.JSON))
    assert identify["holding"] == []
    assert (identify["seq_next"], identify["slots"], identify["connection"]) == (1, 1, 0)
    heartbeat = json.loads(encode_frame(Heartbeat(as_of_seq=Seq(0)), Wire.JSON))
    assert heartbeat["tasks"] == []
    complete = json.loads(encode_frame(TaskComplete(task_id=TaskId("task-1")), Wire.JSON))
    assert complete["result"] is None
    held = Holding(task_id=TaskId("task-1"), generation=Generation(1))
    assert json.loads(msgspec.json.encode(held))["state"] == "running"


def test_recorded_clients_are_understood() -> None:
    """L14: real frames of v1 clients, with all that they leave out and put in."""
    decoders = {
        "->hub": FrameDecoder[Frame](AGENT_FRAMES, Wire.JSON),
        "hub->": FrameDecoder[Frame](HUB_FRAMES, Wire.JSON),
    }
    heard = 0
    for line in RECORDED.read_text().splitlines():
        record = json.loads(line)
        if "frame" in record:
            (frame,) = decoders[record["dir"]].decode(json.dumps(record["frame"]), arrays=False)
            assert isinstance(frame, Frame), frame
            assert frame_type(frame) == record["frame"]["type"]
            heard += 1
    assert heard > 40


def test_a_schema_can_be_made_of_every_frame() -> None:
    """The documents that the hub serves are generated from these types."""
    for kinds in ROLES.values():
        _, schemas = msgspec.json.schema_components(kinds)
        json.dumps(schemas)
        assert {kind.__name__ for kind in kinds} <= set(schemas)
        for kind in kinds:
            assert schemas[kind.__name__]["properties"]["type"]["enum"] == [frame_type(kind)]
