"""What the tests wait with: it ends when the condition does, and says what never came."""

import threading

import pytest

from tests.waiting import until, until_true


async def test_until_returns_what_the_condition_returned() -> None:
    letters = iter([None, None, "a letter"])
    assert await until(lambda: next(letters), "a letter came") == "a letter"


async def test_until_names_what_never_came_true() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.05 s in vain until the moon rose"):
        await until(lambda: False, "the moon rose", timeout=0.05)


def test_until_true_sees_what_another_thread_does() -> None:
    done = threading.Event()
    threading.Timer(0.02, done.set).start()
    assert until_true(done.is_set, "the other thread was done")


def test_until_true_names_what_never_came_true() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.05 s in vain until the moon rose"):
        until_true(lambda: False, "the moon rose", timeout=0.05)
