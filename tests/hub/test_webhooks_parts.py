"""The pure parts of webhooks: signatures, the guard of addresses, templates, and one POST."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import subprocess
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.notices.sending import CALLS_MAX
from hub.webhooks import posting, signing
from hub.webhooks.guard import (
    URL_LENGTH_MAX,
    BadTarget,
    NotResolved,
    Target,
    address_of,
    is_public,
    target_of,
)
from hub.webhooks.posting import Answered, Unanswered, post, retry_after_ms
from hub.webhooks.signing import AGE_S_MAX, BadSecret, Unsigned, keys_in
from hub.webhooks.template import DEPTH_MAX, MemberMissing, filled, is_too_deep
from tests.hub.caller import placed
from tests.waiting import until

# --- signatures ---------------------------------------------------------------------------------------------

KEY = b"k" * 32


def test_a_signature_is_the_one_of_the_specification() -> None:
    """The example of standardwebhooks.com, whose key is shorter than we take."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signing.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("off_s", [-AGE_S_MAX, 0, AGE_S_MAX])
def test_a_call_is_believed_for_five_minutes_either_way(off_s: int) -> None:
    headers = signing.headers_of(KEY, "msg", 1_000_000, b"{}")
    assert signing.check((KEY,), headers, b"{}", 1_000_000 + off_s) == "msg"
    just_beyond = 1_000_000 + off_s + (1 if off_s >= 0 else -1)
    if off_s:
        assert isinstance(signing.check((KEY,), headers, b"{}", just_beyond), Unsigned)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": ""},
        {"webhook-id": "x" * 201},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "9" * 30},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,\u00e9"},
    ],
)
def test_a_header_that_is_not_as_it_should_be_is_not_believed(change: dict[str, str]) -> None:
    headers = signing.headers_of(KEY, "msg", 1_000, b"{}") | change
    assert isinstance(signing.check((KEY,), headers, b"{}", 1_000), Unsigned)


def test_two_secrets_hold_while_they_are_exchanged_and_the_first_one_signs() -> None:
    new, old = keys_in("n" * 32 + "\n" + "whsec_" + base64.b64encode(b"o" * 32).decode() + "\n")
    assert (new, old) == (b"n" * 32, b"o" * 32)
    for key in (new, old):
        assert signing.check((new, old), signing.headers_of(key, "m", 5, b""), b"", 5) == "m"


@pytest.mark.parametrize(
    "text", ["", "short", "k" * 31, "whsec_***", "k" * 32 + "\n" + "l" * 32 + "\n" + "m" * 32]
)
def test_what_is_no_secret_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadSecret) as wrong:
        keys_in(text)
    assert not text or text.splitlines()[0] not in str(wrong.value)


# --- where the hub may call ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_addresses_of_the_open_internet_are_called(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1"),
        *("192.0.0.8", "192.0.0.192", "192.88.99.1", "168.63.129.16", "3fff::1", "::ffff:192.0.0.192"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::1"),
    ],
)
def test_addresses_of_this_machine_and_of_private_networks_are_not(address: str) -> None:
    """H1."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://",
            "https:///x",
            "//example.com",
            "example.com",
        ),
        *("https://user@example.com/", "https://u:p@example.com/", "https://example.com:99999/"),
        *("https://..", "https://" + "a" * 64 + ".com/"),
        *("https://exam\nple.com/", "https://[::1/", "https://e.com/" + "x" * URL_LENGTH_MAX),
    ],
)
def test_what_is_no_place_to_call_is_refused(url: str) -> None:
    with pytest.raises(BadTarget):
        target_of(url, allow_private=True)


def test_plain_http_is_for_private_networks() -> None:
    with pytest.raises(BadTarget, match="https"):
        target_of("http://example.com/", allow_private=False)
    target = target_of("http://[::1]:8080?x=1", allow_private=True)
    assert (target.host, target.port, target.path, target.authority) == ("::1", 8080, "/?x=1", "[::1]:8080")
    assert target_of("https://example.com/a", allow_private=False).authority == "example.com"
    target = target_of("https://b\u00fccher.example/", allow_private=False)
    assert target.authority == "xn--bcher-kva.example", "as a header and a certificate have it"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1", "[::ffff:7f00:1]"]
)
async def test_a_name_that_leads_home_is_refused_however_it_is_written(host: str) -> None:
    target = target_of(f"https://{host}/", allow_private=False)
    with pytest.raises((BadTarget, NotResolved)):
        await address_of(target, allow_private=False)


async def test_names_that_nobody_answers_for_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many calls as may be under way, each waiting for a name server that says nothing."""
    goes_on, asks, begun = threading.Event(), socket.getaddrinfo, []

    def slow(host: str, *rest: Any, **more: Any) -> Any:
        if host == "slow.invalid":
            begun.append(host)
            goes_on.wait(60)
        return asks(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    hanging = target_of("https://slow.invalid/", allow_private=False)
    well = target_of("https://127.0.0.1/", allow_private=True)
    async with asyncio.TaskGroup() as group:
        lookups = [group.create_task(gone(hanging)) for _ in range(CALLS_MAX)]
        try:
            await until(lambda: len(begun) == CALLS_MAX, "all names are being looked up")
            async with asyncio.timeout(60):
                assert await address_of(well, allow_private=True) == "127.0.0.1"
            assert not any(one.done() for one in lookups)
        finally:
            goes_on.set()


async def gone(target: Target) -> None:
    with pytest.raises(NotResolved):
        await address_of(target, allow_private=False)


async def test_a_name_without_an_address_may_have_one_later() -> None:
    target = target_of("https://nobody.invalid/", allow_private=False)
    assert isinstance(await post(target, b"{}", {}, allow_private=False), Unanswered)


# --- one POST -----------------------------------------------------------------------------------------------


async def test_a_redirect_is_not_followed_and_an_environment_s_proxy_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with placed("307 Elsewhere\r\nLocation: /other\r\nRetry-After: 3") as place:
        target = target_of(place.url, allow_private=True)
        answer = await post(target, b"{}", {"x-own": "1"}, allow_private=True)
        assert answer == Answered(status=307, retry_after_ms=3_000)
        assert [call.path for call in place.calls] == ["/flow?from=hub"]
        assert place.calls[0].headers["x-own"] == "1"


async def test_an_answer_without_an_end_is_not_waited_for() -> None:
    """What is read of it is bounded, and so is the time."""
    has_left = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
                await writer.drain()
        except OSError:
            has_left.set()
        finally:
            writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        target = target_of(f"http://127.0.0.1:{port}/", allow_private=True)
        assert await post(target, b"{}", {}, allow_private=True) == Answered(status=200)
        async with asyncio.timeout(60):
            await has_left.wait()


async def test_a_place_that_says_nothing_is_given_up() -> None:
    over = asyncio.Event()

    async def keep_still(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(keep_still, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        target = target_of(f"http://127.0.0.1:{port}/", allow_private=True)
        answer = await post(target, b"{}", {}, allow_private=True, total_s=0.2)
        over.set()
    assert answer == Unanswered("there was no answer in time")


def certificate_in(folder: Path) -> tuple[Path, Path]:
    """One for localhost that nobody vouches for, and its key."""
    made, key = folder / "place.crt", folder / "place.key"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    words += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {made}"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    return made, key


async def test_a_certificate_is_verified_for_the_name_and_not_for_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H1: the connection goes to the address that was judged, and the certificate is of the name."""
    certificate, key = certificate_in(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 Yes\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        by_name = target_of(f"https://localhost:{port}/", allow_private=True)
        by_number = target_of(f"https://127.0.0.1:{port}/", allow_private=True)
        stranger = await post(by_name, b"{}", {}, allow_private=True)
        monkeypatch.setattr(posting, "trusted", lambda: ssl.create_default_context(cafile=str(certificate)))
        known = await post(by_name, b"{}", {}, allow_private=True)
        unnamed = await post(by_number, b"{}", {}, allow_private=True)
    assert known == Answered(status=204)
    for refused in (stranger, unnamed):
        assert isinstance(refused, Unanswered)
        assert "certificate" in refused.reason


async def test_the_beginning_of_an_answer_is_kept_for_who_wants_it() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\n0123456789")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        target = target_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", allow_private=True)
        kept = [await post(target, b"", {}, allow_private=True, kept_bytes=n) for n in (0, 4, 10, 99)]
    said = [answer.beginning for answer in kept if isinstance(answer, Answered)]
    assert said == [b"", b"0123", b"0123456789", b"0123456789"]


@pytest.mark.parametrize(("said", "ms"), [("5", 5_000), ("", 0), ("tomorrow", 0), ("99999999999", 3_600_000)])
def test_a_pause_that_is_asked_for_has_an_end(said: str, ms: int) -> None:
    assert retry_after_ms(httpx.Headers({"retry-after": said})) == ms


# --- templates ----------------------------------------------------------------------------------------------

BODY = {"a": {"b": [1, {"c": "deep"}]}, "n": 3, "t": "text", "none": None}


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{n}", 3),
        ("{a.b.1.c}", "deep"),
        ("{a.b}", [1, {"c": "deep"}]),
        ("n is {n}, t is {t}, b is {a.b.0}", "n is 3, t is text, b is 1"),
        ({"x": ["{t}", 1], "y": {"z": "{none}"}}, {"x": ["text", 1], "y": {"z": None}}),
        ("{ no } {1st} {}", "{ no } {1st} {}"),
    ],
)
def test_a_template_takes_members_as_they_are_and_texts_as_text(template: Any, found: Any) -> None:
    assert filled(template, BODY) == found


@pytest.mark.parametrize("path", ["gone", "a.gone", "a.b.9", "a.b.x", "n.x", "t.0"])
def test_a_member_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(MemberMissing, match=f"no member {path}"):
        filled(f"{{{path}}}", BODY)


def test_what_a_body_holds_is_no_template_itself() -> None:
    assert filled("{t}", {"t": "{n}", "n": "secret"}) == "{n}"


def test_a_template_nests_as_deep_as_a_person_writes() -> None:
    template: Any = "x"
    for _ in range(DEPTH_MAX):
        template = [template]
    assert not is_too_deep(template)
    assert is_too_deep({"more": template})
