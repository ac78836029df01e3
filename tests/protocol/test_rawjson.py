"""Free-form JSON is judged without being built: by size, depth, members, U+0000 and encoding."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from protocol.limits import JSON_DEPTH_MAX, JSON_MEMBERS_MAX
from protocol.rawjson import Flaw, crowding_in, flaw_in, has_nul, judge

ROOM = 1 << 20


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "text",
    [
        "null",
        '"a"',
        "1e3",
        "{}",
        nested(JSON_DEPTH_MAX),
        '{"a":' * 64 + "1" + "}" * 64,
        json.dumps(["[{" * 200] * 3),
        json.dumps({"prose": 'he said: "\\" and {' * 400}),
        json.dumps(["[" * 50] * 10),
        "[" + "1," * (JSON_MEMBERS_MAX - 2) + "1]",
        "[" + ",".join(["[1]"] * 400) + "]",
        '"' + "," * (2 * JSON_MEMBERS_MAX) + '"',
        '"grüße 🚀"',
        r'"\ud83d\ude80"',
        r'"a backslash before u0000: \\u0000"',
    ],
)
def test_ordinary_json_has_no_flaw(text: str) -> None:
    for said in (text, text.encode()):
        judged = judge(said, bytes_max=ROOM)
        assert isinstance(judged, Raw)
        assert bytes(judged) == text.encode()


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (nested(JSON_DEPTH_MAX + 1), Flaw.TOO_DEEP),
        (nested(100_000), Flaw.TOO_DEEP),
        ('{"a":' * 65 + "1" + "}" * 65, Flaw.TOO_DEEP),
        ("[" + nested(JSON_DEPTH_MAX - 1) + ',"]]]]]",' + nested(JSON_DEPTH_MAX) + "]", Flaw.TOO_DEEP),
        ("[" + "1," * JSON_MEMBERS_MAX + "1]", Flaw.TOO_MANY_MEMBERS),
        ("[" + "{}," * (JSON_MEMBERS_MAX // 2) + "1]", Flaw.TOO_MANY_MEMBERS),
        ("[" + '"",' * (3 * JSON_MEMBERS_MAX) + '""]', Flaw.TOO_MANY_MEMBERS),
        (r'"\u0000"', Flaw.NUL),
        (r'{"\u0000": 1}', Flaw.NUL),
        (r'["\\\u0000"]', Flaw.NUL),
        ("NaN", Flaw.MALFORMED),
        ("[Infinity]", Flaw.MALFORMED),
        ("-Infinity", Flaw.MALFORMED),
        ('"\0"', Flaw.MALFORMED),
        (r'"\ud800"', Flaw.MALFORMED),
        (r'"\ud800 and more"', Flaw.MALFORMED),
        (r'"\udc00 and more"', Flaw.MALFORMED),
        (r'{"\ud800\ud800": 1}', Flaw.MALFORMED),
        ("{", Flaw.MALFORMED),
        ("", Flaw.MALFORMED),
        ("1 2", Flaw.MALFORMED),
        ("'a'", Flaw.MALFORMED),
        ('"' + "x" * ROOM + '"', Flaw.TOO_BIG),
        ('"' + "ü" * (ROOM - 100) + '"', Flaw.TOO_BIG),
    ],
)
def test_a_flaw_has_a_name(text: str, flaw: Flaw) -> None:
    assert judge(text, bytes_max=ROOM) is flaw
    assert judge(text.encode(), bytes_max=ROOM) is flaw


@pytest.mark.parametrize("said", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', "\ud800", b"\xff\xfe[1]"])
def test_bytes_that_are_not_utf8_are_refused(said: str | bytes) -> None:
    assert judge(said, bytes_max=ROOM) is Flaw.INVALID_UTF8


def test_blanks_around_a_text_are_left_out() -> None:
    assert judge(b' \n{"a": 1}\t ', bytes_max=ROOM) == Raw(b'{"a": 1}')


def test_a_text_that_a_decoder_has_seen_is_judged_alone() -> None:
    assert flaw_in(b'{"a":1}', bytes_max=7) is None
    assert flaw_in(b'{"a":1}', bytes_max=6) is Flaw.TOO_BIG
    assert flaw_in(rb'"\u0000"', bytes_max=ROOM) is Flaw.NUL
    assert flaw_in(nested(65).encode(), bytes_max=ROOM) is Flaw.TOO_DEEP


def test_a_nul_is_found_raw_and_escaped() -> None:
    assert has_nul(b"\0")
    assert has_nul(rb"\u0000")
    assert has_nul(rb"\\\u0000")
    assert not has_nul(rb"\\u0000")
    assert not has_nul(rb"\u0001 u0000 \\")
    assert not has_nul(b"\\" * 100_000 + b"u0000")
    assert has_nul(b"\\" * 100_001 + b"u0000")


@pytest.mark.parametrize(
    "text", ["[" * 1000, "]" * 1000, '"' * 1001, '{"' * 5000, "\\" * 1000, '["\\"' * 9999]
)
def test_nonsense_is_judged_without_harm(text: str) -> None:
    """The scan is meant for well-formed text; on any other it ends all the same."""
    assert crowding_in(text.encode()) in {None, *Flaw}
