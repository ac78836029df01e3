"""Mutated messages against both ends of a conversation: `python -m tests.protocol.fuzz --messages 200000`.

The oracle is one sentence: whatever comes, a conversation answers with frames, with `BadFrame`s that can be
told to their sender, or with a RemoteProtocolError that names its close; what it accepts it can say again.
Never opens a socket. A failure prints the seed and the message, and the same seed finds it again.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from protocol.badframe import BadFrame, reply_to_bad
from protocol.close import CLOSE_RULES
from protocol.codec import SUBPROTOCOLS, FrameDecoder, Message, Wire, encode_frame, pack
from protocol.conversation import AgentConversation, Conversation, HubConversation, Phase, reply_to_end
from protocol.errors import RemoteProtocolError
from protocol.frames import AGENT_FRAMES, HUB_FRAMES, Frame, Identified, Identify, frame_type
from protocol.ids import AgentId, InstanceId, Seq
from protocol.limits import FRAME_BYTES_MAX
from tests.protocol.samples import ROLES, frames_of

Die = random.Random
ENDS = [
    (role, subprotocol, version)
    for role in ROLES
    for subprotocol in (None, *SUBPROTOCOLS)
    for version in (1, 2)
]
NASTY_TEXTS = [
    *(
        "NaN",
        "Infinity",
        "1e999",
        "-0",
        "01",
        "1e400",
        '"\\ud800"',
        '"\\u0000"',
        "{}",
        "[]",
        "[[]]",
        "null",
        '"',
    ),
    *(
        "[" * 70,
        "[" * 3_000 + "]" * 3_000,
        '{"a":' * 70 + "1" + "}" * 70,
        "[" + "1," * 10_001 + "1]",
        "\\",
        "\0",
    ),
    *(str(2**53), str(2**64), str(10**40), "-1", "1.5", "true", '"' + "x" * 70_000 + '"', "\ufeff", "\u202e"),
]
NASTY_VALUES: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        2**53,
        2**63,
        1.5,
        float("nan"),
        float("inf"),
        "",
        "broadcast",
        "\0",
        "x" * 300,
        b"\xff",
    ),
    *(
        [],
        {},
        [[]],
        {"": None},
        "{",
        "[" * 70,
        '"\\u0000"',
        ["a"] * 300,
        {"k": {"k": {"k": 1}}},
        "task-" + "0" * 16,
    ),
]


class Failure(AssertionError):
    """What the oracle does not allow."""


class Seed(NamedTuple):
    """A message that is all right, as members and as bytes."""

    members: list[dict[str, Any]]
    is_array: bool


def seeds(role: str, wire: Wire) -> list[Seed]:
    """Every frame of a role in every shape of its members, and arrays of them."""
    decode = msgspec.json.decode if wire.text else msgspec.msgpack.decode
    frames = [decode(encode_frame(frame, wire)) for kind in ROLES[role] for frame in frames_of(kind)]
    alone = [Seed([frame], False) for frame in frames]
    together = [Seed(frames[start : start + 9], True) for start in range(0, len(frames), 9)]
    return alone + together


# --- mutations: of the members, then of the bytes ---


def drop_member(die: Die, frame: dict[str, Any]) -> None:
    if frame:
        del frame[die.choice(list(frame))]


def replace_member(die: Die, frame: dict[str, Any]) -> None:
    if frame:
        frame[die.choice(list(frame))] = die.choice(NASTY_VALUES)


def add_member(die: Die, frame: dict[str, Any]) -> None:
    name = die.choice(["seq", "generation", "index", "x", "type", "protocol_version", "task_id", "\0", ""])
    frame[name] = die.choice(NASTY_VALUES)


def change_type(die: Die, frame: dict[str, Any]) -> None:
    frame["type"] = die.choice([frame_type(kind) for kind in (*AGENT_FRAMES, *HUB_FRAMES)])


def number_it(die: Die, frame: dict[str, Any]) -> None:
    frame |= {"seq": die.randint(1, 4), "generation": die.randint(0, 3)}


MEMBER_MUTATIONS: list[Callable[[Die, dict[str, Any]], None]] = [
    *(drop_member, replace_member, add_member, change_type, number_it),
]


def flip(die: Die, message: bytearray) -> None:
    if message:
        message[die.randrange(len(message))] ^= 1 << die.randrange(8)


def cut(die: Die, message: bytearray) -> None:
    del message[die.randint(0, len(message)) :]


def insert(die: Die, message: bytearray) -> None:
    at = die.randint(0, len(message))
    message[at:at] = die.choice(NASTY_TEXTS).encode()


def repeat(die: Die, message: bytearray) -> None:
    start = die.randint(0, len(message))
    piece = message[start : start + die.randint(1, 40)]
    message[start:start] = piece * die.choice((1, 2, 300))


def bury(die: Die, message: bytearray) -> None:
    message[:] = b"[" + message + b"]" if die.random() < 0.5 else b"\x91" + message


def swell(die: Die, message: bytearray) -> None:
    if die.random() < 0.02:
        message += b" " * (FRAME_BYTES_MAX + 1)


BYTE_MUTATIONS: list[Callable[[Die, bytearray], None]] = [flip, flip, cut, insert, repeat, bury, swell]


def mutated(die: Die, seed: Seed, wire: Wire) -> Message:
    members = [dict(member) for member in seed.members]
    for _ in range(die.choice((0, 1, 1, 2))):
        die.choice(MEMBER_MUTATIONS)(die, die.choice(members))
    said = members if seed.is_array else members[0]
    message = bytearray(wire.value.encode(said))
    for _ in range(die.choice((0, 0, 1, 2, 3))):
        die.choice(BYTE_MUTATIONS)(die, message)
    if die.random() < 0.01:
        return bytes(message) if wire.text else message.decode(errors="replace")
    if not wire.text:
        return bytes(message)
    # Text that is not UTF-8 ends at the WebSocket library: a little of it will do.
    return message.decode(errors="surrogateescape" if die.random() < 0.1 else "replace")


# --- the oracle ---


def new_end(role: str, subprotocol: str | None, version: int) -> Conversation[Any, Any]:
    """A conversation that hears what `role` says, open where that is allowed."""
    identify = Identify(agent_id=AgentId("ada"), protocol_version=version, instance_id=InstanceId("journal"))
    identified = Identified(agent_id=AgentId("ada"), protocol_version=2, seq_received=Seq(0))
    hub, agent = HubConversation(subprotocol), AgentConversation(subprotocol)
    if subprotocol is None or version == 2:
        for message in agent.say(identify):
            hub.receive(message)
        for message in hub.say(identified):
            agent.receive(message)
    return hub if role == "agent" else agent


def judge(end: Conversation[Any, Any], message: Message, seen: Counter[str]) -> None:
    """Give a message to an end and hold it to the oracle."""
    try:
        items = end.receive(message)
    except RemoteProtocolError as error:
        if error.close not in CLOSE_RULES or end.phase is not Phase.OVER:
            raise Failure(f"an end without a rule: {error}") from error
        if isinstance(end, HubConversation):
            end.say(reply_to_end(error))
        seen[f"close {error.close.value} {error.code.value}"] += 1
        return
    for item in items:
        if isinstance(item, BadFrame):
            judge_complaint(end, item)
            seen[item.code.value] += 1
        else:
            judge_frame(end, item)
            seen["frame"] += 1


def judge_complaint(end: Conversation[Any, Any], bad: BadFrame) -> None:
    """It can be told to its sender, who can read it."""
    if isinstance(end, HubConversation):
        (message,) = end.say(reply_to_bad(bad))
        (heard,) = decoder(HUB_FRAMES, end.wire).decode(message, arrays=False)
        if isinstance(heard, BadFrame):
            raise Failure(f"a complaint that cannot be read: {heard}")


def judge_frame(end: Conversation[Any, Any], frame: Frame) -> None:
    """What was accepted can be said again, on either wire, and is the same."""
    kinds = AGENT_FRAMES if isinstance(end, HubConversation) else HUB_FRAMES
    for wire in Wire:
        (message,) = pack([encode_frame(frame, wire)], wire, arrays=False)
        if decoder(kinds, wire).decode(message, arrays=False) != [frame]:
            raise Failure(f"not the same over {wire.name}: {frame}")


_decoders: dict[tuple[Any, Wire], FrameDecoder[Frame]] = {}


def decoder(kinds: tuple[type[Frame], ...], wire: Wire) -> FrameDecoder[Frame]:
    if (kinds, wire) not in _decoders:
        _decoders[kinds, wire] = FrameDecoder(kinds, wire)
    return _decoders[kinds, wire]


def fuzz(messages: int, seed: int) -> Counter[str]:
    """Judge this many mutated messages; what came of them, counted."""
    die = random.Random(seed)
    seen: Counter[str] = Counter()
    supply = {(role, wire): seeds(role, wire) for role in ROLES for wire in Wire}
    ends = {key: new_end(*key) for key in ENDS}
    for number in range(messages):
        key = die.choice(ENDS)
        end = ends[key]
        message = mutated(die, die.choice(supply[key[0], end.wire]), end.wire)
        try:
            judge(end, message, seen)
        except Exception as error:
            shown = message[:2_000]
            raise Failure(f"seed {seed}, message {number}, end {key}: {error!r}\n{shown!r}") from error
        if end.phase is Phase.OVER or die.random() < 0.05:
            ends[key] = new_end(*key)
    return seen


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--socket", type=int, default=0, help="messages to a real hub as well")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    try:
        report(f"{options.messages} messages in process, seed {seed}", fuzz(options.messages, seed))
        if options.socket:
            from tests.protocol.fuzz_socket import fuzz_socket

            report(f"{options.socket} messages on a socket, seed {seed}", fuzz_socket(options.socket, seed))
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def report(what: str, seen: Counter[str]) -> None:
    print(f"{what}: every one a frame, an error or a defined close")
    for answer, count in seen.most_common():
        print(f"  {count:>9}  {answer}")


if __name__ == "__main__":
    # By its own name, so that there is one `Failure` and not two.
    from tests.protocol.fuzz import main as run

    sys.exit(run())
