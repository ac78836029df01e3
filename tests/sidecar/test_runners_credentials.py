"""Which keys a run gets, what it must not say, and what its environment never holds."""

import pytest

from plugins.quiet import CLEAN
from sidecar.runners.credentials import Account, keys_of, secrets_of
from sidecar.runners.handover import PASSED_ON, check_passed_on
from sidecar.runners.surroundings import check_crew_environment, passed_on

OWN = Account(model="openai/gpt", model_key="own-key", model_url="https://own", search_key="own-search")


def test_a_task_without_keys_gets_those_of_the_sidecar() -> None:
    assert keys_of({}, OWN) == {
        "llm_model": "openai/gpt",
        "llm_api_key": "own-key",
        "llm_base_url": "https://own",
        "search_key": "own-search",
    }


def test_a_task_may_name_another_model_of_the_same_account() -> None:
    found = keys_of({"llm_model": "openai/other"}, OWN)
    assert found["llm_model"] == "openai/other"
    assert found["llm_api_key"] == "own-key"


@pytest.mark.parametrize("brought", [{"llm_base_url": "https://evil"}, {"llm_api_key": "its-key"}])
def test_the_key_of_the_sidecar_never_goes_to_an_address_that_a_task_brought(brought: dict[str, str]) -> None:
    """X5: or whoever may push a task would read the owner's key on a server of his own."""
    found = keys_of(brought, OWN)
    assert "own-key" not in found.values()
    assert "https://own" not in found.values()
    assert found.items() >= brought.items()


def test_a_key_that_nobody_gave_is_not_there() -> None:
    assert keys_of({}, Account()) == {}
    assert keys_of({"github_token": "x"}, Account(model="offline")) == {
        "llm_model": "offline",
        "github_token": "x",
    }


def test_every_key_is_a_secret_and_the_name_of_a_model_is_none() -> None:
    """L40: people want to read which model worked."""
    own = Account(model="openai/gpt", model_key="own-key", model_url="https://me:pass-word@own")
    inputs = {"_llm_model": "openai/x", "_llm_api_key": "k1", "_odd": {"a": ["k2", 3]}, "topics": ["ai"]}
    assert secrets_of(inputs, own) == {"own-key", "pass-word", "k1", "k2"}
    assert secrets_of({}, Account()) == set()


def test_an_account_that_is_printed_shows_no_key() -> None:
    """L40."""
    assert repr(OWN) == "Account(model='openai/gpt')"


def test_a_crew_sees_what_is_listed_of_the_sidecars_environment_and_nothing_else() -> None:
    """L40."""
    environ = {"PATH": "/bin", "LISTED": "1", "OPENAI_API_KEY": "k", "LANG": "C"}
    assert passed_on(("LISTED", "ABSENT"), environ) == {"PATH": "/bin", "LANG": "C", "LISTED": "1"}
    assert not set(PASSED_ON) & set(CLEAN)


@pytest.mark.parametrize("name", ["SIDECAR_TOKEN", "HUB_TOKEN", "CREWHUB_RUN"])
def test_a_variable_of_the_sidecars_own_is_passed_on_to_nobody(name: str) -> None:
    """L40."""
    for check in (check_passed_on, check_crew_environment):
        with pytest.raises(ValueError, match=f"{name} belongs to the sidecar"):
            check(("PATH", name))
