"""Whether a person's answer fits a question's schema; a strange schema refuses nobody and hurts nobody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api.schemas import DEPTH_MAX, fault_of

FITTING: list[tuple[Any, Any]] = [
    ("yes", {"type": "string", "enum": ["yes", "no"]}),
    (3, {"type": "integer", "minimum": 3, "maximum": 3}),
    (3.0, {"type": "integer"}),
    (2.5, {"type": ["number", "null"]}),
    (None, {"type": ["number", "null"]}),
    ({"a": 1}, {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}),
    ([1, 2], {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}),
    ("ab", {"minLength": 2, "maxLength": 2}),
    ("anything", {}),
    ("anything", True),
    ("anything", {"type": "no such type", "minimum": "x", "enum": "x", "required": 4, "properties": 1}),
    ("a" * 60, {"pattern": "^" + "a*" * 60 + "c$"}),
    ("x", {"pattern": "["}),
    (1, {"const": 1}),
]

FAULTY: list[tuple[Any, Any, str]] = [
    ("maybe", {"enum": ["yes", "no"]}, "value must be one of"),
    (True, {"type": "integer"}, "value must be integer"),
    (True, {"const": 1}, "value must be 1"),
    (1, {"enum": [True]}, "value must be one of"),
    (2, {"minimum": 3}, "value must be at least 3"),
    (4, {"exclusiveMaximum": 4}, "value must be less than 4"),
    ({}, {"required": ["a"]}, "value.a is required"),
    ({"a": "x"}, {"properties": {"a": {"type": "integer"}}}, "value.a must be integer"),
    ({"b": 1}, {"properties": {}, "additionalProperties": False}, "value.b is not allowed"),
    ([1, "x"], {"items": {"type": "integer"}}, "value[1] must be integer"),
    ("x", {"enum": ["y" * 100_000]}, "value must be one of 'yyy"),
    ("x", {"const": "y" * 100_000}, "value must be 'yyy"),
    ("", {"minLength": 1}, "value must have at least 1 characters"),
    ("x", False, "value is not allowed"),
]


@pytest.mark.parametrize(("value", "schema"), FITTING)
def test_a_fitting_answer_has_no_fault(value: Any, schema: Any) -> None:
    assert fault_of(value, schema) is None


@pytest.mark.parametrize(("value", "schema", "fault"), FAULTY)
def test_a_fault_is_named_with_its_place(value: Any, schema: Any, fault: str) -> None:
    said = fault_of(value, schema) or ""
    assert said.startswith(fault)
    assert len(said) < 1_000


def test_a_bottomless_schema_is_not_followed_for_ever() -> None:
    schema: dict[str, Any] = {"type": "array"}
    schema["items"] = schema
    value: list[Any] = []
    for _ in range(3 * DEPTH_MAX):
        value = [value]
    assert fault_of(value, schema) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
KEYWORDS = st.sampled_from(["type", "enum", "const", "items", "properties", "required", "minimum", "pattern"])


@given(value=JSON, schema=st.dictionaries(KEYWORDS, JSON, max_size=5))
def test_no_schema_makes_the_check_raise(value: Any, schema: Any) -> None:
    fault = fault_of(value, schema)
    assert fault is None or isinstance(fault, str)
