"""Manifests against the models that the client of Kubernetes has from its OpenAPI document, strictly.

Owns the walk: an unknown member is a fault, as are a wrong type and a member that is missing. The client
itself would pass over the first of them.
"""

import importlib
import re
from typing import Any

PLAIN: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "object": object,
}


def faults(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with one object, each with the path to it; empty: nothing."""
    version = str(manifest["apiVersion"]).rpartition("/")[2]
    return faults_of(f"{version.capitalize()}{manifest['kind']}", manifest, str(manifest["kind"]))


def faults_of(kind: str, value: Any, where: str) -> list[str]:
    several = re.fullmatch(r"(list|dict)[\[(](?:str, ?)?(.+)[\])]", kind)
    if several is not None:
        return faults_of_several(several[1], several[2], value, where)
    if kind in PLAIN:
        is_fit = isinstance(value, PLAIN[kind]) and (
            kind in {"bool", "object"} or not isinstance(value, bool)
        )
        return [] if is_fit else [f"{where}: {value!r} is no {kind}"]
    model = getattr(importlib.import_module("kubernetes.client"), kind, None)
    if model is None:
        return [f"{where}: there is no {kind}"]
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no {kind}"]
    return faults_of_members(model, value, where)


def faults_of_several(form: str, kind: str, value: Any, where: str) -> list[str]:
    if not isinstance(value, list if form == "list" else dict):
        return [f"{where}: {value!r} is no {form}"]
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return [fault for key, one in pairs for fault in faults_of(kind, one, f"{where}.{key}")]


def faults_of_members(model: Any, value: dict[str, Any], where: str) -> list[str]:
    names = {written: name for name, written in model.attribute_map.items()}
    found = [f"{where}: {member} is unknown" for member in value if member not in names]
    for member in value.keys() & names.keys():
        found += faults_of(model.openapi_types[names[member]], value[member], f"{where}.{member}")
    try:
        model(**{names[member]: one for member, one in value.items() if member in names})
    except ValueError as error:
        found.append(f"{where}: {error}")
    return found
