"""Properties that hold for any frame, any splitting and any JSON, looked for by hypothesis."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec import inspect as shape

from protocol import rawjson
from protocol.codec import FrameDecoder, Wire, encode_frame, pack
from protocol.conversation import AgentConversation
from protocol.frames import Frame, Identify, TaskAccepted
from protocol.ids import Generation, Seq, TaskId
from protocol.limits import FRAMES_PER_MESSAGE_MAX
from tests.doubles import Pair
from tests.protocol.dialogue import ADA
from tests.protocol.samples import ROLES

QUICK = settings(max_examples=60, deadline=None)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def raw_of(value: Any) -> Raw:
    return Raw(json.dumps(value, ensure_ascii=False).encode())


def text_of(wanted: shape.StrType) -> st.SearchStrategy[str]:
    if wanted.pattern is not None:
        return st.text("abcdefgh-é 🚀", min_size=1, max_size=20)
    return st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        min_size=wanted.min_length or 0,
        max_size=min(wanted.max_length or 20, 20),
    )


def values_of(wanted: shape.Type) -> st.SearchStrategy[Any]:
    """Any value of a type, within its bounds."""
    match wanted:
        case shape.Metadata(type=shape.RawType(), extra_json_schema={"type": "object"}):
            return st.dictionaries(TEXT, JSON, max_size=4).map(raw_of)
        case shape.Metadata(type=inner):
            return values_of(inner)
        case shape.StrType():
            return text_of(wanted)
        case shape.IntType(ge=least, le=most):
            return st.integers(least or 0, 2**53 - 1 if most is None else most)
        case shape.FloatType(ge=least, le=most):
            return st.floats(least or 0, most, allow_nan=False)
        case shape.LiteralType(values=values):
            return st.sampled_from(values)
        case _:
            return structures_of(wanted)


def structures_of(wanted: shape.Type) -> st.SearchStrategy[Any]:
    match wanted:
        case shape.BoolType():
            return st.booleans()
        case shape.NoneType():
            return st.none()
        case shape.RawType():
            return JSON.filter(lambda value: value is not None).map(raw_of)
        case shape.UnionType(types=types):
            return st.one_of([values_of(each) for each in types])
        case shape.VarTupleType(item_type=item):
            return st.lists(values_of(item), max_size=3).map(tuple)
        case shape.DictType(key_type=key, value_type=value):
            return st.dictionaries(values_of(key), values_of(value), max_size=3)
        case shape.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: values_of(field.type) for field in fields})
        case _:
            raise AssertionError(f"no values for {wanted}")


def frames(kind: type[Frame]) -> st.SearchStrategy[Frame]:
    fields = msgspec.structs.fields(kind)
    required = {field.name: values_of(shape.type_info(field.type)) for field in fields if field.required}
    optional = {field.name: values_of(shape.type_info(field.type)) for field in fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda members: kind(**members))


@pytest.mark.parametrize("role", ROLES)
@given(data=st.data())
@QUICK
def test_any_frame_survives_any_wire(role: str, data: st.DataObject) -> None:
    spoken = data.draw(st.lists(st.sampled_from(ROLES[role]).flatmap(frames), min_size=1, max_size=4))
    for wire in Wire:
        decoder: FrameDecoder[Frame] = FrameDecoder(ROLES[role], wire)
        messages = pack([encode_frame(frame, wire) for frame in spoken], wire, arrays=True)
        assert [frame for message in messages for frame in decoder.decode(message, arrays=True)] == spoken


@given(
    lengths=st.lists(st.integers(1, 30), max_size=40) | st.integers(250, 520).map(lambda count: [1] * count),
    room=st.integers(0, 60) | st.just(10_000),
    wire=st.sampled_from(Wire),
)
@QUICK
def test_any_splitting_is_in_order_within_limits_and_not_wasteful(
    lengths: list[int], room: int, wire: Wire
) -> None:
    spoken: list[Frame] = [TaskAccepted(task_id=TaskId("x" * length)) for length in lengths]
    members = [encode_frame(frame, wire) for frame in spoken]
    bytes_max = max([len(member) for member in members], default=0) + room
    messages = pack(members, wire, arrays=True, bytes_max=bytes_max)
    decoder: FrameDecoder[Frame] = FrameDecoder(ROLES["agent"], wire)
    heard = [decoder.decode(message, arrays=True) for message in messages]
    assert [frame for group in heard for frame in group] == spoken
    assert all(len(message) <= bytes_max for message in messages)
    for one, other in pairwise(messages):
        overhead = 2 * len(decoder.decode(one, arrays=True)) + 6
        first = len(encode_frame(decoder.decode(other, arrays=True)[0], wire))  # type: ignore[arg-type]  # checked above
        is_full = len(decoder.decode(one, arrays=True)) == FRAMES_PER_MESSAGE_MAX
        assert is_full or len(one) + first + overhead > bytes_max, "the next frame would have fitted"


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(each) for each in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(each) for each in value), default=0)
    return 0


def crowd_of(value: Any) -> int:
    """Opened brackets and commas, counted the slow way."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return 0
    return 1 + max(len(inner) - 1, 0) + sum(crowd_of(each) for each in inner)


@given(value=JSON)
@settings(max_examples=200, deadline=None)
def test_the_scan_agrees_with_a_slow_count(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rawjson, "JSON_DEPTH_MAX", 2)
        patch.setattr(rawjson, "JSON_MEMBERS_MAX", 8)
        found = rawjson.crowding_in(text)
    if crowd_of(value) > 8:
        assert found is rawjson.Flaw.TOO_MANY_MEMBERS or len(text) <= 4
    elif depth_of(value) > 2:
        assert found is rawjson.Flaw.TOO_DEEP or len(text) <= 4
    else:
        assert found is None


@given(text=st.text('\\u0a\0"', max_size=12), is_ascii=st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_nul_is_found_wherever_it_hides(text: str, is_ascii: bool) -> None:
    encoded = json.dumps([text], ensure_ascii=is_ascii).encode()
    assert rawjson.has_nul(encoded) == ("\0" in text)


@given(
    turns=st.lists(st.integers(1, 5), max_size=6),
    mark=st.integers(0, 5),
    arriving=st.integers(0, 6),
    subprotocol=st.sampled_from([None, "hub.v2.json", "hub.v2.msgpack"]),
)
@QUICK
def test_facts_said_again_after_any_cut_are_heard_without_gap(
    turns: list[int], mark: int, arriving: int, subprotocol: str | None
) -> None:
    """The journal's half of D7: whatever arrived before the cut, the next one begins after the mark."""
    facts = [
        TaskAccepted(task_id=TaskId(f"t{n}"), generation=Generation(1), seq=Seq(n))
        for n in range(mark + 1, mark + 1 + sum(turns))
    ]
    first = Pair(subprotocol).introduce(mark=mark)
    said = 0
    for turn in turns:
        first.agent_says(*facts[said : said + turn])
        said += turn
    first.cut(to_hub=arriving)
    heard = first.to_hub.deliver_all()
    second = Pair(subprotocol).introduce(mark=first.hub.seq)
    again = [fact for fact in facts if fact.seq is not None and fact.seq > first.hub.seq]
    heard += second.tell_hub(*again) if again else []
    assert heard == facts


def test_an_agent_that_was_refused_a_word_can_still_speak() -> None:
    """A LocalProtocolError changes nothing."""
    agent = AgentConversation()
    for _ in range(2):
        before = (agent.phase, agent.version, agent.seq)
        with pytest.raises(Exception, match="may not be said"):
            agent.say(Identify(agent_id=ADA, protocol_version=2), Identify(agent_id=ADA))
        assert (agent.phase, agent.version, agent.seq) == before
