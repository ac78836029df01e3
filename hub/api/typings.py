"""The API's types as TypeScript declares them, so that the page's modules are checked against the API.

Owns the translation of the OpenAPI document into `hub/web/static/types.d.ts`; `./dev fmt` writes it. A form
of schema that it does not know is an error, never `any`. Never describes a type by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from hub.api.documents import SCHEMA_PLACE, openapi
from hub.api.routes import DOCUMENTED
from hub.web import pages

PLACE: Final = Path(pages.__file__).parent / "static" / "types.d.ts"

OPENING: Final = """\
// Made from the hub's own types by ./dev fmt; a change here is lost. What the API takes and gives.

/** Any JSON value: what agents and people wrote. It is hostile, and of a shape that nobody has checked. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
"""

ASKING: Final = """\

/** The paths that a method has, as the API writes them. */
export type Path<Method extends string> =
  { [Route in keyof Api]: Route extends `${Method} ${infer P}` ? P : never }[keyof Api];

type Of<Method extends string, P extends string, Part extends "query" | "body" | "reply"> =
  `${Method} ${P}` extends keyof Api ? Api[`${Method} ${P}`][Part] : never;

/** What a request gives. */
export type Reply<Method extends string, P extends string> = Of<Method, P, "reply">;

/** What it takes; nothing, where a route takes no body. */
export type Body<Method extends string, P extends string> =
  [Of<Method, P, "body">] extends [never] ? Record<string, never> : Of<Method, P, "body">;

/** What may stand in its query. */
export type Query<Method extends string, P extends string> =
  [Of<Method, P, "query">] extends [never] ? Record<string, never>
    : { [Name in Of<Method, P, "query">]?: unknown };
"""

SIMPLE: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}

SAID_OF_A_VALUE: Final = frozenset({
    "default",
    "description",
    "title",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
})  # fmt: skip
"""Keywords that tell of a value what no type can: a schema of nothing else is any JSON."""

PLAIN_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*")

Schema = dict[str, Any]


class UnknownForm(ValueError):
    """A schema that this does not translate: teach it, rather than let it pass as anything."""


def declarations(document: Schema) -> str:
    """Every named schema, and the table of routes."""
    named: dict[str, Schema] = document["components"]["schemas"]
    parts = [
        OPENING,
        *(declared(name, named[name]) for name in sorted(named)),
        table(document["paths"]),
        ASKING,
    ]
    return "\n".join(parts).replace("}\n\n\n", "}\n\n")


def declared(name: str, schema: Schema) -> str:
    """One named schema: an interface if it is a structure, otherwise a name for a type."""
    said = comment(schema.get("description", ""), "")
    if "properties" not in schema:
        return f"{said}export type {name} = {type_of(schema)};\n"
    return f"{said}export interface {name} {{\n" + "".join(members(schema)) + "}\n"


def members(schema: Schema) -> Iterator[str]:
    required = schema.get("required", [])
    for name, inner in schema["properties"].items():
        mark = "" if name in required else "?"
        yield f"{comment(inner.get('description', ''), '  ')}  {key(name)}{mark}: {type_of(inner)};\n"


def type_of(schema: Schema) -> str:
    """The type of a value that fits this schema."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(SCHEMA_PLACE.format(name=""))
    if "enum" in schema or "const" in schema:
        return union(literal(one) for one in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return union(type_of(one) for one in schema["anyOf"])
    kind = schema.get("type")
    if kind is None and schema.keys() <= SAID_OF_A_VALUE:
        return "Json"
    if kind == "array":
        return f"{bracketed(type_of(schema.get('items', {})))}[]"
    if kind == "object":
        return type_of_object(schema)
    if kind in SIMPLE:
        return SIMPLE[kind]
    raise UnknownForm(f"no type for {schema}")


def type_of_object(schema: Schema) -> str:
    if "properties" in schema:
        return "{ " + " ".join(line.strip() for line in members(schema)) + " }"
    return "{ [name: string]: " + type_of(schema.get("additionalProperties", {})) + " }"


def union(types: Iterable[str]) -> str:
    """Each once; what is any JSON is nothing narrower beside it."""
    found = dict.fromkeys(types)
    return "Json" if "Json" in found else " | ".join(found)


def bracketed(kind: str) -> str:
    return f"({kind})" if " | " in kind else kind


def literal(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or '"' in value or "\\" in value:
        raise UnknownForm(f"no literal for {value!r}")
    return f'"{value}"'


def key(name: str) -> str:
    return name if PLAIN_NAME.fullmatch(name) else literal(name)


def comment(text: str, indent: str) -> str:
    """The first paragraph of a docstring; it cannot end the comment that it stands in."""
    first = " ".join(text.split("\n\n", maxsplit=1)[0].split()).replace("*/", "* /")
    return f"{indent}/** {first} */\n" if first else ""


def table(paths: Schema) -> str:
    """Every route by its method and path: what it asks for, takes and gives."""
    rows = [
        row(f"{method.upper()} {path}", said)
        for path, methods in sorted(paths.items())
        for method, said in sorted(methods.items())
    ]
    opening = "/** Every route: names in its path and in its query, the body it takes, what it gives. */\n"
    return opening + "export interface Api {\n" + "".join(rows) + "}\n"


def row(name: str, said: Schema) -> str:
    names = {
        place: union(literal(one["name"]) for one in said["parameters"] if one["in"] == place) or "never"
        for place in ("path", "query")
    }
    body = said.get("requestBody", {}).get("content", {})
    reply = next(answer["content"] for status, answer in said["responses"].items() if status < "300")
    return (
        f"{comment(said['summary'], '  ')}  {literal(name)}: {{ path: {names['path']}; "
        f"query: {names['query']}; body: {in_json(body)}; reply: {in_json(reply)} }};\n"
    )


def in_json(content: Schema) -> str:
    return type_of(content["application/json"]["schema"]) if content else "never"


def main() -> None:
    """Write the file that is in the repository, or the one that is named."""
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else PLACE
    place.write_text(declarations(openapi(DOCUMENTED, "")), encoding="utf-8")


if __name__ == "__main__":
    main()
