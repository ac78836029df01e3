"""Tokens: summed from completed calls, by model, whatever the provider calls them."""

import math

import pytest

from crews.usage import CALLS_MAX, MODELS_MAX, OTHERS, Tally, Used, used_in


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Used(10, 5)),
        ({"prompt_token_count": 10, "candidates_token_count": 5}, Used(10, 5)),
        ({"input_tokens": 10, "output_tokens": 5}, Used(10, 5)),
        ({"inputTokens": 10, "outputTokens": 5}, Used(10, 5)),
        (
            {
                "input_tokens": 10,
                "output_tokens": 5,
                "cache_read_input_tokens": 3,
                "cache_creation_input_tokens": 4,
            },
            Used(17, 5),
        ),
        ({"prompt_tokens": 10, "cache_read_input_tokens": 3, "completion_tokens": 5}, Used(10, 5)),
        ({"total_tokens": 7}, Used(7, 0)),
        ({"prompt_tokens": None, "input_tokens": 4, "completion_tokens": None}, Used(4, 0)),
        ({"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.25}, Used(1, 2, 0.25)),
    ],
)
def test_each_provider_s_words_for_tokens_are_known(usage: dict[str, object], expected: Used) -> None:
    assert used_in(usage) == expected


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        "10",
        {"prompt_tokens": "many"},
        {"prompt_tokens": True},
        {"prompt_tokens": -3, "completion_tokens": math.nan},
        {"prompt_tokens": math.inf, "cost": math.nan},
        {"prompt_tokens": {"cached": 3}},
    ],
)
def test_what_is_no_number_counts_nothing(usage: object) -> None:
    assert used_in(usage) == Used()


def test_calls_add_up_by_model_and_in_all() -> None:
    tally = Tally()
    tally.add("1", "small", {"prompt_tokens": 10, "completion_tokens": 1})
    tally.add("2", "large", {"prompt_tokens": 20, "completion_tokens": 2})
    tally.add("3", "small", {"prompt_tokens": 30, "completion_tokens": 3})
    assert tally.by_model == {"small": Used(40, 4), "large": Used(20, 2)}
    assert tally.line() == {"tokens_in": 60, "tokens_out": 6, "model": "large, small"}


def test_a_call_that_is_told_twice_counts_once() -> None:
    tally = Tally()
    assert tally.add("1", "m", {"prompt_tokens": 10, "completion_tokens": 1}) == Used(10, 1)
    assert tally.add("1", "m", {"prompt_tokens": 10, "completion_tokens": 1}) == Used()
    assert tally.add("1", "m", None) == Used()
    assert tally.total == Used(10, 1)


def test_a_call_that_is_told_again_with_more_counts_the_rest() -> None:
    tally = Tally()
    tally.add("1", "m", {"prompt_tokens": 10})
    assert tally.add("1", "m", {"prompt_tokens": 10, "completion_tokens": 5}) == Used(0, 5)
    assert tally.total == Used(10, 5)


def test_calls_without_an_id_are_all_counted() -> None:
    tally = Tally()
    tally.add("", "m", {"prompt_tokens": 1})
    tally.add("", "m", {"prompt_tokens": 1})
    assert tally.total == Used(2, 0)


def test_a_run_that_used_nothing_names_no_model() -> None:
    tally = Tally()
    tally.add("1", "m", None)
    assert tally.line() == {"tokens_in": 0, "tokens_out": 0}


def test_a_run_with_ever_new_models_counts_the_last_of_them_as_one() -> None:
    tally = Tally()
    for number in range(MODELS_MAX + 2):
        tally.add(f"{number}", f"model-{number}", {"prompt_tokens": 1})
    assert len(tally.by_model) == MODELS_MAX + 1
    assert tally.by_model[OTHERS] == Used(2, 0)
    assert tally.total == Used(MODELS_MAX + 2, 0)


def test_old_calls_are_forgotten_and_their_tokens_are_not() -> None:
    tally = Tally()
    for number in range(CALLS_MAX + 10):
        tally.add(f"{number}", "m", {"prompt_tokens": 1})
    assert len(tally._calls) == CALLS_MAX
    assert tally.total == Used(CALLS_MAX + 10, 0)
