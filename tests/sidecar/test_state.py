"""The state folder: private, locked, and honest; and the addresses that people write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.clock import SidecarClock, date_of
from sidecar.errors import NotAuthorised, SettingsError, SidecarError, StateError
from sidecar.settings import Settings, http_url, websocket_url
from sidecar.state import KeptToken, StateFolder


def test_two_sidecars_never_share_a_journal(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "s")
    folder.create()
    assert folder.running_pid() is None
    folder.lock()
    assert folder.running_pid() == os.getpid()
    with pytest.raises(StateError, match=f"pid {os.getpid()}"):
        StateFolder(tmp_path / "s").lock()
    folder.unlock()
    folder.unlock()
    assert folder.running_pid() is None
    folder.lock()
    folder.unlock()


def test_a_folder_that_others_may_look_into_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o755)
    with pytest.raises(StateError, match="chmod 700"):
        StateFolder(tmp_path / "s").create()
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be used"):
        StateFolder(tmp_path / "file" / "s").create()
    assert StateFolder(tmp_path / "nowhere").running_pid() is None


def test_a_token_is_kept_for_its_hub_and_only_for_us(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "s")
    folder.create()
    assert folder.kept_token() is None
    folder.keep_token(KeptToken("ws://h/ws", "t"))
    assert folder.kept_token() == KeptToken("ws://h/ws", "t")
    assert (tmp_path / "s" / "token").stat().st_mode & 0o777 == 0o600
    (tmp_path / "s" / "token").write_text("{")
    with pytest.raises(StateError, match="cannot be read"):
        folder.kept_token()
    folder.forget_token()
    folder.forget_token()


def test_a_status_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "s")
    folder.create()
    assert folder.kept_status() is None
    folder.keep_status({"state": "ready"})
    assert folder.kept_status() == {"state": "ready"}
    (tmp_path / "s" / "status.json").write_text("[1]")
    assert folder.kept_status() is None
    StateFolder(tmp_path / "nowhere").keep_status({})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("hub.example.org", "ws://hub.example.org/ws"),
        ("https://hub.example.org", "wss://hub.example.org/ws"),
        ("http://localhost:4000/", "ws://localhost:4000/ws"),
        ("wss://hub.example.org/crew/ws", "wss://hub.example.org/crew/ws"),
        ("ws://[::1]:4000", "ws://[::1]:4000/ws"),
    ],
)
def test_any_form_of_the_hubs_address_is_understood(written: str, meant: str) -> None:
    assert websocket_url(written) == meant
    assert websocket_url(http_url(meant)) == meant


@pytest.mark.parametrize("written", ["ftp://x", "ws://", "wss://u:p@x", "ws://x?token=1", ""])
def test_an_address_that_is_none_or_holds_a_secret_is_refused(written: str) -> None:
    with pytest.raises(SettingsError):
        websocket_url(written)


@pytest.mark.parametrize(
    "wrong",
    [
        {"slots": 0},
        {"health_port": 70_000},
        {"agent_id": "a\nb"},
        {"agent_id": "x" * 129},
        {"agent_id": "broadcast"},
        {"retry_least_ms": 100, "retry_most_ms": 50},
    ],
)
def test_a_setting_out_of_its_bounds_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Settings(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_name_is_never_a_path(tmp_path: Path) -> None:
    assert Settings(agent_id="../../etc/x").folder.name == "..%2F..%2Fetc%2Fx"
    assert Settings(agent_id="a", state_dir=tmp_path).folder == tmp_path


def test_each_error_has_its_exit_code() -> None:
    assert [kind.exit_code for kind in (SidecarError, SettingsError, NotAuthorised)] == [1, 2, 4]


async def test_the_clock_waits_for_an_event_or_a_time() -> None:
    import asyncio

    clock, event = SidecarClock(), asyncio.Event()
    start = clock.now().mono_ms
    await clock.wait(event, start + 5)
    assert clock.now().mono_ms >= start + 5
    await clock.wait(event, start)
    event.set()
    await clock.wait(event, start + 60_000)
    await clock.wait(event, None)
    assert clock.asleep_ms() >= 0
    assert date_of(0) == "1970-01-01T00:00:00Z"
