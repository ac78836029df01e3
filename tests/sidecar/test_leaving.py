"""When a sidecar's process may end."""

import pytest

from sidecar.leaving import Leaving


@pytest.mark.parametrize(
    ("once", "is_stopping", "has_facts", "has_link", "may_leave"),
    [
        (False, False, False, True, True),
        (False, False, True, True, False),
        (False, False, True, False, True),
        (True, False, True, False, False),
        (True, True, True, False, True),
        (False, True, True, True, True),
    ],
)
def test_whoever_has_facts_waits_for_receipts_unless_nobody_gives_them(
    once: bool, is_stopping: bool, has_facts: bool, has_link: bool, may_leave: bool
) -> None:
    leaving = Leaving(once=once)
    leaving.drain()
    leaving.is_stopping = is_stopping
    assert leaving.is_time(has_runs=False, has_facts=has_facts, has_link=has_link) is may_leave


def test_a_sidecar_leaves_once_and_never_with_a_run_or_before_it_takes_no_more() -> None:
    leaving = Leaving(once=False)
    assert not leaving.is_time(has_runs=False, has_facts=False, has_link=True)
    assert [leaving.drain(), leaving.drain()] == [True, False]
    assert not leaving.is_time(has_runs=True, has_facts=False, has_link=True)
    assert leaving.is_time(has_runs=False, has_facts=False, has_link=True)
    assert not leaving.is_time(has_runs=False, has_facts=False, has_link=True)
