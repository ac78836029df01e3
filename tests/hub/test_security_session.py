"""How long a session of the page lasts, which pages are the hub's own, and what ends with a session."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import ssl
import subprocess
from pathlib import Path

import httpx
import msgspec
import pytest
import websockets
from starlette.requests import HTTPConnection

from hub import server
from hub.api.session import (
    ABSOLUTE_MS,
    COOKIE_PLAIN,
    CSRF_HEADER,
    IDLE_MS,
    LOGGED_OUT_MAX,
    RENEW_MS,
    Sessions,
)
from hub.api.throttle import FAILURES_PER_MINUTE, JOINS_PER_MINUTE, Throttle
from hub.app import create_app
from hub.auth import Role
from hub.census import Trusted
from hub.core.task import Now
from hub.guards import STRANGER_BYTES_MAX
from hub.housekeeping import TOKENS_EVERY_MS, watch_tokens
from hub.life import Life
from hub.origin import is_own
from hub.ports import Clock
from hub.settings import Settings
from protocol.ids import TokenId
from tests.hub.conftest import RunningHub
from tests.hub.peers import V2Peer
from tests.waiting import until

OWN_PAGE = {CSRF_HEADER: "1"}
BORN = 1_700_000_000_000
TOKEN = TokenId("tok-1")


def test_a_session_ends_half_an_hour_after_its_last_use() -> None:
    """B1."""
    sessions = Sessions(b"k" * 32)
    cookie = sessions.issue(TOKEN, BORN)
    assert sessions.read(cookie, BORN + IDLE_MS) is not None
    assert sessions.read(cookie, BORN + IDLE_MS + 1) is None
    assert IDLE_MS == 30 * 60_000


def test_a_session_in_use_ends_twelve_hours_after_its_login() -> None:
    """B1: renewed as often as one likes."""
    sessions = Sessions(b"k" * 32)
    for age in (ABSOLUTE_MS, ABSOLUTE_MS + 1):
        renewed = sessions.issue(TOKEN, BORN + age, born_ms=BORN, nonce="n")
        assert (sessions.read(renewed, BORN + age) is not None) is (age == ABSOLUTE_MS)
    assert ABSOLUTE_MS == 12 * 3_600_000


def test_no_part_of_a_cookie_can_be_changed() -> None:
    sessions = Sessions(b"k" * 32)
    cookie = sessions.issue(TOKEN, BORN)
    for place, character in enumerate(cookie):
        changed = cookie[:place] + ("x" if character != "x" else "y") + cookie[place + 1 :]
        assert sessions.read(changed, BORN) is None
    assert Sessions(b"l" * 32).read(cookie, BORN) is None, "another hub's key"


def test_log_outs_are_remembered_within_a_bound_and_only_as_long_as_they_matter() -> None:
    sessions = Sessions(b"k" * 32)
    cookies = [sessions.issue(TOKEN, BORN, nonce=f"{number}") for number in range(LOGGED_OUT_MAX + 1)]
    for number in range(LOGGED_OUT_MAX + 1):
        sessions.forget(f"{number}", BORN)
    assert len(sessions._logged_out) == LOGGED_OUT_MAX
    assert sessions.read(cookies[-1], BORN) is None
    sessions.forget("late", BORN + ABSOLUTE_MS)
    assert len(sessions._logged_out) == 1


def browser_of(hub: RunningHub) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=hub.address, headers=OWN_PAGE, timeout=20)


async def test_any_use_renews_the_cookie_and_at_most_once_a_minute(running_hub: RunningHub) -> None:
    parts = running_hub.parts
    await running_hub.token(role=Role.VIEWER)
    token_id = next(r.token_id for r in parts.authority.records() if r.role is Role.VIEWER)
    now = parts.clock.now().wall_ms
    born = now - ABSOLUTE_MS // 2
    async with httpx.AsyncClient(base_url=running_hub.address) as browser:
        renewed = []
        for seen in (now, now - RENEW_MS - 1_000):
            cookie = parts.sessions.issue(token_id, seen, born_ms=born, nonce="n")
            answer = await browser.get("/api/tasks", headers={"Cookie": f"{COOKIE_PLAIN}={cookie}"})
            assert answer.status_code == 200
            renewed.append(answer.headers.get("set-cookie"))
    assert renewed[0] is None
    assert renewed[1] is not None
    found = parts.sessions.read(renewed[1].split(";")[0].partition("=")[2], parts.clock.now().wall_ms)
    assert found is not None
    assert found[1] == born
    assert found[2] >= now


async def test_logging_out_closes_the_pages_feeds(running_hub: RunningHub) -> None:
    """B1."""
    viewer = await running_hub.token(role=Role.VIEWER)
    async with browser_of(running_hub) as browser:
        await browser.post("/api/session", json={"token": viewer})
        async with browser.stream("GET", "/api/feed") as feed:
            assert feed.status_code == 200
            await until(lambda: running_hub.parts.feed.watchers == 1, "it watches")
            await browser.delete("/api/session")
            await asyncio.wait_for(feed.aread(), 20)


async def test_a_feed_ends_with_its_session_of_twelve_hours(running_hub: RunningHub) -> None:
    parts = running_hub.parts
    viewer = await running_hub.token(role=Role.VIEWER)
    async with browser_of(running_hub) as browser, running_hub.http(viewer) as program:
        await browser.post("/api/session", json={"token": viewer})
        async with browser.stream("GET", "/api/feed") as feed, program.stream("GET", "/api/feed"):
            await until(lambda: parts.feed.watchers == 2, "both watch")
            wall_ms = parts.clock.now().wall_ms
            assert parts.feed.close_over(wall_ms + ABSOLUTE_MS - 60_000) == 0
            assert parts.feed.close_over(wall_ms + ABSOLUTE_MS) == 1
            await asyncio.wait_for(feed.aread(), 20)


# --- whose page is it? ------------------------------------------------------------------------------------


def connection(scheme: str, origin: str | None, host: str = "hub.example:8443") -> HTTPConnection:
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    return HTTPConnection({"type": "http", "scheme": scheme, "path": "/", "headers": headers})


@pytest.mark.parametrize(
    ("scheme", "origin", "wanted"),
    [
        ("https", None, True),
        ("https", "https://hub.example:8443", True),
        ("wss", "https://hub.example:8443", True),
        ("http", "http://hub.example:8443", True),
        ("http", "https://hub.example:8443", True),
        ("https", "http://hub.example:8443", False),
        ("https", "https://hub.example", False),
        ("https", "https://hub.example:8443.evil.example", False),
        ("https", "https://evil.example/hub.example:8443", False),
        ("https", "https://evil@hub.example:8443", False),
        ("https", "null", False),
        ("https", "", False),
        ("https", "https://public.example", True),
        ("https", "http://public.example", False),
    ],
)
def test_only_the_hubs_own_pages_are_its_own(scheme: str, origin: str | None, wanted: bool) -> None:
    """W1, W2, B2: the whole origin counts, with its scheme and port."""
    settings = Settings(public_url="https://public.example/hub")
    assert is_own(connection(scheme, origin), settings) is wanted


@pytest.mark.parametrize(
    "headers",
    [
        {},
        OWN_PAGE | {"Content-Type": "text/plain"},
        OWN_PAGE | {"Content-Type": "application/x-www-form-urlencoded"},
        OWN_PAGE | {"Origin": "https://elsewhere.example"},
        {"Origin": "http://127.0.0.1"},
    ],
)
async def test_what_a_form_of_another_site_could_send_is_not_the_page(
    running_hub: RunningHub, headers: dict[str, str]
) -> None:
    """B2: with a good cookie."""
    async with httpx.AsyncClient(base_url=running_hub.address) as browser:
        await browser.post("/api/session", json={"token": running_hub.admin_token}, headers=OWN_PAGE)
        content = b'{"description":"x"}'
        sent = {"Content-Type": "application/json"} | headers
        answer = await browser.post("/api/tasks", content=content, headers=sent)
        by_bearer = await browser.post(
            "/api/tasks",
            content=content,
            headers=headers | {"Authorization": f"Bearer {running_hub.admin_token}"},
        )
    assert (answer.status_code, by_bearer.status_code) == (403, 201), "a bearer call ignores cookies"


@pytest.mark.parametrize(
    ("origin", "with_cookie", "wanted"),
    [("own", True, 101), ("own", False, 4401), ("https://elsewhere.example", True, 403)],
)
async def test_a_feed_needs_the_cookie_and_the_hubs_own_page(
    running_hub: RunningHub, origin: str, with_cookie: bool, wanted: int
) -> None:
    """W2: a socket is no request that a browser keeps other sites from making."""
    async with browser_of(running_hub) as browser:
        await browser.post("/api/session", json={"token": running_hub.admin_token})
        cookie = f"{COOKIE_PLAIN}={browser.cookies[COOKIE_PLAIN]}"
    said = {"Origin": running_hub.address if origin == "own" else origin}
    if with_cookie:
        said["Cookie"] = cookie
    dial = websockets.connect(f"{running_hub.ws_address}/ws/feed", additional_headers=said)
    if wanted == 403:
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await dial
        return
    async with dial as socket:
        first = json.loads(await socket.recv())
    assert ("error" in first) is (wanted == 4401)


async def test_a_watchers_message_may_not_be_big(running_hub: RunningHub) -> None:
    """W5: 64 KiB; a watcher has nothing to say."""
    bearer = {"Authorization": f"Bearer {running_hub.admin_token}"}
    dial = websockets.connect(f"{running_hub.ws_address}/ws/feed", additional_headers=bearer)
    async with dial as socket:
        await socket.recv()
        await socket.send("x" * (STRANGER_BYTES_MAX + 1))
        await asyncio.wait_for(socket.wait_closed(), 20)
    assert socket.close_code == 1009
    assert STRANGER_BYTES_MAX == 64 * 1024


# --- guessing ---------------------------------------------------------------------------------------------


def test_guesses_are_counted_by_address_and_refill_within_a_minute() -> None:
    """A6: five join codes a minute; W8: ten tokens."""
    throttle = Throttle(trusted=Trusted(["10.0.0.0/8"]), pushes_per_second=0)
    for count, most in ((throttle.failed_to_join, JOINS_PER_MINUTE), (throttle.failed, FAILURES_PER_MINUTE)):
        answers = [count("203.0.113.9", 0) for _ in range(most + 1)]
        assert answers[:-1] == [None] * most
        assert answers[-1] is not None
        assert answers[-1] <= 60_000 / most + 1
        assert count("203.0.113.10", 0) is None, "another address"
        assert all(count("10.1.2.3", 0) is None for _ in range(100)), "a listed proxy"
        assert count("203.0.113.9", 60_000) is None, "a minute later"
    assert (JOINS_PER_MINUTE, FAILURES_PER_MINUTE) == (5, 10)


@pytest.mark.parametrize("running_hub", [{"trusted_proxies": ("127.0.0.1",)}], indirect=True)
async def test_a_guesser_of_join_codes_is_told_to_wait(running_hub: RunningHub) -> None:
    """A6."""
    body = {"agent_id": "ada", "code": "hubj_guess"}
    async with httpx.AsyncClient(base_url=running_hub.address) as stranger:
        headers = {"X-Forwarded-For": "203.0.113.9"}
        answers = [await stranger.post("/api/onboard/register", json=body, headers=headers) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) >= 1


# --- the end of a token -----------------------------------------------------------------------------------


class TwoLooks:
    """A clock under which housekeeping looks twice at once, and then no more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.looks = 0

    def now(self) -> Now:
        return self._clock.now()

    async def sleep_until(self, due_ms: int) -> None:
        self.looks += 1
        if self.looks > 2:
            await asyncio.get_running_loop().create_future()


async def test_what_is_open_with_an_expired_token_ends_at_the_next_look(running_hub: RunningHub) -> None:
    """A5: within a minute."""
    parts = running_hub.parts
    peer = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("ada"))
    await peer.identify("ada")
    staying = await V2Peer.dial(running_hub.ws_address, token=await running_hub.token("bob"))
    await staying.identify("bob")
    viewer = await running_hub.token(role=Role.VIEWER)
    async with running_hub.http(viewer) as http, http.stream("GET", "/api/feed") as feed:
        await until(lambda: parts.feed.watchers == 1, "it watches")
        for record in parts.authority.records():
            if record.agent_id == "ada" or record.role is Role.VIEWER:
                parts.authority.drop([record.token_id])
                parts.authority.add(msgspec.structs.replace(record, expires_wall_ms=1))
        clock = TwoLooks(parts.clock)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch_tokens(dataclasses.replace(parts, clock=clock)))
            await until(lambda: clock.looks == 3, "it has looked")
            watching.cancel()
        assert (await peer.closed())[0] == 4401
        await asyncio.wait_for(feed.aread(), 20)
    await staying.hear_nothing_but("agent_joined", "agent_left")
    assert TOKENS_EVERY_MS == 60_000


# --- TLS --------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=hub"
    words += f" -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    subprocess.run(words.split(), check=True, capture_output=True, timeout=50)
    return cert, key


def test_a_handshake_that_does_not_come_is_not_waited_for(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """W3: ten seconds; uvloop's own is a minute."""
    assert server.TLS_S == 10
    monkeypatch.setattr(server, "TLS_S", 0.5)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def silence() -> bytes:
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        heard = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        listening.close()
        return heard

    with asyncio.Runner(loop_factory=server.HubLoop) as runner:
        assert runner.run(silence()) == b""


def test_a_hub_behind_tls_speaks_nothing_older_than_1_2(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """W10."""
    cert, key = certificate
    settings = Settings(port=0, state_dir=tmp_path / "hub", tls_cert=cert, tls_key=key, host="0.0.0.0")
    server.listen(settings).close()
    config = server.configure(create_app(settings, Life()), settings, Life())
    config.load()
    assert config.ssl is not None
    assert config.ssl.minimum_version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert config.server_header is False


@pytest.mark.parametrize(("host", "is_open"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_plain_http_beyond_this_machine_shows_in_the_figures(host: str, is_open: bool) -> None:
    """W10."""
    from starlette.applications import Starlette

    life = Life()
    server.configure(Starlette(), Settings(host=host, insecure=True), life)
    assert life.metrics.registry.get_sample_value("hub_insecure") == float(is_open)
