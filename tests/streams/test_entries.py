"""Entries of strangers: what is forgiven, what is malformed and says so, and what a parked copy holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import JSON_DEPTH_MAX
from streams import names
from streams.entries import (
    Malformed,
    Request,
    Result,
    fields_for_parking,
    fields_of_request,
    fields_of_result,
    read_request,
    read_result,
)

GOOD_REQUEST = {"plugin_run_id": "r", "plugin_name": "digest", "user_id": 7, "settings": {"topics": "ai"}}
GOOD_RESULT = {"plugin_run_id": "r", "status": "completed", "output": "text", "error": None}

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
run_ids = texts.filter(str.strip).map(lambda text: text[: names.RUN_ID_LENGTH_MAX]).filter(str.strip)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def entry(payload: object, **fields: str) -> dict[bytes, bytes]:
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return {b"payload": text, **{name.encode(): value.encode() for name, value in fields.items()}}


def nested(levels: int) -> dict[str, Any]:
    found: Any = 1
    for _ in range(levels - 1):
        found = [found]
    return {"a": found}


def raw(fields: dict[str, str]) -> dict[bytes, bytes]:
    """As Redis gives back what was written."""
    return {name.encode(): value.encode() for name, value in fields.items()}


@given(
    st.builds(
        Request,
        plugin_run_id=run_ids,
        plugin_name=run_ids,
        user_id=st.integers(0, 2**64 - 1),
        settings=st.dictionaries(texts, json_values, max_size=4),
    )
)
def test_a_request_comes_back_as_it_was_written(request: Request) -> None:
    assert read_request(raw(fields_of_request(request, 1_700_000_000))) == request


@given(
    st.builds(
        Result,
        plugin_run_id=run_ids,
        status=st.sampled_from(["completed", "failed"]),
        output=st.none() | texts,
        error=st.none() | texts.filter(bool),
    )
)
def test_a_result_comes_back_as_it_was_written(result: Result) -> None:
    assert read_result(raw(fields_of_result(result))) == result


@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=200), max_size=4), json_values)
def test_no_entry_of_a_stranger_raises(fields: dict[bytes, bytes], payload: Any) -> None:
    for one in (fields, entry(payload), entry({**GOOD_REQUEST, "settings": payload}), {b"payload": b"\xff{"}):
        assert isinstance(read_request(one), Request | Malformed)
        assert isinstance(read_result(one), Result | Malformed)


@given(st.permutations(list(GOOD_REQUEST.items())), st.dictionaries(texts, json_values, max_size=3))
def test_order_and_unknown_members_do_not_matter(
    members: list[tuple[str, object]], more: dict[str, object]
) -> None:
    unknown = {f"x-{name}": value for name, value in more.items()}
    found = read_request(entry({**unknown, **dict(members)}, schema_version="v1", published_at="1", other=""))
    assert found == Request(**GOOD_REQUEST)  # type: ignore[arg-type]  # the members are the fields


@pytest.mark.parametrize("settings", [None, {}])
def test_null_and_absent_settings_are_none(settings: object) -> None:
    without = {name: value for name, value in GOOD_REQUEST.items() if name != "settings"}
    for payload in ({**GOOD_REQUEST, "settings": settings}, without):
        found = read_request(entry(payload))
        assert isinstance(found, Request)
        assert found.settings == {}


@pytest.mark.parametrize("version", ["v1", ""])
def test_a_version_we_know_or_none_is_read(version: str) -> None:
    assert isinstance(read_request(entry(GOOD_REQUEST, schema_version=version)), Request)
    assert isinstance(read_result(entry(GOOD_RESULT, schema_version=version)), Result)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"plugin_name": None}, "plugin_name"),
        ({"plugin_name": "  "}, "plugin_name"),
        ({"plugin_name": 5}, "plugin_name"),
        ({"plugin_name": "n" * (names.PLUGIN_NAME_LENGTH_MAX + 1)}, "at most 200"),
        ({"user_id": None}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"user_id": "7"}, "user_id"),
        ({"user_id": 7.0}, "user_id"),
        ({"user_id": -1}, "user_id"),
        ({"user_id": names.USER_ID_MAX + 1}, "user_id"),
        ({"settings": []}, "settings"),
        ({"settings": "{}"}, "settings"),
        ({"settings": {"topics": "nul \0"}}, "U+0000"),
        ({"settings": {"_key": "nul \0"}}, "U+0000"),
        ({"settings": nested(JSON_DEPTH_MAX + 1)}, "nested deeper"),
    ],
)
def test_a_bad_member_of_a_request_does_not_hide_whose_run_it_is(changes: dict[str, Any], why: str) -> None:
    """L82: whoever asked gets an answer."""
    found = read_request(entry({**GOOD_REQUEST, **changes}))
    assert isinstance(found, Malformed)
    assert found.plugin_run_id == "r"
    assert why in found.reason


@pytest.mark.parametrize(
    "changes", [{"status": None}, {"status": "done"}, {"status": ["completed"]}, {"output": {}}, {"error": 1}]
)
def test_a_bad_member_of_a_result_does_not_hide_whose_run_it_is(changes: dict[str, Any]) -> None:
    found = read_result(entry({**GOOD_RESULT, **changes}))
    assert isinstance(found, Malformed)
    assert found.plugin_run_id == "r"


def test_an_unknown_version_is_malformed_and_names_its_run() -> None:
    for read, payload in ((read_request, GOOD_REQUEST), (read_result, GOOD_RESULT)):
        found = read(entry(payload, schema_version="v2"))
        assert found == Malformed(reason="schema_version is `v2`; this program knows `v1`", plugin_run_id="r")


@pytest.mark.parametrize(
    "fields",
    [{}, {b"payload": b""}, entry(b"{"), entry(b"[]"), entry(b"null"), entry(b"\xff"), entry(b"[" * 5_000)],
    ids=["nothing", "empty", "cut", "array", "null", "no text", "deep"],
)
def test_what_is_no_json_object_names_no_run(fields: dict[bytes, bytes]) -> None:
    for found in (read_request(fields), read_result(fields)):
        assert isinstance(found, Malformed)
        assert found.plugin_run_id is None


@pytest.mark.parametrize("run_id", [None, "", " ", 5, "a\0b", "r" * (names.RUN_ID_LENGTH_MAX + 1)])
def test_a_run_id_that_cannot_be_one_is_nobodys(run_id: object) -> None:
    found = read_request(entry({**GOOD_REQUEST, "plugin_run_id": run_id}))
    assert isinstance(found, Malformed)
    assert found.plugin_run_id is None


def test_settings_as_deep_as_a_body_may_have_them_are_read() -> None:
    settings = nested(JSON_DEPTH_MAX)
    found = read_request(entry({**GOOD_REQUEST, "settings": settings}))
    assert isinstance(found, Request)
    assert found.settings == settings


def test_limits_hold_at_their_edge() -> None:
    at = {
        **GOOD_REQUEST,
        "plugin_run_id": "r" * names.RUN_ID_LENGTH_MAX,
        "plugin_name": "n" * names.PLUGIN_NAME_LENGTH_MAX,
        "user_id": names.USER_ID_MAX,
    }
    assert isinstance(read_request(entry(at)), Request)
    text = json.dumps(GOOD_REQUEST).encode()
    assert isinstance(read_request(entry(text.ljust(names.ENTRY_BYTES_MAX))), Request)
    beyond = read_request(entry(text.ljust(names.ENTRY_BYTES_MAX + 1)))
    assert isinstance(beyond, Malformed)
    assert "at most" in beyond.reason
    long = Result(plugin_run_id="r", status="failed", error="e" * (names.ERROR_LENGTH_MAX + 1))
    told = read_result(raw(fields_of_result(long)))
    assert isinstance(told, Result)
    assert told.error == "e" * names.ERROR_LENGTH_MAX


def test_entries_have_exactly_the_fields_that_strangers_read() -> None:
    request = fields_of_request(Request(**GOOD_REQUEST), 1_700_000_000)  # type: ignore[arg-type]  # the members are the fields
    assert {**request, "payload": json.loads(request["payload"])} == {
        "payload": GOOD_REQUEST,
        "published_at": "1700000000",
        "schema_version": "v1",
    }
    result = fields_of_result(Result(plugin_run_id="r", status="completed", output="text"))
    assert {**result, "payload": json.loads(result["payload"])} == {
        "payload": GOOD_RESULT,
        "schema_version": "v1",
    }


def test_a_request_is_never_shown_with_its_settings() -> None:
    request = Request(plugin_run_id="r", plugin_name="p", user_id=1, settings={"_llm_api_key": "sk-1"})
    assert "sk-1" not in repr(request)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"settings":{"_llm_api_key":"sk-1","topics":"ai"}}',
        b'{"settings":{"\\u005Fllm_api_key":"sk-1","topics":"ai"}}',
        b'{"settings":[{"deep":{"_key":"sk-1"}}],"x":"ai"}',
        b'{"settings":{"_llm_api_key":"sk-1",',
    ],
)
def test_a_parked_copy_holds_no_credentials(payload: bytes) -> None:
    copy = fields_for_parking({b"payload": payload}, "why", "plugin:requests", "1-0")
    assert b"sk-1" not in bytes(copy["payload"])  # type: ignore[arg-type]  # bytes came, bytes are kept
    assert (copy["dead_reason"], copy["dead_stream"], copy["dead_entry_id"]) == (
        "why",
        "plugin:requests",
        "1-0",
    )


def test_a_parked_copy_is_the_entry_cut_to_a_size() -> None:
    fields = {b"payload": b"p" * (names.PARKED_BYTES_MAX + 1), b"short": b"\xff"}
    fields |= {f"f{n}".encode(): b"x" for n in range(names.PARKED_FIELDS_MAX)}
    copy = fields_for_parking(fields, "why", "s", "1-0")
    assert copy["payload"] == b"p" * names.PARKED_BYTES_MAX
    assert copy["short"] == b"\xff"
    assert len(copy) == 1 + names.PARKED_FIELDS_MAX + 3
