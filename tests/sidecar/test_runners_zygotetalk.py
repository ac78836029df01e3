"""Messages between a sidecar and its zygote, over a real socket."""

import os
import socket
from collections.abc import Iterator

import pytest

from sidecar.runners.zygotetalk import MESSAGE_BYTES_MAX, drop, hear, say

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        yield one, other


def test_a_message_arrives_with_its_descriptors(ends: Ends) -> None:
    """They are duplicates of what was sent, and no program that is started later inherits them."""
    read_fd, write_fd = os.pipe()
    say(ends[0], {"ask": 1}, [write_fd])
    os.close(write_fd)
    message, got = hear(ends[1])
    assert message == {"ask": 1}
    assert not os.get_inheritable(got[0])
    os.write(got[0], b"through")
    drop(got)
    assert os.read(read_fd, 100) == b"through"
    assert os.read(read_fd, 100) == b"", "all ends of it are closed"
    os.close(read_fd)


def test_messages_stay_apart(ends: Ends) -> None:
    for number in range(3):
        say(ends[0], {"ask": number})
    assert [hear(ends[1])[0]["ask"] for _ in range(3)] == [0, 1, 2]


def test_the_end_is_an_exception(ends: Ends) -> None:
    ends[0].close()
    with pytest.raises(EOFError):
        hear(ends[1])


def test_a_message_may_be_as_long_as_its_limit(ends: Ends) -> None:
    around = len('{"trouble": ""}')
    say(ends[0], {"trouble": "x" * (MESSAGE_BYTES_MAX - around)})
    assert len(hear(ends[1])[0]["trouble"]) == MESSAGE_BYTES_MAX - around
    with pytest.raises(AssertionError):
        say(ends[0], {"trouble": "x" * (MESSAGE_BYTES_MAX - around + 1)})
