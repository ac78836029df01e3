"""What a user may set, and the sentences for what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.commands.config import shown
from hub.errors import ConfigurationError
from hub.settings import RANGES, Settings, with_kept_names


@pytest.mark.parametrize("name", RANGES)
def test_a_number_out_of_its_range_is_named_with_the_range(name: str) -> None:
    least, most = RANGES[name]
    for wrong in (least - 1, most + 1):
        with pytest.raises(ConfigurationError, match=f"{name} is .* must be from {least} to {most}"):
            Settings(**{name: wrong})  # type: ignore[arg-type]  # the names are those of the numbers


def test_every_default_is_allowed() -> None:
    Settings()


def test_a_lease_must_outlive_two_lost_heartbeats() -> None:
    with pytest.raises(ConfigurationError, match="3 heartbeats"):
        Settings(lease_ms=20_000, heartbeat_ms=10_000)


def test_a_dead_line_is_noticed_before_its_leases_end() -> None:
    settings = Settings(lease_ms=9_000, heartbeat_ms=3_000)
    assert settings.silence_ms < settings.lease_ms


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ConfigurationError, match="belong together"):
        Settings(tls_cert=Path("cert.pem"))


def test_the_variables_of_existing_deployments_go_on_working() -> None:
    found = with_kept_names({"REDIS_URL": "redis://old", "PLUGIN_DIR": "/plugins"})
    assert (found["HUB_REDIS"], found["HUB_PLUGINS"]) == ("redis://old", "/plugins")


@pytest.mark.parametrize("newer", ["HUB_REDIS", "HUB_REDIS_FILE"])
def test_a_new_name_is_stronger_than_the_one_that_was_kept(newer: str) -> None:
    found = with_kept_names({"REDIS_URL": "redis://old", newer: "new"})
    assert found.get("HUB_REDIS", "new") == "new"


def test_a_hub_that_hands_its_runs_to_streams_does_not_take_them_back() -> None:
    assert Settings(redis="redis://here").consumes_requests
    assert not Settings(redis="redis://here", streams_consume=False).consumes_requests
    assert not Settings(redis="redis://here", runs_by="streams").consumes_requests
    assert not Settings().consumes_requests


def test_an_address_that_may_hold_a_password_is_not_printed_with_the_settings() -> None:
    assert "hunter2" not in repr(Settings(redis="redis://:hunter2@here", hooks={"n8n": "hunter2"}))
    assert shown("redis", "redis://:hunter2@here") == shown("hooks", {"n8n": "hunter2"}) == "(set)"
