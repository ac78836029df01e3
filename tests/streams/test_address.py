"""Redis URLs: what each form means, and that no sentence about one holds what is secret in it."""

from __future__ import annotations

import pytest

from streams.address import Address, BadAddress, read_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address(hosts=(("localhost", 6379),))),
        ("redis://10.0.0.1:7000/3", Address(hosts=(("10.0.0.1", 7000),), database=3)),
        ("redis://[::1]:7000/", Address(hosts=(("::1", 7000),))),
        ("redis://[::1]", Address(hosts=(("::1", 6379),))),
        ("redis://:pw@h", Address(hosts=(("h", 6379),), password="pw")),
        ("redis://u:p%40%2F%3A@h", Address(hosts=(("h", 6379),), username="u", password="p@/:")),
        ("rediss://h/1", Address(hosts=(("h", 6379),), has_tls=True, database=1)),
        (
            "rediss://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
            Address(
                hosts=(("h", 6379),),
                has_tls=True,
                tls={"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False},
            ),
        ),
        (
            "redis+sentinel://u:p@a,b:1234,[::1]:5/ours/2?sentinel_username=s&sentinel_password=t",
            Address(
                hosts=(("a", 26379), ("b", 1234), ("::1", 5)),
                master="ours",
                database=2,
                username="u",
                password="p",
                sentinel_username="s",
                sentinel_password="t",
            ),
        ),
        ("rediss+sentinel://a/ours", Address(hosts=(("a", 26379),), master="ours", has_tls=True)),
    ],
)
def test_every_form_is_understood(url: str, address: Address) -> None:
    assert read_address(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://:secret@h", "begins with one of redis://"),
        ("localhost:6379", "begins with one of"),
        ("redis://", "names no host"),
        ("redis://:secret@", "names no host"),
        ("redis://:secret@h:0", "`h:0` is no host with a port"),
        ("redis://:secret@h:65536", "no host with a port"),
        ("redis://:secret@h:x", "no host with a port"),
        ("redis://:secret@a,b", "several hosts"),
        ("redis://:secret@h/ours", "names no database"),
        ("redis://:secret@h/0/1", "names no database"),
        ("redis+sentinel://:secret@h", "names the master"),
        ("redis://:secret@h?ssl_ca_certs=/ca.pem", "needs TLS"),
        ("redis://:secret@h?socket_timeout=1", "`socket_timeout` is not known"),
        ("redis://[:secret@h", "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_its_secret(url: str, why: str) -> None:
    with pytest.raises(BadAddress) as refused:
        read_address(url)
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_port_is_taken_up_to_the_last() -> None:
    assert read_address("redis://h:65535").hosts == (("h", 65_535),)
    assert read_address("redis://h:1").hosts == (("h", 1),)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:secret@h", "redis://h:6379/0"),
        ("rediss://u:secret@[::1]/2", "rediss://[::1]:6379/2"),
        ("redis+sentinel://u:secret@a,b/m?sentinel_password=secret", "redis+sentinel://a:26379,b:26379/m/0"),
    ],
)
def test_what_is_shown_holds_no_user_and_no_password(url: str, shown: str) -> None:
    address = read_address(url)
    assert address.shown == shown
    assert repr(address) == f"Address({shown})"
