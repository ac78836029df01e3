"""Everything a user of the sidecar may set, frozen, with the bound of each value.

Owns the names, the defaults and their reasons, and the names kept from existing deployments. Never reads a
file or the environment (`console/options.py` does); the command runner's own table is read by the runner that
it configures.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from protocol import limits
from sidecar.errors import SettingsError
from sidecar.house_rules import LOAD_MAX, RUN_MINUTES_MAX, RUNS_MAX, BadRule, HouseRules
from sidecar.wall import rules_of

RANGES: Final[dict[str, tuple[int, int]]] = {
    "slots": (1, limits.SLOTS_MAX),
    "runs_per_hour": (0, RUNS_MAX),
    "runs_per_day": (0, RUNS_MAX),
    "run_minutes_max": (0, RUN_MINUTES_MAX),
    "health_port": (0, 65_535),
    "drain_ms": (0, 24 * 3_600_000),
    "retry_least_ms": (1, 60_000),
    "retry_first_ms": (0, 600_000),
    "retry_most_ms": (1, 600_000),
    "crew_timeout_ms": (1_000, 24 * 3_600_000),
    "crew_memory_bytes": (64 * limits.MIB, 1_024 * 1_024 * limits.MIB),
}

SHIPPED: Final = "shipped"
"""Among the plugin folders: those that come with the package."""

OFFLINE: Final = "offline"
"""As a model: the deterministic one that plays each plugin's own script, without key or network."""

KEPT_FOLDER: Final = "PLUGIN_DIR"
KEPT_SECONDS: Final = "CREW_TIMEOUT_SECONDS"
KEPT_REDIS: Final = "REDIS_URL"
"""Variables of existing deployments that go on working."""

AGENT_ID_FORBIDDEN: Final = frozenset(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)))


def state_root() -> Path:
    """Where sidecars of this user keep their journals when nobody says otherwise."""
    root = os.environ.get("XDG_STATE_HOME")
    return (Path(root) if root else Path.home() / ".local" / "state") / "crewhub" / "sidecar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    # --- the hub and this agent
    hub_url: str = ""
    """ws, wss, http or https; empty: the hub that `hub serve` on this machine wrote down."""
    agent_id: str = ""
    """Empty: the machine's name."""
    token: str = ""
    """Better in a file (SIDECAR_TOKEN_FILE or --token-file): other programs can read an environment."""
    redis: str = field(default="", repr=False)
    """For `sidecar work`, which has no hub: `redis://`, `rediss://` or `redis+sentinel://`. It may hold a
    password: better in a file (SIDECAR_REDIS_FILE)."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's. The hub's certificate is always verified."""
    wire: Literal["json", "msgpack"] = "json"

    # --- what it can do
    capabilities: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    slots: int = 1
    slot_kinds: dict[str, str] = field(default_factory=dict)
    """Further slots for tasks that name the kind, `gpu=1`: such a task takes one of these and no other."""
    command: tuple[str, ...] = ()
    """The program of the command runner, argument by argument; never a shell's line."""
    commands: dict[str, Any] = field(default_factory=dict)
    """Programs by plugin name; see `runners/command.py`."""

    # --- crews
    plugins: tuple[str, ...] = ()
    """Folders of plugins; `shipped` is the packaged ones. Empty: no crews."""
    model: str = ""
    """The model of crews whose task brings none, as crewai names it; `offline` needs neither key nor
    network."""
    model_key: str = field(default="", repr=False)
    """Its key. Better in a file (SIDECAR_MODEL_KEY_FILE)."""
    model_url: str = ""
    """Its address, when it is not the provider's own."""
    search_key: str = field(default="", repr=False)
    """The key of the search service; without it the fallback that needs none."""
    crew_timeout_ms: int = 300_000
    """How long one run of a crew may take; the time in which a person is asked does not count."""
    crew_memory_bytes: int = 1_024 * limits.MIB
    """How much memory of its own one run may use. What it shares with the others is counted in parts."""
    crew_start: Literal["warm", "cold"] = "warm"
    """warm: a fork of one process that has imported crewai; cold: a fresh process for each run."""
    crew_environment: tuple[str, ...] = ()
    """Further variables of the sidecar's own environment that crews may see."""

    # --- the owner's rules: while one holds no work is taken, and what is in hand goes on
    quiet_hours: tuple[str, ...] = ()
    """`22:00-07:00`, or with days `mon-fri 09:00-17:00`, `sat+sun 00:00-24:00`."""
    time_zone: str = ""
    """In which quiet hours are meant, as `Europe/Berlin`. Empty: this machine's; containers have UTC."""
    runs_per_hour: int = 0
    runs_per_day: int = 0
    """How many runs may begin in any such time; 0: as many as come."""
    run_minutes_max: int = 0
    """How long a run may take at most, whatever a task says; 0: as long as the hub lets it."""
    load_max: float = 0.0
    """Load average per core above which no work is taken; 0: at any load."""

    # --- this process
    state_dir: Path | None = None
    """Folder (0700) of journal, token and lock; None: one a name below `state_root()`."""
    health_port: int = 0
    """0: no health endpoint."""
    health_host: str = "127.0.0.1"
    drain_ms: int = 10 * 60_000
    """How long SIGTERM waits for runs before it stops them."""
    once: bool = False
    """Do one task and leave."""
    retry_least_ms: int = 500
    retry_first_ms: int = 0
    """0: 10 s, or 2 s when the hub is on this machine, where no fleet is."""
    retry_most_ms: int = 30_000
    """The window in which a redial falls, at random over all of it, so that a fleet does not come back as
    one."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    history_file: Path | None = None
    """Where the sidecar writes its part of the checker's history; None: nowhere."""

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_names()
        self._check_seats()
        try:
            assert self.rules is not None
        except BadRule as error:
            raise SettingsError(str(error)) from error

    def _check_numbers(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise SettingsError(f"{name} is {value}, and must be from {least} to {most}")
        if self.retry_least_ms > self.retry_most_ms:
            raise SettingsError("retry_least_ms is above retry_most_ms")
        if not 0.0 <= self.load_max <= LOAD_MAX:  # no number is neither
            raise SettingsError(f"load_max is {self.load_max}, and must be from 0 to {LOAD_MAX:g}")

    def _check_names(self) -> None:
        if len(self.agent_id) > limits.AGENT_ID_LENGTH_MAX or AGENT_ID_FORBIDDEN & set(self.agent_id):
            raise SettingsError(
                f"agent_id has at most {limits.AGENT_ID_LENGTH_MAX} characters and no control characters"
            )
        if self.agent_id == "broadcast":
            raise SettingsError("agent_id `broadcast` is taken: it is the address of everybody")

    def _check_seats(self) -> None:
        seats = self.slots
        if len(self.slot_kinds) > limits.SLOT_KINDS_MAX:
            raise SettingsError(
                f"slot_kinds names {len(self.slot_kinds)}; {limits.SLOT_KINDS_MAX} are allowed"
            )
        for kind, number in self.slot_kinds.items():
            if len(kind) > limits.SLOT_KIND_LENGTH_MAX or AGENT_ID_FORBIDDEN & set(kind):
                raise SettingsError(f"slot_kinds: `{kind[:80]}` is no name for a kind of slots")
            if not (number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= limits.SLOTS_MAX):
                raise SettingsError(
                    f"slot_kinds: `{kind}={number}`, and must be from 1 to {limits.SLOTS_MAX}"
                )
            seats += int(number)
        if seats > limits.SLOTS_MAX:
            raise SettingsError(f"{seats} slots of all kinds, and one sidecar has at most {limits.SLOTS_MAX}")

    @property
    def seats_by_kind(self) -> dict[str, int]:
        """Slots beside the ordinary ones."""
        return {kind: int(number) for kind, number in self.slot_kinds.items()}

    @property
    def rules(self) -> HouseRules:
        """The owner's rules, read."""
        return rules_of(
            quiet=self.quiet_hours,
            runs_per_hour=self.runs_per_hour,
            runs_per_day=self.runs_per_day,
            run_minutes_max=self.run_minutes_max,
            load_max=self.load_max,
            time_zone=self.time_zone,
        )

    @property
    def folder(self) -> Path:
        """This agent's state folder."""
        return self.state_dir or state_root() / quote(self.agent_id, safe="")


def with_kept_names(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which the variables of existing deployments have their new names too; a new name
    that is there already is the stronger one.
    """
    found = dict(environ)
    if environ.get(KEPT_FOLDER):
        found.setdefault("SIDECAR_PLUGINS", environ[KEPT_FOLDER])
    if environ.get(KEPT_REDIS) and "SIDECAR_REDIS_FILE" not in environ:
        found.setdefault("SIDECAR_REDIS", environ[KEPT_REDIS])
    seconds = environ.get(KEPT_SECONDS)
    if seconds is not None and "SIDECAR_CREW_TIMEOUT_MS" not in environ:
        found["SIDECAR_CREW_TIMEOUT_MS"] = str(_milliseconds(seconds))
    return found


def _milliseconds(seconds: str) -> int:
    least, most = (bound // 1_000 for bound in RANGES["crew_timeout_ms"])
    try:
        amount = float(seconds)
    except ValueError:
        amount = 0.0
    if not least <= amount <= most:
        raise SettingsError(f"{KEPT_SECONDS} is `{seconds}`, and must be a number from {least} to {most}")
    return round(amount * 1_000)


def websocket_url(url: str) -> str:
    """The address of the agents' WebSocket, from whatever form of the hub's address somebody gave."""
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.hostname:
        raise SettingsError(f"`{url}` is not the address of a hub; write for example wss://hub.example.org")
    if parts.username or parts.password or parts.query:
        raise SettingsError("the address of a hub has neither a user nor a query: tokens travel in a header")
    path = parts.path.rstrip("/")
    return urlunsplit(
        (schemes[parts.scheme], parts.netloc, path if path.endswith("/ws") else f"{path}/ws", "", "")
    )


def http_url(ws_url: str) -> str:
    """The address of the same hub's HTTP API."""
    parts = urlsplit(ws_url)
    path = parts.path.removesuffix("/ws")
    return urlunsplit(("https" if parts.scheme == "wss" else "http", parts.netloc, path, "", ""))


assert all(name in Settings.__dataclass_fields__ for name in RANGES)
