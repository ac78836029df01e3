"""Sentences about trouble: the cause is in them, and they say whether another attempt could help."""

from typing import Any

import pytest

from crews.wording import SENTENCE_LENGTH_MAX, may_pass, named, retry_after_ms, sentence, status_of


class RateLimitError(Exception):
    """As providers call it."""


class AuthenticationError(Exception):
    """As providers call it."""


class StatusError(Exception):
    """An exception that carries a provider's answer."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"HTTP {status}")
        self.response = Answer(status, headers or {})


class Answer:
    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status_code = status
        self.headers = headers


def from_cause(outer: BaseException, cause: BaseException) -> BaseException:
    outer.__cause__ = cause
    return outer


def in_context(outer: BaseException, context: BaseException) -> BaseException:
    outer.__context__ = context
    return outer


def test_the_sentence_has_every_cause_that_was_named() -> None:
    """L92: a general error must not hide what it came from."""
    trouble = from_cause(
        RuntimeError("the crew failed"), from_cause(RateLimitError("slow\n down"), OSError("EOF"))
    )
    assert sentence("write_task", trouble) == (
        "write_task: RuntimeError: the crew failed (from RateLimitError: slow down; from OSError: EOF)"
    )


def test_what_happened_on_the_way_is_not_told_as_a_cause() -> None:
    trouble = in_context(ValueError("bad"), RuntimeError("no running event loop"))
    assert sentence("x", trouble) == "x: ValueError: bad"


def test_a_cause_that_repeats_another_is_told_once() -> None:
    trouble = from_cause(RuntimeError("Error: slow down"), RateLimitError("slow down"))
    assert sentence("x", trouble) == "x: RuntimeError: Error: slow down"
    assert named(SystemExit()) == "SystemExit"


def test_a_page_of_a_provider_is_cut_to_a_sentence() -> None:
    assert len(sentence("x", ValueError("y" * 10_000))) == SENTENCE_LENGTH_MAX
    exact = "y" * (SENTENCE_LENGTH_MAX - len("x: ValueError: "))
    assert sentence("x", ValueError(exact)) == f"x: ValueError: {exact}"


def test_causes_that_go_in_a_circle_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    from_cause(first, from_cause(second, first))
    assert sentence("x", first) == "x: ValueError: first (from ValueError: second)"
    assert may_pass(first)


@pytest.mark.parametrize(
    ("trouble", "passes"),
    [
        (RateLimitError("slow down"), True),
        (AuthenticationError("who are you"), False),
        (from_cause(RuntimeError("the call failed"), AuthenticationError("who")), False),
        (from_cause(RuntimeError("the call failed"), ConnectionResetError("gone")), True),
        (in_context(RuntimeError("the call failed"), AuthenticationError("who")), False),
        (StatusError(401), False),
        (StatusError(400), False),
        (StatusError(404), False),
        (StatusError(408), True),
        (StatusError(429), True),
        (StatusError(499), False),
        (StatusError(500), True),
        (StatusError(529), True),
        (TimeoutError("late"), True),
        (KeyError("colour"), False),
        (ModuleNotFoundError("litellm"), False),
        (RuntimeError("something else"), True),
        (ValueError("Invalid response from LLM call - None or empty."), True),
    ],
)
def test_a_wrong_key_or_a_bug_stays_and_the_weather_passes(trouble: BaseException, passes: bool) -> None:
    assert may_pass(trouble) is passes


@pytest.mark.parametrize(
    ("asked", "wait_ms"),
    [
        ({"retry-after": "7"}, 7_000),
        ({"retry-after": "99999"}, 3_600_000),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_provider_that_asks_for_time_gets_it(asked: dict[str, str], wait_ms: Any) -> None:
    trouble = from_cause(RuntimeError("the call failed"), StatusError(429, asked))
    assert retry_after_ms(trouble) == wait_ms
    assert status_of(trouble) is None
