"""Where settings come from: flag > environment (and `*_FILE`) > ./NAME.toml > user config > default.

Owns the order, the conversion of text by the type of the field, the origin of every value, and the sentence
for a name that nobody knows. Knows no setting itself: it fills whatever frozen dataclass it is given.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import tomllib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import (
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

FILE_BYTES_MAX: Final = 1024 * 1024
"""A configuration or secret file above this is something else."""

TRUE: Final = frozenset({"1", "true", "yes", "on"})
FALSE: Final = frozenset({"0", "false", "no", "off", ""})


class OptionError(Exception):
    """A setting that cannot be used; the sentence names it, where it stands, and what to write instead."""


class Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


S = TypeVar("S", bound=Dataclass)


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen(Generic[S]):
    """The settings, where each value is from, and what a person should be told."""

    settings: S
    origins: Mapping[str, str]
    notices: tuple[str, ...] = ()


def config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's config folder of this product."""
    root = environ.get("XDG_CONFIG_HOME")
    return (Path(root) if root else Path.home() / ".config") / "crewhub"


def config_files(
    name: str, explicit: Path | None = None, environ: Mapping[str, str] = os.environ
) -> list[Path]:
    """The files that may say something, the stronger first; one that was named must exist."""
    if explicit is not None:
        if not explicit.is_file():
            raise OptionError(f"there is no file {explicit}")
        return [explicit]
    return [Path(f"{name}.toml"), config_folder(environ) / f"{name}.toml"]


def choose(
    kind: type[S],
    *,
    prefix: str,
    flags: Mapping[str, object] = types.MappingProxyType({}),
    files: Sequence[Path] = (),
    environ: Mapping[str, str] = os.environ,
) -> Chosen[S]:
    """Fill `kind` from all sources. A flag that is None, or an empty tuple, was not given."""
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    values: dict[str, Any] = {}
    origins = dict.fromkeys(names, "default")
    for path in reversed(files):
        for name, value in _read_toml(path, names).items():
            values[name] = convert(value, hints[name], f"`{name}` in {path}")
            origins[name] = str(path)
    for name in names:
        found = _from_environment(prefix + name.upper(), environ)
        if found is not None:
            text, origin = found
            values[name] = convert(text, hints[name], origin)
            origins[name] = origin
    for name, flag in flags.items():
        if flag is None or flag == ():
            continue
        if name not in hints:
            raise OptionError(f"no setting is called `{name}`{_did_you_mean(name, names)}")
        values[name] = convert(flag, hints[name], f"--{name.replace('_', '-')}")
        origins[name] = f"--{name.replace('_', '-')}"
    return Chosen(kind(**values), origins, tuple(_misspelt(prefix, names, environ)))


def read_secret(path: Path) -> str:
    """The first line of a file with a secret."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise OptionError(f"{path} is too big to be a secret")
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} cannot be read: {error}") from error


def convert(value: object, hint: Any, origin: str) -> Any:
    """A value of the type that the field declares, from TOML, the environment or a flag."""
    origin_type = get_origin(hint)
    if origin_type in (types.UnionType, Union):
        options = [one for one in get_args(hint) if one is not type(None)]
        return None if value is None else convert(value, options[0], origin)
    if origin_type is Literal:
        return _one_of(value, get_args(hint), origin)
    if origin_type is tuple:
        items = [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value
        return tuple(convert(one, get_args(hint)[0], origin) for one in _sequence(items, origin))
    if origin_type is dict:
        return _pairs(value, origin) if get_args(hint)[1] is str else _tables(value, origin)
    return _simple(value, hint, origin)


def _simple(value: object, hint: Any, origin: str) -> Any:
    if hint is bool:
        word = str(value).lower()
        if word not in TRUE | FALSE:
            raise OptionError(f"{origin}: `{value}` is neither true nor false")
        return word in TRUE
    if hint in (int, float):
        try:
            return hint("" if isinstance(value, bool) else str(value))
        except ValueError:
            kind = "a whole number" if hint is int else "a number"
            raise OptionError(f"{origin}: `{value}` is not {kind}") from None
    if not isinstance(value, str | Path):
        raise OptionError(f"{origin}: `{value}` is not text")
    return Path(value).expanduser() if hint is Path else str(value)


def _one_of(value: object, allowed: tuple[object, ...], origin: str) -> object:
    for one in allowed:
        if str(one) == str(value):
            return one
    words = [str(one) for one in allowed]
    raise OptionError(
        f"{origin}: `{value}` is not one of {', '.join(words)}{_did_you_mean(str(value), words)}"
    )


def _sequence(value: object, origin: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise OptionError(f"{origin}: `{value}` is not a list")
    return value


def _tables(value: object, origin: str) -> dict[str, Any]:
    """Tables of a TOML file, or a JSON object in the environment; read by whoever they configure."""
    try:
        found = json.loads(value or "{}") if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        raise OptionError(f"{origin}: this is no table; in the environment a JSON object is expected")
    return dict(found)


def _pairs(value: object, origin: str) -> dict[str, str]:
    """`{k = "v"}` in TOML, `k=v,k=v` in the environment, or a list of `k=v`."""
    if isinstance(value, Mapping):
        return {str(key): str(one) for key, one in value.items()}
    items = [one for one in value.split(",") if one.strip()] if isinstance(value, str) else value
    pairs = {}
    for item in _sequence(items, origin):
        key, equals, word = str(item).partition("=")
        if not equals or not key.strip():
            raise OptionError(f"{origin}: `{item}` is not of the form name=value")
        pairs[key.strip()] = word.strip()
    return pairs


def _from_environment(variable: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    if variable in environ:
        return environ[variable], variable
    file_variable = f"{variable}_FILE"
    if file_variable in environ:
        return read_secret(Path(environ[file_variable])), file_variable
    return None


def _read_toml(path: Path, names: Sequence[str]) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} cannot be read: {error}") from error
    for name in found:
        if name not in names:
            raise OptionError(f"{path}: no setting is called `{name}`{_did_you_mean(name, names)}")
    return found


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def _misspelt(prefix: str, names: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Other programs may use our prefix, so only what looks like a slip is worth a word."""
    known = [prefix + name.upper() for name in names]
    known += [f"{name}_FILE" for name in known]
    notices = []
    for variable in sorted(environ):
        if variable.startswith(prefix) and variable not in known:
            close = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
            if close:
                notices.append(f"{variable} is not a setting; did you mean {close[0]}?")
    return notices
