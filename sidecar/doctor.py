"""`sidecar doctor`: every part that a sidecar needs, tried one by one, with the next command when it fails.

Owns the list of what is looked at. Changes nothing, takes no work, and never identifies at the hub.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import NamedTuple

from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from sidecar.clock import SidecarClock
from sidecar.enrol import find_place
from sidecar.equipment import Shell, equip, inspected
from sidecar.errors import SidecarError
from sidecar.journal import Verdict, read_journal
from sidecar.line import Place, try_dial
from sidecar.settings import OFFLINE, Settings
from sidecar.state import StateFolder


class Finding(NamedTuple):
    word: str
    sentence: str
    exit_code: int = 0


def examine(settings: Settings) -> Iterator[Finding]:
    """One finding after the other; a later one may need an earlier one, so the first failure ends it."""
    folder = StateFolder(settings.folder)
    try:
        yield _folder(folder)
        yield _journal(folder)
        shell = Shell(folder.path, os.environ, SidecarClock(), _quiet)
        equipment = equip(settings, shell)
        yield Finding("ok", f"runners: {', '.join(runner.name for runner in equipment.runners)}")
        if equipment.at_hand is not None:
            yield from _crews(settings)
        place = find_place(settings, folder)
    except SidecarError as error:
        yield Finding("FAIL", str(error), error.exit_code)
        return
    yield Finding("ok", f"the hub is {place.url}, and there is a token for it")
    yield asyncio.run(_dial(place))


def _folder(folder: StateFolder) -> Finding:
    folder.create()
    pid = folder.running_pid()
    if pid is not None:
        return Finding("ok", f"a sidecar works with {folder.path} (pid {pid})")
    free = os.statvfs(folder.path)
    free_mib = free.f_bavail * free.f_frsize // (1 << 20)
    if free_mib < 256:
        return Finding("WARN", f"{folder.path} has only {free_mib} MiB free: make room")
    return Finding("ok", f"state folder {folder.path}, {free_mib} MiB free")


def _journal(folder: StateFolder) -> Finding:
    try:
        data = folder.journal.read_bytes()
    except FileNotFoundError:
        return Finding("ok", "no journal yet: the first start makes one")
    reading = read_journal(data)
    facts = len(reading.memory.facts)
    if reading.verdict is Verdict.DAMAGED:
        return Finding("WARN", "the journal is damaged: the next start sets it aside and is a new instance")
    return Finding("ok", f"journal of instance {reading.instance_id}: {facts} facts without a receipt")


def _crews(settings: Settings) -> Iterator[Finding]:
    """Plugins imported as a run would, in a folder of their own: a sidecar that works notices nothing."""
    found = inspected(settings, os.environ, _quiet)
    for trouble in found.troubles:
        yield Finding("WARN", f"a plugin is not offered: {trouble.sentence}. See: sidecar plugins")
    if found.plugins:
        yield Finding("ok", f"plugins: {', '.join(sorted(found.plugins))}")
    else:
        yield Finding("FAIL", "no plugin is in order: crews have nothing to run", 1)
    yield _model(settings)
    if settings.crew_start == "warm" and not hasattr(os, "fork"):
        yield Finding("WARN", "this system cannot fork: set crew_start to cold, and runs start in seconds")


def _model(settings: Settings) -> Finding:
    """Whether there is one; whether a provider accepts the key is known when it is asked."""
    if settings.model == OFFLINE:
        return Finding("ok", "crews use the offline model, which says what each plugin's script says")
    if not settings.model:
        return Finding("WARN", "no model is set: each task has to bring one, or set SIDECAR_MODEL")
    if not settings.model_key and not settings.model_url:
        return Finding("WARN", f"{settings.model} has no key: set SIDECAR_MODEL_KEY_FILE, or tasks bring one")
    return Finding("ok", f"crews use {settings.model}")


def _quiet(sentence: str) -> None:
    """What is said on the way is among the findings."""


async def _dial(place: Place) -> Finding:
    try:
        await try_dial(place)
    except InvalidStatus as error:
        status = error.response.status_code
        if status in (401, 403):
            return Finding("FAIL", f"the hub does not accept the token (HTTP {status})", 4)
        return Finding("FAIL", f"the hub answered HTTP {status}: is this the address of a hub?", 5)
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, EOFError) as error:
        return Finding("FAIL", f"no hub answers at {place.url}: {str(error) or type(error).__name__}", 5)
    return Finding("ok", "the hub answers and accepts the token")
