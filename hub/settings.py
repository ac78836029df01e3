"""Everything a user may set, frozen, with the bound of each value.

Owns the names, the defaults, their reasons and what must hold between them. Reads no file, and of the
environment only where this user keeps state: `console/options.py` knows the origin of each value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from hub.errors import ConfigurationError
from protocol import limits

SECOND: Final = 1_000
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR

SQLITE_URL: Final = "sqlite:///"

RANGES: Final[dict[str, tuple[int, int]]] = {
    "port": (0, 65_535),
    "head_ms": (1 * SECOND, 30 * SECOND),
    "identify_ms": (1 * SECOND, 30 * SECOND),
    "ping_ms": (5 * SECOND, 60 * SECOND),
    "heartbeat_ms": (2 * SECOND, 60 * SECOND),
    "accept_ms": (2 * SECOND, 60 * SECOND),
    "lease_ms": (6 * SECOND, 10 * 60 * SECOND),
    "grace_ms": (0, DAY),
    "run_ms": (1 * SECOND, 7 * DAY),
    "input_ms": (1 * SECOND, 7 * DAY),
    "cancel_ms": (1 * SECOND, 10 * 60 * SECOND),
    "drain_ms": (0, 10 * 60 * SECOND),
    "send_ms": (1 * SECOND, 60 * SECOND),
    "v1_silence_ms": (60 * SECOND, 10 * 60 * SECOND),
    "v2_silence_ms": (10 * SECOND, 10 * 60 * SECOND),
    "sockets_max": (0, 1_000_000),
    "sockets_per_address_max": (1, 1_000_000),
    "strangers_max": (1, 100_000),
    "strangers_per_address_max": (1, 100_000),
    "watchers_max": (1, 100_000),
    "watchers_per_token_max": (1, 100_000),
    "frames_per_second": (1, 1_000_000),
    "frames_burst": (1, 1_000_000),
    "pushes_per_second": (0, 1_000_000),
    "inbox_letters_max": (16, 1_000_000),
    "turn_letters_max": (1, 10_000),
    "ring_events": (100, 1_000_000),
    "turns_bytes": (0, 1 << 40),
    "streams_runs_max": (1, 10_000),
    "runs_kept_ms": (60 * SECOND, 366 * DAY),
    "talk_kept_ms": (60 * SECOND, 3_660 * DAY),
    "events_kept_ms": (60 * SECOND, 3_660 * DAY),
    "tasks_kept_ms": (60 * SECOND, 3_660 * DAY),
    "deliveries_kept_ms": (60 * SECOND, 366 * DAY),
    "free_bytes_min": (0, 1 << 50),
}
"""What each number may be; both ends are allowed."""

SILENCE_MARGIN_MS: Final = 3 * SECOND
"""The sweep that finds silent links comes every 2.5 s."""


KEPT_NAMES: Final = {"REDIS_URL": "HUB_REDIS", "PLUGIN_DIR": "HUB_PLUGINS"}
"""Variables of existing deployments that go on working, and what they are called here."""


def with_kept_names(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which the variables of existing deployments have their new names too; a new name
    that is there already, or its file, is the stronger one.
    """
    found = dict(environ)
    for kept, name in KEPT_NAMES.items():
        if environ.get(kept) and f"{name}_FILE" not in environ:
            found.setdefault(name, environ[kept])
    return found


def state_folder() -> Path:
    """Where a hub of this user keeps its ledger when nobody says otherwise."""
    root = os.environ.get("XDG_STATE_HOME")
    return (Path(root) if root else Path.home() / ".local" / "state") / "crewhub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    # --- where
    host: str = "127.0.0.1"
    port: int = 4000
    """0 lets the system choose; the chosen one is printed."""
    state_dir: Path = field(default_factory=state_folder)
    """Folder (0700) of the ledger, the pepper and the ring file of turns."""
    database: str = ""
    """URL of the ledger, `sqlite:///FILE`; empty means `hub.db` in `state_dir`."""
    durability: Literal["full", "normal"] = "full"
    """full: an answered push survives power loss. normal: it survives kill -9, not power loss."""
    public_url: str = ""
    """How clients reach this hub, if not by host and port: for links in answers and for the Origin check."""

    # --- who may come
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    """Serve plain http on an address that is not loopback."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For is believed; per-address caps do not apply to them."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of browsers beside the hub's own."""
    open_onboarding: bool = False
    """Let anyone register an agent, without a join code."""

    # --- runs, and the Redis that other services share with this hub (docs/integrations.md)
    redis: str = field(default="", repr=False)
    """`redis://`, `rediss://` or `redis+sentinel://`; empty: none. It may hold a password: better in a file
    (HUB_REDIS_FILE)."""
    streams_consume: bool = True
    """With a Redis: run what other services ask for on `plugin:requests`."""
    streams_runs_max: int = 100
    """Runs asked for there that are under way here at once; the rest waits for whoever has a hand free."""
    runs_by: Literal["fleet", "streams"] = "fleet"
    """Who does the runs that are asked for here: this hub's own agents, or workers that only speak streams.
    Without a Redis the latter fail at once, with a sentence."""
    runs_kept_ms: int = DAY
    """How long a run is kept after its end."""
    plugins: tuple[str, ...] = ()
    """Folders of plugins whose documents this hub reads, never their code; `shipped` is the packaged ones."""
    hooks: dict[str, Any] = field(default_factory=dict, repr=False)
    """Webhooks that start a task, by name."""
    calls: dict[str, Any] = field(default_factory=dict, repr=False)
    """Webhooks that do a task, by the name of the plugin they stand for."""
    hooks_allow_private: bool = False
    """Whether those may lie in a private network, or on this machine."""

    # --- timers (reliability §3.3)
    head_ms: int = 5 * SECOND
    identify_ms: int = limits.IDENTIFY_TIMEOUT_MS
    ping_ms: int = 20 * SECOND
    heartbeat_ms: int = limits.HEARTBEAT_MS
    accept_ms: int = limits.ACCEPT_MS
    lease_ms: int = limits.LEASE_MS
    grace_ms: int = limits.GRACE_MS
    run_ms: int = 1 * HOUR
    input_ms: int = DAY
    cancel_ms: int = 30 * SECOND
    v1_silence_ms: int = limits.V1_SILENCE_MS
    v2_silence_ms: int = 45 * SECOND
    """ping 20 s + pong 20 s + 5 s, and less where leases are short: see `silence_ms`."""
    send_ms: int = 10 * SECOND
    """How long a peer may not read before its socket is thrown away."""
    drain_ms: int = 60 * SECOND
    """From SIGTERM to the end, at most."""

    # --- limits
    sockets_max: int = 0
    """0: eight tenths of the process's file descriptors."""
    sockets_per_address_max: int = 64
    strangers_max: int = 256
    """WebSockets that nobody has identified yet."""
    strangers_per_address_max: int = 16
    watchers_max: int = 1_000
    watchers_per_token_max: int = 20
    frames_per_second: int = 50
    """From one agent, without facts: those are never limited. A fleet of slots gets four a slot, if that is
more."""
    frames_burst: int = 200
    pushes_per_second: int = 0
    """For one token over HTTP; 0: no limit."""
    inbox_letters_max: int = 10_000
    """Letters that may wait; above it pushes are answered 503, and links are not read."""
    turn_letters_max: int = 512
    """Letters decided and committed together."""
    ring_events: int = 20_000
    """Newest events of the feed kept in memory; older ones are read from the ledger."""

    # --- what is kept, and for how long (docs/operations.md)
    talk_kept_ms: int = 7 * DAY
    """Progress and logs."""
    events_kept_ms: int = 90 * DAY
    """The log of events. What a webhook has still to be told stays longer."""
    tasks_kept_ms: int = 90 * DAY
    """Tasks and their results, from their end."""
    deliveries_kept_ms: int = 30 * DAY
    """What came of deliveries to webhooks."""
    free_bytes_min: int = 256 * limits.MIB
    """Below this much free disk no new task is taken, so that results of the old ones still find room."""

    # --- for the commands that talk to a hub
    url: str = ""
    """The hub that `hub push` and its siblings mean; empty: the one that `hub serve` here wrote down."""
    token: str = ""
    """Better in a file (HUB_TOKEN_FILE or --token-file): other programs can read an environment."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's. A hub's certificate is always verified."""

    # --- for looking into it
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    turns_bytes: int = 0
    """Size of the ring file of turns; 0: none is kept."""
    history_file: Path | None = None
    """Where the hub writes its part of the checker's history; None: nowhere."""

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigurationError(f"{name} is {value}, and must be from {least} to {most}")
        if self.lease_ms < 3 * self.heartbeat_ms:
            raise ConfigurationError(
                f"lease_ms is {self.lease_ms}, and must be at least 3 heartbeats ({3 * self.heartbeat_ms}):"
                " two lost heartbeats are weather"
            )
        if self.database and not self.database.startswith(SQLITE_URL):
            raise ConfigurationError(
                f"database is not of the form {SQLITE_URL}FILE, which is all this hub knows"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigurationError("tls_cert and tls_key belong together: give both or none")

    @property
    def consumes_requests(self) -> bool:
        """Whether this hub reads requests. One that publishes its own there would only take them back."""
        return bool(self.redis) and self.streams_consume and self.runs_by == "fleet"

    @property
    def silence_ms(self) -> int:
        """How long a v2 link may be silent. It ends before a lease that it last renewed can end: a dead line
        costs its tasks a grace, not a strike (D8)."""
        before_lease_ms = self.lease_ms - self.heartbeat_ms - SILENCE_MARGIN_MS
        return min(self.v2_silence_ms, max(before_lease_ms, self.heartbeat_ms * 3 // 2))

    @property
    def database_file(self) -> Path:
        if not self.database:
            return self.state_dir / "hub.db"
        return Path(self.database.removeprefix(SQLITE_URL)).expanduser()

    @property
    def poison_file(self) -> Path:
        return self.state_dir / "poison.jsonl"

    @property
    def turns_file(self) -> Path:
        return self.state_dir / "turns.ring"


assert all(name in Settings.__dataclass_fields__ for name in RANGES)
