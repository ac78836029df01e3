"""Who must be looked at when, what falls off the shelf, and the arithmetic of pauses."""

from __future__ import annotations

from msgspec import Raw

from hub.core.deadlines import GARBAGE_MIN, Deadlines
from hub.core.policy import Policy, backoff_ms, decline_ms
from hub.core.shelf import SHELF_BYTES_MAX, SHELF_TASKS_MAX, Shelf
from hub.core.task import Spec, StepKept, Task
from protocol.ids import TaskId
from tests.core.stage import task_id_of


def test_the_earliest_deadline_comes_first_and_each_key_once() -> None:
    due: dict[str, int | None] = {"a": 30, "b": 10, "c": None}
    deadlines: Deadlines[str] = Deadlines(due.get)
    for key, due_ms in due.items():
        deadlines.watch(key, due_ms)
    deadlines.watch("a", 30)
    assert deadlines.next_ms() == 10
    assert deadlines.pop_due(9) == []
    assert deadlines.pop_due(50) == ["b", "a"]
    assert deadlines.next_ms() is None


def test_a_later_deadline_costs_nothing_until_the_old_one_comes_up() -> None:
    due: dict[str, int | None] = {"a": 10}
    deadlines: Deadlines[str] = Deadlines(due.get)
    deadlines.watch("a", 10)
    due["a"] = 70
    deadlines.watch("a", 70)
    assert deadlines.next_ms() == 70
    assert deadlines.pop_due(69) == []
    due["a"] = 20
    deadlines.watch("a", 20)
    assert deadlines.pop_due(20) == ["a"]
    due["a"] = None
    assert deadlines.next_ms() is None


def test_a_key_that_is_gone_is_never_due() -> None:
    due: dict[str, int | None] = {"a": 10}
    deadlines: Deadlines[str] = Deadlines(due.get)
    deadlines.watch("a", 10)
    deadlines.forget("a")
    deadlines.forget("a")
    assert deadlines.pop_due(99) == []


def test_the_heap_does_not_grow_with_what_is_gone() -> None:
    """L110: memory that grows with every connection or task."""
    due: dict[str, int | None] = {}
    deadlines: Deadlines[str] = Deadlines(due.get)
    for number in range(5 * GARBAGE_MIN):
        due[str(number)] = 10**9 + number
        deadlines.watch(str(number), due[str(number)])
        deadlines.forget(str(number))
    assert len(deadlines._heap) <= GARBAGE_MIN + 1


# --- the shelf ---------------------------------------------------------------------------------------------


def shelved(number: int, size: int = 0, key: str | None = None) -> Task:
    return Task(
        task_id=task_id_of(number),
        spec=Spec(idempotency_key=key, inputs=Raw(b"{}")),
        result=Raw(b'"' + b"x" * size + b'"'),
        done=(StepKept(index=0, output=Raw(b"1")),),
    )


def test_the_shelf_keeps_so_many_and_drops_the_oldest() -> None:
    shelf = Shelf()
    for number in range(SHELF_TASKS_MAX + 10):
        shelf.put(shelved(number, key=f"key-{number}"))
    assert len(shelf) == SHELF_TASKS_MAX
    assert shelf.get(task_id_of(0)) is None
    assert shelf.by_key("key-0") is None
    last = shelf.by_key(f"key-{SHELF_TASKS_MAX + 9}")
    assert last is not None
    shelf.drop(last.task_id)
    shelf.drop(TaskId("task-none"))
    assert shelf.get(last.task_id) is None


def test_the_shelf_is_bounded_in_bytes_too() -> None:
    shelf = Shelf()
    size = SHELF_BYTES_MAX // 4
    for number in range(10):
        shelf.put(shelved(number, size))
    assert len(shelf) == 3
    shelf.put(shelved(99, 2 * SHELF_BYTES_MAX))
    assert len(shelf) == 1, "one is kept, however big it is"


# --- pauses ------------------------------------------------------------------------------------------------


def test_a_backoff_doubles_up_to_five_minutes_and_spreads_over_its_upper_half() -> None:
    policy = Policy()
    assert [backoff_ms(policy, failures, 1.0) for failures in (0, 1, 2, 7, 8, 99)] == [
        2_000,
        4_000,
        8_000,
        256_000,
        300_000,
        300_000,
    ]
    assert backoff_ms(policy, 1, 0.0) == 2_000


def test_a_decline_is_remembered_for_a_second_and_at_most_thirty() -> None:
    assert [decline_ms(Policy(), declines) for declines in (0, 1, 4, 5, 99)] == [
        1_000,
        2_000,
        16_000,
        30_000,
        30_000,
    ]
