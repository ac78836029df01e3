"""Credentials of runs: in memory, for the run's holder, until the end (L40)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from hub.core.effects import Tell
from hub.errors import Overloaded
from hub.runs.vault import KEYS_BYTES_MAX, SETTINGS_BYTES_MAX, Vault, is_too_big, parted
from protocol.frames import Pong, TaskAssign
from protocol.ids import Generation, TaskId
from protocol.limits import METADATA_BYTES_MAX

RUN = TaskId("task-0000000000000001")
OTHER = TaskId("task-0000000000000002")
KEYS = {"_llm_api_key": "sk-secret", "_llm_model": "x/y"}


def order(task_id: TaskId, inputs: object = None) -> Tell:
    given = None if inputs is None else Raw(msgspec.json.encode(inputs))
    return Tell(
        7, TaskAssign(task_id=task_id, generation=Generation(1), assigned_at=0, inputs=given), task_id
    )


def inputs_of(effect: Tell) -> Any:
    assert isinstance(effect.frame, TaskAssign)
    return None if effect.frame.inputs is None else msgspec.json.decode(effect.frame.inputs)


def test_only_members_with_the_mark_are_credentials() -> None:
    assert parted({"topics": ["tides"], "_key": "k", "a_b": 1}) == (
        {"topics": ["tides"], "a_b": 1},
        {"_key": "k"},
    )


def test_keys_join_the_order_of_their_own_task_and_no_other_frame() -> None:
    vault = Vault()
    vault.keep(RUN, KEYS)
    sealed = vault.completed(order(RUN, {"topics": ["tides"]}))
    assert inputs_of(sealed) == {"topics": ["tides"], **KEYS}
    assert sealed.link_id == 7
    assert inputs_of(vault.completed(order(RUN))) == KEYS
    assert inputs_of(vault.completed(order(OTHER, {"topics": []}))) == {"topics": []}
    pong = Tell(7, Pong(timestamp=1))
    assert vault.completed(pong) is pong


def test_every_order_of_a_run_has_its_keys_until_it_is_over() -> None:
    vault = Vault()
    vault.keep(RUN, KEYS)
    assert [inputs_of(vault.completed(order(RUN))) for _ in range(2)] == [KEYS, KEYS]
    vault.drop(RUN)
    vault.drop(RUN)
    assert inputs_of(vault.completed(order(RUN))) is None
    assert len(vault) == 0


def test_inputs_that_are_no_object_stay_as_they_are() -> None:
    vault = Vault()
    vault.keep(RUN, KEYS)
    assert inputs_of(vault.completed(order(RUN, ["a", "b"]))) == ["a", "b"]


def test_one_run_more_than_there_is_room_for_is_refused() -> None:
    vault = Vault(runs_max=1)
    vault.keep(RUN, KEYS)
    vault.keep(RUN, {"_key": "newer"})
    vault.keep(OTHER, {})
    with pytest.raises(Overloaded):
        vault.keep(OTHER, KEYS)
    vault.drop(RUN)
    vault.keep(OTHER, KEYS)


def test_the_bound_of_keys_is_met_at_its_edge() -> None:
    room = KEYS_BYTES_MAX - len(msgspec.json.encode({"_k": ""}))
    assert not is_too_big({"_k": "x" * room})
    assert is_too_big({"_k": "x" * (room + 1)})
    assert SETTINGS_BYTES_MAX + KEYS_BYTES_MAX == METADATA_BYTES_MAX


def test_a_vault_that_is_printed_says_nothing() -> None:
    vault = Vault()
    vault.keep(RUN, KEYS)
    assert "sk-secret" not in repr(vault)
