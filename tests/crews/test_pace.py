"""How fast a run may talk."""

from crews.pace import LINES_BURST, LINES_PER_S, Pace


def test_a_quick_start_fits_in_whole_and_the_next_line_does_not() -> None:
    pace = Pace(0.0)
    assert [pace.has_room(1, 0.0) for _ in range(LINES_BURST + 1)] == [True] * LINES_BURST + [False]


def test_in_the_long_run_it_is_so_many_lines_a_second() -> None:
    pace = Pace(0.0)
    said = sum(pace.has_room(1, number / 1000) for number in range(10_000))
    assert said in range(LINES_BURST + 10 * LINES_PER_S - 2, LINES_BURST + 10 * LINES_PER_S + 1)


def test_what_is_weighty_is_always_said_and_the_rest_waits_for_it() -> None:
    pace = Pace(0.0)
    assert all(pace.has_room(1, 0.0, is_weighty=True) for _ in range(10 * LINES_BURST))
    assert not pace.has_room(1, 0.0)
    overdrawn_s = (LINES_BURST + 1) / LINES_PER_S
    assert not pace.has_room(1, overdrawn_s - 0.1)
    assert pace.has_room(1, overdrawn_s + 0.1)


def test_trouble_may_overdraw_by_as_much_again_and_no_further() -> None:
    """A crew that fails in a loop must not crowd out everything else."""
    pace = Pace(0.0)
    said = [pace.has_room(1, 0.0, is_trouble=True) for _ in range(2 * LINES_BURST + 1)]
    assert said == [True] * (2 * LINES_BURST) + [False]
    assert pace.has_room(1, 0.0, is_weighty=True)


def test_a_clock_that_stands_still_gives_nothing() -> None:
    pace = Pace(100.0)
    assert pace.has_room(LINES_BURST, 100.0)
    assert not pace.has_room(1, 99.0)
