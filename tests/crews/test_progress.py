"""How far a crew is: nearer with each call, never back, never done before the result."""

from hypothesis import given, settings
from hypothesis import strategies as st

from crews.progress import CEILING, Meter

STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "call", "finish"]), st.sampled_from(["a", "b", "c", "foreign"])),
    max_size=200,
)


def test_a_crew_of_three_goes_up_as_it_works() -> None:
    meter = Meter(3, task_ids=["a", "b", "c"])
    seen = []
    for task in ("a", "b", "c"):
        meter.begin(task)
        seen.append(meter.percent)
        meter.call(task)
        seen.append(meter.percent)
        meter.finish(task)
        seen.append(meter.percent)
    assert seen == [1, 11, 33, 35, 44, 66, 68, 77, 99]


@settings(deadline=None)
@given(STEPS, st.integers(0, 3))
def test_progress_never_falls_and_never_says_that_it_is_done(
    steps: list[tuple[str, str]], begun_at: int
) -> None:
    """L102: whatever a crew does, in whatever order, the percentage only rises, and 100 is the result's."""
    meter = Meter(3, begun_at=begun_at, task_ids=["a", "b", "c"])
    before = meter.percent
    for verb, task in steps:
        getattr(meter, verb)(task)
        assert before <= meter.percent <= CEILING
        before = meter.percent


def test_many_calls_come_nearer_to_the_end_of_their_task_and_never_reach_it() -> None:
    meter = Meter(2, task_ids=["a", "b"])
    meter.begin("a")
    for _ in range(1000):
        meter.call("a")
    assert meter.percent in {49, 50}
    meter.begin("b")
    assert meter.percent < 55


def test_a_task_of_somebody_else_moves_nothing() -> None:
    meter = Meter(1, task_ids=["a"])
    meter.begin("delegated")
    meter.call("delegated")
    meter.finish("delegated")
    assert meter.percent == 0
    assert meter.index("delegated") is None


def test_a_resumed_run_begins_with_what_was_done_before() -> None:
    meter = Meter(3, begun_at=2, task_ids=["a", "b", "c"])
    assert meter.percent == 66
    meter.begin("c")
    meter.finish("c")
    assert meter.percent == CEILING


def test_a_task_that_was_passed_over_counts_as_done() -> None:
    meter = Meter(3, task_ids=["a", "b", "c"])
    meter.begin("c")
    assert meter.percent == 68


def test_tasks_that_run_at_once_count_together() -> None:
    meter = Meter(2, task_ids=["a", "b"])
    meter.begin("a")
    meter.begin("b")
    meter.finish("b")
    assert meter.percent == 52


def test_tasks_are_counted_as_they_come_where_nobody_told_their_ids() -> None:
    meter = Meter(3, begun_at=1)
    for task in ("x", "x", "y", "one too many"):
        meter.meet(task)
    assert [meter.index(task) for task in ("x", "y", "one too many")] == [1, 2, None]


def test_ids_that_were_told_are_not_added_to() -> None:
    meter = Meter(2, task_ids=["a", "b"])
    meter.meet("c")
    assert meter.index("c") is None


def test_a_crew_without_tasks_is_no_division_by_nothing() -> None:
    assert Meter(0).percent == 0
