"""The codec's table of frames is derived from their types: free-form members, bounds, and loose twins."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET, Raw

from protocol.frames import (
    AGENT_FRAMES,
    HUB_FRAMES,
    InputRequired,
    MessageDelivered,
    TaskAssign,
    TaskComplete,
)
from protocol.limits import DONE_BYTES_MAX, FRAME_BYTES_MAX, METADATA_BYTES_MAX, RESULT_BYTES_MAX
from protocol.members import EMPTY_OBJECT, NULL, Frame, empty_object, null
from protocol.shapes import FreeForm, shape_of


def test_free_form_members_are_found_in_the_types() -> None:
    assert shape_of(TaskComplete).free_form == (
        FreeForm("result", "result", False, False, False, RESULT_BYTES_MAX),
    )
    assert shape_of(InputRequired).free_form == (
        FreeForm("schema", "schema", False, True, True, METADATA_BYTES_MAX),
    )
    found = {free.member: free.bytes_max for free in shape_of(TaskAssign).free_form}
    assert found["done"] == DONE_BYTES_MAX
    assert set(found) == {"metadata", "inputs", "done", "answers"}


def test_every_frame_has_a_shape_under_its_name() -> None:
    for kind in (*AGENT_FRAMES, *HUB_FRAMES):
        shape = shape_of(kind)
        assert shape is shape_of(kind)
        assert all(free.bytes_max <= shape.bytes_max <= FRAME_BYTES_MAX for free in shape.free_form) or (
            shape.bytes_max < FRAME_BYTES_MAX
        )


def test_a_loose_twin_takes_anything_and_keeps_it_raw() -> None:
    twin = shape_of(MessageDelivered).loose
    loose = msgspec.json.decode(b'{"from":[1],"id":null,"unknown":{}}', type=twin)
    members = dict(zip(twin.__struct_encode_fields__, msgspec.structs.astuple(loose), strict=True))
    assert (members["from"], members["id"], members["payload"]) == (Raw(b"[1]"), Raw(b"null"), UNSET)
    assert msgspec.json.encode(loose) == b'{"id":null,"from":[1]}'


def test_a_free_form_member_without_a_bound_is_a_mistake() -> None:
    class Careless(Frame, frozen=True, kw_only=True, tag="careless"):
        anything: Raw

    with pytest.raises(AssertionError, match="says its bounds"):
        shape_of(Careless)


def test_defaults_are_shared_so_that_they_are_known_again() -> None:
    assert null() is NULL
    assert empty_object() is EMPTY_OBJECT
    assert bytes(NULL) == b"null"
    assert bytes(EMPTY_OBJECT) == b"{}"
