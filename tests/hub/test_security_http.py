"""What a stranger may do to the HTTP edge by how a request is sent, and what an answer gives away.

Raw bytes on real sockets; the rows of security.md are named.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from hub import guards
from hub.api.session import CSRF_HEADER
from hub.auth import Role
from hub.web.pages import CONTENT_POLICY, build_site
from tests.hub.conftest import RunningHub

OWN_PAGE = {CSRF_HEADER: "1"}


async def raw(hub: RunningHub) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(hub.address.rsplit(":", 1)[1]))


async def answer_to(hub: RunningHub, pieces: Iterable[bytes]) -> bytes:
    """Everything that comes back until the hub closes; it may close before all was said."""
    reader, writer = await raw(hub)
    heard = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), 20)
        heard = await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        heard += b""
    finally:
        writer.transport.abort()
    return heard


async def first_line_to(hub: RunningHub, pieces: Iterable[bytes]) -> bytes:
    """How the first answer begins, on a connection that stays open."""
    reader, writer = await raw(hub)
    for piece in pieces:
        writer.write(piece)
        await asyncio.wait_for(writer.drain(), 20)
    line = await asyncio.wait_for(reader.readline(), 20)
    writer.transport.abort()
    return line


def push_head(hub: RunningHub, *headers: str) -> bytes:
    lines = ["POST /api/tasks HTTP/1.1", "Host: hub", f"Authorization: Bearer {hub.admin_token}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def in_chunks(body: bytes, size: int) -> Iterable[bytes]:
    for place in range(0, len(body), size):
        chunk = body[place : place + size]
        yield b"%x\r\n%s\r\n" % (len(chunk), chunk)
    yield b"0\r\n\r\n"


async def test_a_body_without_a_length_has_the_same_limit(running_hub: RunningHub) -> None:
    head = push_head(running_hub, "Transfer-Encoding: chunked")
    small = await first_line_to(running_hub, [head, *in_chunks(b'{"description":"x"}', 4)])
    big = await first_line_to(running_hub, [head, *in_chunks(b" " * 1_100_000, 50_000)])
    assert small.startswith(b"HTTP/1.1 201 ")
    assert big.startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_comes_too_slowly_is_not_waited_for(
    running_hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "BODY_MS", 300)
    heard = await answer_to(running_hub, [push_head(running_hub, "Content-Length: 20"), b'{"descr'])
    assert heard == b""


async def test_a_flood_of_small_headers_is_refused(running_hub: RunningHub) -> None:
    lines = (b"X-%05d: y\r\n" % number for number in range(20_000))
    heard = await answer_to(running_hub, [b"GET /health HTTP/1.1\r\nHost: hub\r\n", *lines])
    assert heard == b"" or heard.startswith(b"HTTP/1.1 431 ")
    async with running_hub.http() as http:
        assert (await http.get("/health")).status_code == 200


async def test_headers_behind_a_body_are_not_kept(running_hub: RunningHub) -> None:
    """The server's own class keeps them without a bound: 24 MB of them took 420 MB of memory."""
    head = push_head(running_hub, "Transfer-Encoding: chunked")
    heard = await answer_to(running_hub, [head, b"0\r\n", *([b"a: b\r\n" * 1_000] * 100)])
    assert not heard.startswith(b"HTTP/1.1 2")


async def test_what_travels_as_one_request_has_a_bound(
    running_hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Framing counts too: one byte a chunk, or a chunk's name without an end."""
    monkeypatch.setattr(guards, "BODY_BYTES_MAX", 1_000_000)
    head = b"GET /nowhere HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n"
    reader, writer = await raw(running_hub)
    writer.write(head + b"1;")
    with pytest.raises(ConnectionError):
        for _ in range(1_000):
            writer.write(b"n" * 10_000)
            await asyncio.wait_for(writer.drain(), 20)
    writer.transport.abort()
    del reader


@pytest.mark.parametrize(
    "behind",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_a_bad_request_behind_a_good_one_ends_the_connection(
    running_hub: RunningHub, behind: bytes
) -> None:
    """Nothing after a request that two parsers could read differently is believed."""
    good = b"GET /health HTTP/1.1\r\nHost: hub\r\n\r\n"
    smuggled = push_head(running_hub, "Content-Length: 19") + b'{"description":"x"}'
    heard = await answer_to(running_hub, [good + behind + smuggled])
    assert b"HTTP/1.1 201 " not in heard
    assert b"Traceback" not in heard
    async with running_hub.http() as http:
        assert (await http.get("/api/tasks")).json()["count"] == 0


async def test_an_answer_to_a_failure_of_ours_is_a_code(
    running_hub: RunningHub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W12, Z6: no stack, no path, no banner; the reason is in the log."""

    async def fail() -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(running_hub.parts.queries, "stats", fail)
    async with running_hub.http() as http:
        answer = await http.get("/api/tasks/stats")
    assert answer.status_code == 500
    assert answer.json()["error"] == "internal_error"
    assert not re.search(r"Traceback|\.py|bug of ours|uvicorn|starlette", answer.text + str(answer.headers))
    assert any(record.exc_info for record in caplog.records)


async def test_no_answer_opens_the_hub_to_pages_of_other_sites(running_hub: RunningHub) -> None:
    """B3: there is no CORS at all."""
    foreign = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    async with running_hub.http() as http:
        answers = [
            await http.get("/api/tasks", headers=foreign),
            await http.options("/api/tasks", headers=foreign),
            await http.post("/api/session", json={"token": running_hub.admin_token}, headers=foreign),
            await http.get("/", headers=foreign),
        ]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]
    assert answers[1].status_code == 405


def test_the_pages_policy_allows_nothing_but_itself() -> None:
    """O2."""
    wanted = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'"
    )
    assert CONTENT_POLICY.startswith(wanted)


FORBIDDEN_IN_SCRIPTS = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    r"|\beval\b|new Function|localStorage|sessionStorage|\.href\b|https?://"
)


def test_the_page_shows_strangers_text_as_text_only() -> None:
    """O1, B1: no way to make markup or a link of it, and no token kept in the browser."""
    site = build_site()
    texts = {name: asset.content.decode() for name, asset in site.files.items() if name.endswith(".js")}
    texts["the page"] = site.shell.content.decode()
    assert len(texts) > 20
    assert not {
        name: found for name, text in texts.items() if (found := re.findall(FORBIDDEN_IN_SCRIPTS, text))
    }


def test_the_page_has_no_inline_script_or_style() -> None:
    page = build_site().shell.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", page)


async def test_unknown_expired_revoked_and_misspelt_tokens_get_the_same_answer(
    running_hub: RunningHub,
) -> None:
    """A3."""
    expired = await running_hub.token("ada")
    revoked = await running_hub.token("bob")
    parts = running_hub.parts
    for record in parts.authority.records():
        if record.agent_id == "ada":
            parts.authority.drop([record.token_id])
            parts.authority.add(type(record)(**{**fields_of(record), "expires_wall_ms": 1}))
        elif record.agent_id == "bob":
            parts.authority.drop([record.token_id])
    misspelt = running_hub.admin_token[:-1] + "!"
    unknown = running_hub.admin_token.replace(running_hub.admin_token[9], "0")
    heard = []
    for token in (expired, revoked, misspelt, unknown, "x"):
        async with running_hub.http(token) as http:
            answer = await http.get("/api/tasks", headers={"X-Request-Id": "same"})
        headers = {name: value for name, value in answer.headers.items() if name != "date"}
        heard.append((answer.status_code, answer.content, headers))
    assert heard[0][0] == 401
    assert all(one == heard[0] for one in heard)


def fields_of(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


# --- proxies ------------------------------------------------------------------------------------------------

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


async def log_in(hub: RunningHub, headers: dict[str, str]) -> httpx.Response:
    viewer = await hub.token(role=Role.VIEWER)
    async with httpx.AsyncClient(base_url=hub.address) as browser:
        return await browser.post("/api/session", json={"token": viewer}, headers=OWN_PAGE | headers)


async def test_a_stranger_cannot_say_where_he_comes_from(running_hub: RunningHub) -> None:
    """W11: X-Forwarded-* of a peer that is no listed proxy is not believed."""
    entered = await log_in(running_hub, FORWARDED)
    assert entered.status_code == 200
    assert entered.headers["set-cookie"].startswith("hub=")
    assert "strict-transport-security" not in entered.headers


@pytest.mark.parametrize("running_hub", [{"trusted_proxies": ("127.0.0.1",)}], indirect=True)
async def test_over_tls_the_pages_cookie_is_locked_to_its_host(running_hub: RunningHub) -> None:
    """B1, W10: `__Host-`, Secure, HttpOnly, SameSite=Strict, no domain, and a year of TLS only."""
    entered = await log_in(running_hub, FORWARDED)
    name, _, rest = entered.headers["set-cookie"].partition("=")
    attributes = {word.strip().lower() for word in rest.split(";")[1:]}
    assert name == "__Host-hub"
    assert {"secure", "httponly", "samesite=strict", "path=/", "max-age=43200"} == attributes
    assert entered.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("running_hub", [{"trusted_proxies": ("127.0.0.1",)}], indirect=True)
async def test_a_plain_cookie_is_nobody_over_tls(running_hub: RunningHub) -> None:
    entered = await log_in(running_hub, {})
    plain = entered.headers["set-cookie"].split(";")[0]
    async with httpx.AsyncClient(base_url=running_hub.address) as browser:
        over_http = await browser.get("/api/session", headers={"Cookie": plain})
        over_tls = await browser.get("/api/session", headers={"Cookie": plain} | FORWARDED)
    assert (over_http.status_code, over_tls.status_code) == (200, 401)


@pytest.mark.parametrize("running_hub", [{"trusted_proxies": ("127.0.0.1",)}], indirect=True)
async def test_figures_are_for_this_machine_and_for_tokens_that_may(running_hub: RunningHub) -> None:
    """W13, with a caller from elsewhere behind a listed proxy."""
    viewer, agent = await running_hub.token(role=Role.VIEWER), await running_hub.token("ada")
    statuses = []
    for token in ("nothing", agent, viewer):
        async with running_hub.http(token) as http:
            statuses.append((await http.get("/metrics", headers=FORWARDED)).status_code)
    assert statuses == [401, 403, 200]


@pytest.mark.parametrize("running_hub", [{"trusted_proxies": ("127.0.0.1",)}], indirect=True)
async def test_a_guesser_is_told_to_wait_and_nobody_else_is(running_hub: RunningHub) -> None:
    """W8: ten wrong tokens a minute and address."""

    async def statuses(address: str, count: int) -> list[int]:
        async with running_hub.http("wrong") as http:
            headers = {"X-Forwarded-For": address}
            return [(await http.get("/api/tasks", headers=headers)).status_code for _ in range(count)]

    guesses = await statuses("203.0.113.9", 12)
    assert guesses == [401] * 10 + [429] * 2
    assert await statuses("203.0.113.10", 1) == [401]


async def test_text_that_looks_like_sql_is_text(running_hub: RunningHub) -> None:
    """P5."""
    async with running_hub.http() as http:
        await http.post("/api/tasks", json={"description": "50% of o'neill"})
        await http.post("/api/tasks", json={"description": "other"})
        counts = [
            (await http.get("/api/tasks", params={"q": text})).json()["count"]
            for text in ("o'neill", "' OR 1=1 --", "'; DROP TABLE tasks; --", "50%", "%")
        ]
        everything = (await http.get("/api/tasks")).json()["count"]
    assert counts[:3] == [1, 0, 0]
    assert counts[3] == 1
    assert everything == 2
