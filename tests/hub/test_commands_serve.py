"""`hub serve` as a person starts it: first screen, token, refusals; and how commands find it afterwards."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.commands.places import api_url, find_hub, read_local, write_local
from hub.commands.serve import check_exposure, is_loopback, reachable
from hub.settings import Settings
from tests.hub.conftest import free_port
from tests.hub.typing_hands import Said, line_of, local_file, run, said_by, typed


@asynccontextmanager
async def served(*words: str, **environ: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A hub on a free port and its address, as it says it on standard output."""
    async with typed(None, "serve", "--port", "0", *words, **environ) as process:
        line = await line_of(process.stdout)
        assert line, (await said_by(process)).err
        yield process, json.loads(line)["url"]


async def served_and_drained(*words: str) -> Said:
    async with served(*words) as (process, _):
        return await said_by(process, signal.SIGTERM)


def kept_token() -> str:
    return str(json.loads(local_file().read_text())["admin_token"])


async def test_the_first_start_shows_a_token_once_and_how_to_go_on() -> None:
    async with served() as (process, url):
        assert (await run(None, "tasks", "list")).code == 0
        kept = json.loads(local_file().read_text())
        assert kept["hub_api_url"] == url
        assert kept["hub_ws_url"] == url.replace("http", "ws") + "/ws"
        first = await said_by(process, signal.SIGTERM)
    assert first.code == 0
    assert first.err.count(kept_token()) == 1
    assert kept_token() not in first.out
    for step in (
        f"{url}/",
        "sidecar connect --agent-id alice",
        'hub push alice "say hello" --watch',
        "sidecar connect --agent-id crew --plugins shipped --model offline",
        "curl ",
    ):
        assert step in first.err
    assert local_file().stat().st_mode & 0o777 == 0o600
    second = await served_and_drained()
    assert second.code == 0
    assert "huba_" not in second.out + second.err


async def test_whoever_starts_a_hub_and_has_lost_the_token_is_let_in_again() -> None:
    await served_and_drained()
    first = kept_token()
    local_file().unlink()
    async with served() as (process, url):
        second = kept_token()
        assert (await run(None, "tasks", "list")).code == 0
        assert (await run(None, "tasks", "list", "--hub", url, HUB_TOKEN=first)).code == 0
        said = await said_by(process, signal.SIGTERM)
    assert second != first
    assert second not in said.out + said.err
    assert str(local_file()) in said.err
    assert local_file().stat().st_mode & 0o777 == 0o600
    write_local("http://127.0.0.1:1", "huba_of_another_hub")
    async with served() as (process, url):
        third = kept_token()
        assert (await run(None, "tasks", "list")).code == 0
        # Renewed ones replace each other: a hub that loses its file at every start hoards none.
        assert (await run(None, "tasks", "list", "--hub", url, HUB_TOKEN=second)).code == 4
    assert third not in (first, second)


async def test_a_hub_that_cannot_start_says_why_and_what_to_do() -> None:
    refused = await run(None, "serve", "--host", "0.0.0.0")
    assert refused.code == 2
    assert "--tls-cert" in refused.err
    assert "--insecure" in refused.err
    unknown = await run(None, "serve", "--database", "mysql://somewhere")
    assert unknown.code == 2
    assert "sqlite:///FILE" in unknown.err
    wrong = await run(None, "serve", HUB_LEASE_MS="1")
    assert wrong.code == 2
    assert "lease_ms" in wrong.err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = await run(None, "serve", "--port", str(taken.getsockname()[1]))
    assert busy.code == 78
    assert "cannot listen" in busy.err


async def test_a_configuration_file_is_obeyed(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "my.toml").write_text(
        f'port = {port}\nstate_dir = "{tmp_path}/there"\ndatabase = "sqlite:///{tmp_path}/there/ledger.db"\n'
    )
    async with typed(None, "serve", "--config", str(tmp_path / "my.toml")) as process:
        assert json.loads(await line_of(process.stdout))["url"] == f"http://127.0.0.1:{port}"
        assert (tmp_path / "there" / "ledger.db").exists()
        assert (await said_by(process, signal.SIGINT)).code == 0


def test_only_loopback_is_served_in_plain_http(capsys: pytest.CaptureFixture[str]) -> None:
    from console.output import CommandFailed, Output

    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "10.0.0.1", "hub")] == [
        *(True, True, True, False, False)
    ]
    with pytest.raises(CommandFailed, match="--insecure"):
        check_exposure(Settings(host="10.0.0.1"), Output())
    check_exposure(Settings(host="10.0.0.1", insecure=True), Output())
    assert "plain http" in capsys.readouterr().err
    check_exposure(Settings(host="10.0.0.1", tls_cert=Path("c"), tls_key=Path("k")), Output())
    assert reachable("http://0.0.0.0:4000") == "http://127.0.0.1:4000"
    assert reachable("https://[::]:4000") == "https://[::1]:4000"


def test_a_hub_is_found_by_flag_environment_file_and_last_the_local_note(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    write_local("http://127.0.0.1:4000", "local-token")
    assert (find_hub().url, find_hub().token) == ("http://127.0.0.1:4000", "local-token")
    (tmp_path / "hub.toml").write_text('url = "https://file.example"\n')
    assert (find_hub().url, find_hub().token) == ("https://file.example", None)
    monkeypatch.setenv("HUB_URL", "wss://env.example/ws")
    assert find_hub().url == "https://env.example"
    (tmp_path / "secret").write_text("from-a-file\n")
    place = find_hub("flag.example:4000/", str(tmp_path / "secret"), "ca.pem")
    assert (place.url, place.token, place.ca_file) == ("http://flag.example:4000", "from-a-file", "ca.pem")
    # The local token goes to the local hub and to no other.
    assert find_hub("http://127.0.0.1:4000").token == "local-token"
    assert find_hub("http://127.0.0.1:4001").token is None
    assert api_url("") == ""
    local_file().write_text("[1]")
    assert read_local() == {}
