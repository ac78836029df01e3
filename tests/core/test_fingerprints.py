"""Which failures are of one kind, and which are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.fingerprints import (
    ERROR_CHARS_MAX,
    FINGERPRINT_DIGITS,
    FINGERPRINTED,
    fingerprint,
    fingerprint_of,
    shape_of,
)
from hub.core.task import Ending, Spec, State, Task
from protocol.ids import TaskId


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("line 7 failed after 1.25 s", "line 1234 failed after 30 s"),
        ("KeyError: 'name'", "KeyError: 'address of the person'"),
        ('no field "a"', 'no field "b c"'),
        ("no field `a`", "no field `b`"),
        ("task-0123456789abcdef is gone", "task-fedcba9876543210 is gone"),
        ("user 550e8400-e29b-41d4-a716-446655440000", "user 650e8400-e29b-41d4-a716-446655440fff"),
        ("at 0xDEADBEEF", "at 0x1"),
        ("commit 0a1b2c3d4e5f is bad", "commit f5e4d3c2b1a0ff is bad"),
        ("cannot open /tmp/a/b.txt now", "cannot open ./x.txt now"),
        (r"cannot open C:\Users\eve\x.txt now", "cannot open ~/y/z now"),
        ("GET https://a.example/b?c=1 was 404", "GET http://b.example was 503"),
        ("It  Broke\n", "it broke"),
        ("at 12:30:01", "at 7"),
    ],
)
def test_what_varies_makes_no_other_kind(one: str, other: str) -> None:
    assert shape_of(one) == shape_of(other)
    assert fingerprint("failed", "digest", one) == fingerprint("failed", "digest", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("it can't be read", "it can't be written"),
        ("either/or failed", "neither/nor failed"),
        ("a facade failed", "a decade failed"),
        ("", "something"),
    ],
)
def test_words_make_another_kind(one: str, other: str) -> None:
    assert fingerprint("failed", None, one) != fingerprint("failed", None, other)


def test_the_plugin_and_the_ending_make_another_kind() -> None:
    kinds = [("failed", "a", "x"), ("failed", "b", "x"), ("timeout", "a", "x"), ("failed", "ax", "")]
    assert len({fingerprint(how, plugin, error) for how, plugin, error in kinds}) == len(kinds)
    assert fingerprint("failed", None, None) == fingerprint("failed", "", "")


@given(st.text())
def test_a_fingerprint_is_sixteen_digits_whatever_the_error(error: str) -> None:
    found = fingerprint("failed", None, error)
    assert len(found) == FINGERPRINT_DIGITS
    assert set(found) <= set("0123456789abcdef")


def test_only_the_beginning_of_an_error_counts() -> None:
    same = "x" * (ERROR_CHARS_MAX - 1)
    assert shape_of(same + "ab") == shape_of(same + "ac")
    assert shape_of(same[1:] + "ab") != shape_of(same[1:] + "ac")


@pytest.mark.parametrize("state", State)
def test_only_failures_have_one(state: State) -> None:
    task = Task(task_id=TaskId("t"), spec=Spec(plugin="p"), state=state, error="x", ending=Ending(how="h"))
    assert fingerprint_of(task) == (fingerprint("h", "p", "x") if state in FINGERPRINTED else None)


def test_a_task_without_an_ending_has_none() -> None:
    assert fingerprint_of(Task(task_id=TaskId("t"), spec=Spec(), state=State.FAILED)) is None
