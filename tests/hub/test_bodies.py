"""Bodies as the specs of tasks, where a field is not simply copied."""

from __future__ import annotations

import json

import msgspec
import pytest

from hub.api.bodies import KEY_LENGTH_MAX
from hub.api.bodies_tasks import PushTaskBody, TaskBody, spec_of_push, spec_of_task
from hub.api.problems import Problem
from hub.core.task import Spec


def specs(**members: object) -> list[Spec]:
    """What both ways of pushing make of these members."""
    text = json.dumps({"agent_id": "ada", "description": "x"} | members)
    push = msgspec.json.decode(text, type=PushTaskBody)
    task = msgspec.json.decode(text, type=TaskBody)
    return [
        spec_of_push(push, key=None, by="t", wall_ms=0, trace=None),
        spec_of_task(task, key=None, by="t", wall_ms=0, trace=None),
    ]


@pytest.mark.parametrize(
    ("members", "stream_id"),
    [
        ({}, None),
        ({"stream_id": "a"}, "a"),
        ({"metadata": {"streamId": "b"}}, "b"),
        ({"stream_id": "a", "metadata": {"streamId": "b"}}, "a"),
        ({"stream_id": None, "metadata": {"streamId": "b"}}, "b"),
        ({"metadata": {"streamId": ""}}, None),
        ({"metadata": {"streamId": None}}, None),
        ({"metadata": {"streamId": 7}}, None),
        ({"metadata": {"streamId": {"deep": "b"}}}, None),
        ({"metadata": {"deep": {"streamId": "b"}}}, None),
        ({"metadata": {"streamId": "x" * KEY_LENGTH_MAX}}, "x" * KEY_LENGTH_MAX),
    ],
)
def test_the_stream_id_is_the_field_or_else_the_metadatas(
    members: dict[str, object], stream_id: str | None
) -> None:
    """Contracts §4. Types are strict: what is no text names no channel, and old callers may send it."""
    assert [spec.stream_id for spec in specs(**members)] == [stream_id, stream_id]


def test_a_stream_id_that_is_too_long_is_refused_by_its_name() -> None:
    """Left out in silence its caller would wait for ever (L100)."""
    with pytest.raises(Problem) as refusal:
        specs(metadata={"streamId": "x" * (KEY_LENGTH_MAX + 1)})
    assert refusal.value.status == 422


def test_metadata_survives_beside_it_unchanged() -> None:
    metadata = {"streamId": "b", "n": [1, 2.5, None]}
    assert [json.loads(bytes(spec.metadata)) for spec in specs(metadata=metadata)] == [metadata, metadata]
