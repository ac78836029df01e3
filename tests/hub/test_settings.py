"""What a user may set, and the sentences for what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.errors import ConfigurationError
from hub.settings import RANGES, Settings


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
