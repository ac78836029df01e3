"""The `sidecar` command as a person and a script meet it: sentences, exit codes, what is never imported."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from protocol import frames as f
from tests.sidecar.dialogue import raw
from tests.sidecar.hubdouble import HubDouble, hub_double
from tests.sidecar.process import ROOT, sidecar_process


@pytest.fixture
async def hub() -> AsyncIterator[HubDouble]:
    async with hub_double() as double:
        yield double


class Api(BaseHTTPRequestHandler):
    """The few HTTP answers that a sidecar asks for before it dials."""

    asked: list[tuple[str, dict[str, Any], str]]
    status = 201

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append((self.path, body, self.headers["Authorization"]))
        answer = json.dumps({"agent_id": body["agent_id"], "token": f"minted-{len(type(self).asked)}"})
        self.send_response(type(self).status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def api() -> Any:
    kind = type("ThisApi", (Api,), {"asked": [], "status": 201})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kind.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]  # a note for the tests
    yield kind
    server.shutdown()
    server.server_close()
    thread.join()


def write_local_hub(home: Path, hub: HubDouble, api: Any) -> None:
    folder = home / ".config" / "crewhub"
    folder.mkdir(parents=True)
    (folder / "local-hub.json").write_text(
        json.dumps({"hub_ws_url": hub.url, "hub_api_url": api.url, "admin_token": "admin"})
    )


async def run(*arguments: str, text: str = "") -> tuple[int, str, str]:
    async with sidecar_process(*arguments) as process:
        return await process.end()


async def test_with_nothing_configured_the_local_hub_is_found_and_asked_once(
    hub: HubDouble, api: Any, own_house: Path
) -> None:
    write_local_hub(own_house, hub, api)
    for _ in range(2):
        async with sidecar_process("connect", "--once") as process:
            await hub.caller(len(hub.callers) + 1)
            await hub.assign(len(hub.callers))
            code, _, err = await process.end()
            assert code == 0
            assert "no runner is configured: using echo" in err
    (asked,) = api.asked
    assert (asked[0], asked[1]["role"], asked[2]) == ("/admin/tokens", "agent", "Bearer admin")
    assert [headers["Authorization"] for headers in hub.headers] == ["Bearer minted-1"] * 2
    (token,) = (own_house / ".local" / "state" / "crewhub" / "sidecar").glob("*/token")
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.parent.stat().st_mode & 0o777 == 0o700


async def test_a_token_that_went_with_the_local_hubs_database_is_asked_for_once_more(
    hub: HubDouble, api: Any, own_house: Path
) -> None:
    write_local_hub(own_house, hub, api)
    async with sidecar_process("connect", "--agent-id", "a") as process:
        caller = await hub.caller()
        await caller.socket.close(4401, "invalid_token")
        await hub.caller(2)
        assert hub.headers[-1]["Authorization"] == "Bearer minted-2"
        process.process.terminate()
        code, _, _ = await process.end()
        assert code == 0


async def test_a_join_code_becomes_a_token_of_our_own(hub: HubDouble, api: Any, own_house: Path) -> None:
    code, _, err = await run("join", api.url, "the-code", "--agent-id", "a")
    assert code == 0, err
    assert api.asked == [("/api/onboard/register", {"agent_id": "a"}, "Bearer the-code")]
    assert "sidecar connect" in err
    api.status = 401
    code, _, err = await run("join", api.url, "used", "--agent-id", "b")
    assert (code, "does not accept" in err) == (4, True)
    api.status = 409
    code, _, err = await run("join", api.url, "code", "--agent-id", "b")
    assert (code, "registered already" in err) == (4, True)
    api.status = 422
    assert (await run("join", api.url, "code", "--agent-id", "b"))[0] == 2
    api.status = 500
    assert (await run("join", api.url, "code", "--agent-id", "b"))[0] == 5


async def test_status_shows_what_it_does_and_how_its_connections_ended(
    hub: HubDouble, tmp_path: Path
) -> None:
    """L61"""
    state = ("--state-dir", str(tmp_path / "s"), "--agent-id", "a")
    code, _, err = await run("status", *state)
    assert (code, "no sidecar `a` has run here" in err) == (1, True)
    (tmp_path / "t").write_text("t")
    async with sidecar_process("connect", hub.url, *state, "--token-file", str(tmp_path / "t")) as process:
        caller = await hub.caller()
        await caller.socket.close(1012, "restart")
        await hub.caller(2)

        def shown() -> Any:
            done = subprocess.run(
                [sys.executable, "-m", "sidecar.cli", "status", *state, "--json"],
                cwd=ROOT,
                capture_output=True,
                check=False,
            )
            found = json.loads(done.stdout)
            return found if found["state"] == "ready" and found["closes"] else None

        async with asyncio.timeout(60):
            while (found := await asyncio.to_thread(shown)) is None:
                await asyncio.to_thread(lambda: None)
        (close,) = found["closes"]
        assert (close["code"], close["reason"], close["side"], close["dial"]) == (1012, "restart", "hub", 1)
        assert found["pid"] == process.process.pid
        code, _, err = await run("connect", hub.url, *state, "--token-file", str(tmp_path / "t"))
        assert (code, "already works" in err) == (1, True)
        code, _, err = await run("drain", *state)
        assert code == 0
        assert (await process.end())[0] == 0
    code, out, _ = await run("status", *state, "--no-json")
    assert code == 1
    assert "stopped" in out
    assert "restart" in out
    assert (await run("drain", *state))[0] == 1


async def test_a_health_port_answers_while_the_sidecar_works(hub: HubDouble, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("t")
    port = _free_port()
    state = ("--state-dir", str(tmp_path / "s"), "--agent-id", "a", "--token-file", str(tmp_path / "t"))
    async with sidecar_process("connect", hub.url, *state, "--health-port", str(port)):
        await hub.caller()
        await hub.assign(1, metadata=raw('{"echo": {"sleep_ms": 600000}}'))
        await hub.fact(f.TaskAccepted, 1)

        async def ask(path: str) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer

        assert b'{"status":"alive"}' in await ask("/health/live")
        assert b'"status":"ready"' in await ask("/health/ready")
        await hub.close()
        async with asyncio.timeout(60):
            while b"503" not in (answer := await ask("/health/ready")):
                pass
        assert b"not connected" in answer
        await hub.open()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["connect"], 5, "hub serve"),
        (["connect", "ws://127.0.0.1:9", "--agent-id", "a"], 4, "--token-file"),
        (["connect", "ftp://x", "--agent-id", "a"], 2, "not the address of a hub"),
        (["connect", "ws://u:p@x", "--agent-id", "a"], 2, "neither a user"),
        (["connect", "--slots", "0", "--agent-id", "a"], 2, "slots is 0"),
        (["connect", "--agent-id", "broadcast"], 2, "broadcast"),
        (["connect", "--agent-id", "a", "--token-file", "/nowhere"], 2, "/nowhere"),
        (["connect", "--agent-id", "a", "--config", "/nowhere.toml"], 2, "/nowhere.toml"),
        (["connect", "--command", "relative/program", "--agent-id", "a"], 2, "command"),
        (["conect"], 2, ""),
    ],
)
async def test_a_mistake_is_a_sentence_and_an_exit_code(
    arguments: list[str], code: int, sentence: str
) -> None:
    found, _, err = await run(*arguments)
    assert "Traceback" not in err
    assert sentence in err
    assert found == code


async def test_the_environment_and_a_file_say_what_flags_do_not(
    hub: HubDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").write_text("from-a-file\n")
    (tmp_path / "s.toml").write_text('agent_id = "named"\nslots = 3\n[labels]\nzone = "eu"\n')
    monkeypatch.setenv("SIDECAR_TOKEN_FILE", str(tmp_path / "t"))
    monkeypatch.setenv("SIDECAR_HUB_URL", hub.url.replace("ws://", "http://").removesuffix("/ws"))
    monkeypatch.setenv("SIDECAR_CAPABILITY", "x")
    arguments = ("--config", str(tmp_path / "s.toml"), "--capability", "python", "--capability", "gpu")
    async with sidecar_process("connect", *arguments, "--once") as process:
        caller = await hub.caller()
        assert hub.headers[0]["Authorization"] == "Bearer from-a-file"
        identify = caller.identify
        assert (identify.agent_id, identify.slots, identify.capabilities) == ("named", 3, ("python", "gpu"))
        assert identify.labels["zone"] == "eu"
        await hub.assign(1)
        code, _, err = await process.end()
        assert code == 0
        assert "did you mean SIDECAR_CAPABILITIES" in err


async def test_the_doctor_finds_what_is_wrong_and_says_what_to_do(hub: HubDouble, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("t")
    state = ("--state-dir", str(tmp_path / "s"), "--agent-id", "a")
    token = ("--token-file", str(tmp_path / "t"))
    code, out, _ = await run("doctor", hub.url, *state, *token)
    assert (code, "accepts the token" in out) == (0, True)
    code, out, _ = await run("doctor", "ws://127.0.0.1:9", *state, *token)
    assert (code, "no hub answers" in out) == (5, True)
    code, out, _ = await run("doctor", *state)
    assert (code, "hub serve" in out) == (5, True)
    from http import HTTPStatus

    hub.refusal = HTTPStatus.UNAUTHORIZED
    code, out, _ = await run("doctor", hub.url, *state, *token)
    assert (code, "does not accept" in out) == (4, True)
    hub.refusal = HTTPStatus.NOT_FOUND
    assert (await run("doctor", hub.url, *state, *token))[0] == 5
    (tmp_path / "s" / "journal").write_bytes(b"rubbish")
    _, out, _ = await run("doctor", hub.url, *state, *token)
    assert "damaged" in out


def test_connecting_imports_neither_the_hub_nor_a_framework() -> None:
    """CrewAI and its tree only in the child's environment; no database, no web framework at the sidecar."""
    script = """
import sys
import sidecar.cli, sidecar.connect, sidecar.enrol, sidecar.doctor, console.logs, console.options
found = {name.partition(".")[0] for name in sys.modules}
heavy = {"hub", "sqlmodel", "sqlalchemy", "starlette", "uvicorn", "crewai", "pydantic", "httpx", "apsw"}
print(sorted(found & heavy))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_help_imports_next_to_nothing() -> None:
    script = "import sys, sidecar.cli; print('websockets' in sys.modules, 'sidecar.desk' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
