"""Entries of the two streams: fields of Redis into requests and results, and back.

Owns how much of a stranger's habit is forgiven (null and empty members, members we do not know, any order)
and what makes an entry malformed, with a sentence that says so. A malformed entry keeps the id of its run
where it names one, so that whoever asked gets an answer (L82). Pure: knows no connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from protocol.rawjson import FLAW_SENTENCES, flaw_in
from streams import names

Fields: TypeAlias = Mapping[bytes, bytes]
"""An entry as Redis gives it."""

Status: TypeAlias = Literal["completed", "failed"]

_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A service asks for a run of a plugin. `settings` may hold credentials: never shown, never stored."""

    plugin_run_id: str
    plugin_name: str
    user_id: int
    settings: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Request({self.plugin_run_id}, {self.plugin_name}, user {self.user_id})"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. `output` is text; a briefing's is JSON text."""

    plugin_run_id: str
    status: Status
    output: str | None = None
    error: str | None = None


class Malformed(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that cannot be acted on, why, and whose run it is if it says so."""

    reason: str
    plugin_run_id: str | None = None


class _Loose(msgspec.Struct):
    """Every member as it came: each is judged by itself, so that one bad member does not hide the id."""

    plugin_run_id: Any = None
    plugin_name: Any = None
    user_id: Any = None
    settings: Any = None
    status: Any = None
    output: Any = None
    error: Any = None


_loose = msgspec.json.Decoder(_Loose)


def read_request(fields: Fields) -> Request | Malformed:
    """A request, or why it is none."""
    found = _payload(fields)
    if isinstance(found, Malformed):
        return found
    run_id = _run_id(found)
    fault = (
        _version_fault(fields)
        or _name_fault("plugin_run_id", found.plugin_run_id, names.RUN_ID_LENGTH_MAX)
        or _name_fault("plugin_name", found.plugin_name, names.PLUGIN_NAME_LENGTH_MAX)
        or _user_fault(found.user_id)
        or _settings_fault(found.settings)
    )
    if fault is not None:
        return Malformed(reason=fault, plugin_run_id=run_id)
    return Request(
        plugin_run_id=found.plugin_run_id,
        plugin_name=found.plugin_name,
        user_id=found.user_id,
        settings=found.settings or {},
    )


def read_result(fields: Fields) -> Result | Malformed:
    """A result, or why it is none."""
    found = _payload(fields)
    if isinstance(found, Malformed):
        return found
    run_id = _run_id(found)
    fault = (
        _version_fault(fields)
        or _name_fault("plugin_run_id", found.plugin_run_id, names.RUN_ID_LENGTH_MAX)
        or _status_fault(found.status)
        or _text_fault("output", found.output)
        or _text_fault("error", found.error)
    )
    if fault is not None:
        return Malformed(reason=fault, plugin_run_id=run_id)
    return Result(
        plugin_run_id=found.plugin_run_id,
        status=found.status,
        output=found.output,
        error=found.error or None,
    )


def fields_of_request(request: Request, published_at_s: int) -> dict[str, str]:
    """The entry that asks for this run."""
    return {
        names.PAYLOAD: _text(
            {
                "plugin_run_id": request.plugin_run_id,
                "plugin_name": request.plugin_name,
                "user_id": request.user_id,
                "settings": request.settings,
            }
        ),
        names.PUBLISHED_AT: str(published_at_s),
        names.VERSION: names.SCHEMA_VERSION,
    }


def fields_of_result(result: Result) -> dict[str, str]:
    """The entry that says how a run ended: all four members, null where there is nothing."""
    error = result.error
    return {
        names.PAYLOAD: _text(
            {
                "plugin_run_id": result.plugin_run_id,
                "status": result.status,
                "output": result.output,
                "error": error if error is None else error[: names.ERROR_LENGTH_MAX],
            }
        ),
        names.VERSION: names.SCHEMA_VERSION,
    }


def fields_for_parking(fields: Fields, reason: str, stream: str, entry_id: str) -> dict[str, str | bytes]:
    """A copy for a person to look at: cut to a size, and without the credentials that settings may hold."""
    others = [name for name in fields if name != names.PAYLOAD.encode()][: names.PARKED_FIELDS_MAX]
    kept: dict[str, str | bytes] = {
        name[: names.PARKED_BYTES_MAX].decode(errors="replace"): fields[name][: names.PARKED_BYTES_MAX]
        for name in others
    }
    payload = fields.get(names.PAYLOAD.encode())
    if payload is not None:
        kept[names.PAYLOAD] = _without_credentials(payload)[: names.PARKED_BYTES_MAX]
    said = {names.DEAD_REASON: reason, names.DEAD_STREAM: stream, names.DEAD_ENTRY: entry_id}
    return {**kept, **said}


# --- reading, member by member ------------------------------------------------------------------------------


def _payload(fields: Fields) -> _Loose | Malformed:
    raw = fields.get(names.PAYLOAD.encode())
    if not raw:
        return Malformed(reason=f"the entry has no field `{names.PAYLOAD}`")
    if len(raw) > names.ENTRY_BYTES_MAX:
        return Malformed(reason=f"the payload has {len(raw)} bytes; at most {names.ENTRY_BYTES_MAX} are read")
    try:
        return _loose.decode(raw)
    except msgspec.ValidationError:
        return Malformed(reason="the payload is not a JSON object")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as trouble:
        return Malformed(reason=f"the payload is not JSON: {trouble}")


def _run_id(found: _Loose) -> str | None:
    named = _name_fault("plugin_run_id", found.plugin_run_id, names.RUN_ID_LENGTH_MAX) is None
    return found.plugin_run_id if named else None


def _version_fault(fields: Fields) -> str | None:
    said = fields.get(names.VERSION.encode(), b"")
    if said in {b"", names.SCHEMA_VERSION.encode()}:
        return None
    known = names.SCHEMA_VERSION
    return f"schema_version is `{said.decode(errors='replace')[:40]}`; this program knows `{known}`"


def _name_fault(member: str, value: object, length_max: int) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return f"`{member}` must be a string that is not empty"
    if len(value) > length_max or "\0" in value:
        return f"`{member}` has at most {length_max} characters and no U+0000"
    return None


def _user_fault(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= names.USER_ID_MAX:
        return "`user_id` must be a whole number that is not negative"
    return None


def _settings_fault(value: object) -> str | None:
    """Also what no frame and no body may hold: a run that nobody could be ordered to do is refused here."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return "`settings` must be an object"
    flaw = flaw_in(_encode(value), bytes_max=names.ENTRY_BYTES_MAX)
    return None if flaw is None else f"`settings` cannot be taken: {FLAW_SENTENCES[flaw]}"


def _status_fault(value: object) -> str | None:
    return None if value in ("completed", "failed") else "`status` must be `completed` or `failed`"


def _text_fault(member: str, value: object) -> str | None:
    return None if value is None or isinstance(value, str) else f"`{member}` must be a string or null"


def _text(payload: dict[str, object]) -> str:
    return _encode(payload).decode()


# --- parking ------------------------------------------------------------------------------------------------


def _without_credentials(payload: bytes) -> bytes:
    """Members whose name begins with `_` are a run's keys; what cannot be read is cut out whole."""
    if b'"_' not in payload and b'"\\u005f' not in payload.lower():
        return payload
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b"(not JSON, and it may hold credentials)"
    return _encode(_kept(found))


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _kept(member) for name, member in value.items() if not name.startswith("_")}
    if isinstance(value, list):
        return [_kept(member) for member in value]
    return value
