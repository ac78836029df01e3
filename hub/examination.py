"""Every part that a hub needs, looked at one by one, with what to do when it is not as it should be.

Owns the list of what `hub doctor` looks at, and the audit of a live system by the checker of histories.
Changes nothing, and disturbs no hub that runs.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

import apsw
import httpx

from hub import clock
from hub.checker import RULES, Scope, Verdict, check
from hub.commands.places import Place
from hub.errors import ConfigurationError
from hub.evidence import records_of_database
from hub.history import read
from hub.settings import Settings
from hub.store import backup, permissions
from hub.store.database import check_driver
from hub.version import VERSION
from protocol.limits import MIB

TIMEOUT_S: Final = 5.0

CLOCK_MS_MAX: Final = 5_000
"""Deadlines that lie on the disk are wall time; agents and people compare times of both machines."""

YEAR_2025_MS: Final = 1_735_689_600_000

Word = Literal["ok", "WARN", "FAIL"]


class Finding(NamedTuple):
    word: Word
    sentence: str


def ok(sentence: str) -> Finding:
    return Finding("ok", sentence)


def warn(sentence: str) -> Finding:
    return Finding("WARN", sentence)


def fail(sentence: str) -> Finding:
    return Finding("FAIL", sentence)


def examine(settings: Settings, place: Place | None) -> Iterator[Finding]:
    """This machine, the files of its hub, and the hub that commands would talk to."""
    yield from versions()
    yield wall_clock()
    yield from files(settings)
    yield from hub_at(place)


# --- this machine ------------------------------------------------------------------------------------------


def versions() -> Iterator[Finding]:
    yield ok(f"crewhub {VERSION} on Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}")
    try:
        check_driver()
    except ConfigurationError as error:
        yield fail(str(error))
    if sys.version_info[:2] not in {(3, 11), (3, 12), (3, 13)}:
        yield warn("this Python is none that we test with: use 3.11, 3.12 or 3.13")


def wall_clock(wall_ms: int | None = None) -> Finding:
    now_ms = clock.wall_ms() if wall_ms is None else wall_ms
    if now_ms < YEAR_2025_MS:
        return fail("this machine's clock is years behind: set it, or tokens and deadlines are wrong")
    return ok("this machine's clock is plausible")


# --- files -------------------------------------------------------------------------------------------------


def files(settings: Settings) -> Iterator[Finding]:
    folder, path = settings.state_dir, settings.database_file
    if not folder.exists():
        yield warn(f"no hub has run here yet ({folder} does not exist): hub serve makes it")
        return
    yield permitted(folder, path)
    yield room(path if path.exists() else folder, settings.free_bytes_min)
    if not path.exists():
        yield warn(f"there is no database at {path}: hub serve makes it")
        return
    yield from whole(path)


def permitted(folder: Path, path: Path) -> Finding:
    try:
        permissions.check(folder, permissions.FOLDER_MODE)
        permissions.check_database(path)
    except ConfigurationError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{folder} cannot be looked at ({error.strerror}): run the doctor as the hub's user")
    return ok(f"{folder} and the database belong to this user alone")


def room(path: Path, free_bytes_min: int) -> Finding:
    found = os.statvfs(path)
    free = found.f_bavail * found.f_frsize
    if free < free_bytes_min:
        return fail(
            f"only {free // MIB} MiB are free where {path} lies, and below {free_bytes_min // MIB} MiB"
            " pushes are refused: make room"
        )
    if free < 4 * free_bytes_min:
        return warn(f"{free // MIB} MiB are free where {path} lies: make room soon")
    return ok(f"{free // MIB} MiB are free where {path} lies")


def whole(path: Path) -> Iterator[Finding]:
    try:
        findings = backup.check(path)
    except (ConfigurationError, apsw.Error) as error:
        findings = [str(error)]
    for finding in findings:
        yield fail(f"{path}: {finding}. Stop the hub, keep this file, and restore the last good backup")
    if not findings:
        yield ok(f"{path} is whole, and its rules hold")


# --- the hub -----------------------------------------------------------------------------------------------


def hub_at(place: Place | None) -> Iterator[Finding]:
    if place is None:
        yield warn("no hub is named and none runs on this machine. Start one with: hub serve")
        return
    headers = {"Authorization": f"Bearer {place.token}"} if place.token else {}
    verify = place.ca_file if place.ca_file is not None else True
    with httpx.Client(
        base_url=place.url, headers=headers, timeout=TIMEOUT_S, verify=verify, trust_env=False
    ) as client:
        try:
            answer = client.get("/health/ready")
        except httpx.HTTPError as error:
            yield fail(f"no hub answers at {place.url} ({error}). Start it with: hub serve")
            return
        yield readiness(place, answer)
        yield from same_time(answer)
        yield token_of(client, place)


def readiness(place: Place, answer: httpx.Response) -> Finding:
    try:
        said = answer.json()
    except ValueError:
        return fail(f"{place.url} answers {answer.status_code}, and not as a hub does: is the address right?")
    if answer.status_code == 503:
        return warn(f"the hub at {place.url} is not ready: {said.get('error')}")
    if said.get("version") != VERSION:
        return warn(
            f"the hub at {place.url} is version {said.get('version')}, this program is {VERSION}:"
            " upgrade the older one"
        )
    return ok(f"the hub at {place.url} is ready (durability {said.get('durability')})")


def same_time(answer: httpx.Response) -> Iterator[Finding]:
    date = answer.headers.get("Date")
    if date is None:
        return
    apart_ms = abs(parsedate_to_datetime(date).timestamp() * 1000 - clock.wall_ms())
    if apart_ms > CLOCK_MS_MAX:
        yield warn(f"its clock and ours are {apart_ms / 1000:.0f} s apart: set both by a time server")
    else:
        yield ok("its clock and ours agree")


def token_of(client: httpx.Client, place: Place) -> Finding:
    if place.token is None:
        return warn("there is no token for it: name a file with --token-file")
    try:
        status = client.get("/api/tasks/stats").status_code
    except httpx.HTTPError as error:
        return fail(f"the hub went away while we asked ({error})")
    if status in {401, 403}:
        return fail("the hub does not accept the token: make another with hub token create --role viewer")
    return ok("the hub accepts the token")


# --- audit -------------------------------------------------------------------------------------------------


def audit(settings: Settings, histories: Sequence[Path]) -> Verdict:
    """The checker's verdict on the ledger as it is, and on what the processes have written down.

    On a live system work is open and not everybody keeps a history: only contradictions count.
    """
    kept = [path for path in (settings.history_file, *histories) if path is not None]
    return check([*read(kept), *records_of_database(settings.database_file)], Scope())


def findings_of(verdict: Verdict) -> Iterator[Finding]:
    for violation in verdict.violations:
        task = f"{violation.task}: " if violation.task else ""
        yield fail(f"{violation.rule} ({RULES[violation.rule]}): {task}{violation.sentence}")
    if verdict.is_clean:
        figures = verdict.figures
        yield ok(f"audit of {figures['records']} records, {figures['tasks']} tasks: no promise is broken")
    else:
        yield fail(f"{sum(verdict.counts.values())} contradictions: keep the state folder and the histories")
