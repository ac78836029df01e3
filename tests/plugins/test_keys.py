"""Credentials are taken out of a task's inputs before anybody else sees them."""

from hypothesis import given
from hypothesis import strategies as st

from plugins import keys


def test_every_marked_input_is_a_credential_and_no_setting() -> None:
    """L40."""
    inputs = {"_llm_model": "m", "_llm_api_key": "k", "_llm_base_url": "u", "_weather_key": "w", "topic": "t"}
    settings, credentials = keys.split(inputs)
    assert settings == {"topic": "t"}
    assert credentials == {"llm_model": "m", "llm_api_key": "k", "llm_base_url": "u", "weather_key": "w"}


def test_the_key_of_the_search_has_one_name_in_a_run() -> None:
    for name in ("_tavily_api_key", "_search_api_key", "_search_key"):
        assert keys.split({name: "s"}) == ({}, {"search_key": "s"})


def test_nothing_is_no_credential() -> None:
    assert keys.split({"_llm_api_key": None, "_llm_model": ""}) == ({}, {})


def test_the_inputs_themselves_stay_as_they_are() -> None:
    inputs = {"_a": "1", "b": [1]}
    keys.split(inputs)
    assert inputs == {"_a": "1", "b": [1]}


@given(st.dictionaries(st.text(max_size=6), st.one_of(st.none(), st.integers(), st.text(max_size=4))))
def test_no_input_is_both_setting_and_credential(inputs: dict[str, int | str | None]) -> None:
    settings, credentials = keys.split(inputs)
    assert not [key for key in settings if key.startswith("_")]
    assert set(settings) == {key for key in inputs if not key.startswith("_")}
    assert all(value in inputs.values() for value in credentials.values())
