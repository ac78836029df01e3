"""The process: uvicorn with our guards, one listening socket, signals, and the exit code.

Owns how the hub is served (uvloop, httptools, WebSockets without compression, no version banner) and how it
ends: SIGTERM or SIGINT drains, a second one ends at once; a ledger that cannot be trusted ends it with a
code. Never knows a route or a task: `app.py` builds what is served.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import uvicorn
import uvloop
from starlette.applications import Starlette

from console.options import OptionError, choose
from hub.census import Cap, Trusted, sockets_max_of_process
from hub.errors import ConfigurationError
from hub.guards import GuardedConfig, GuardedHttp, GuardedWebSocket
from hub.life import EXIT_CONFIGURATION, Life
from hub.settings import Settings, with_kept_names
from protocol.limits import WEBSOCKET_BYTES_MAX

USER_TIMEOUT_MS: Final = 30_000
"""TCP_USER_TIMEOUT of every connection: unacknowledged data for so long means that nobody is there. The
kernel's own default is about a quarter of an hour."""

TLS_S: Final = 10
"""For the whole handshake of a connection, which no guard of ours sees: uvloop would wait a minute."""

KEEP_ALIVE_S: Final = 15
"""An idle HTTP connection; above the 10 s between two polls of a page."""

SWITCH_INTERVAL_S: Final = 0.0005
"""How long the loop may keep the interpreter from the writer; the default of 5 ms is as long as a commit."""

COLLECT_AFTER: Final = (20_000, 20, 50)
"""Objects between two collections: most of what a hub makes never forms circles, and with 100,000 open tasks
a walk over all of them at the default of 700 is nine tenths of a push. What is loaded at the start is frozen
out of it altogether."""

BACKLOG: Final = 4096
"""Connections that the kernel holds for us: a fleet comes back at once after a restart."""

DRAIN_MS: Final = 60_000
"""What a drain may take when the settings say nothing else."""

GRACEFUL_S: Final = 10
"""For requests in hand when the hub ends."""

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "::1", "localhost"})

logger = logging.getLogger(__name__)


class HubLoop(uvloop.Loop):
    """uvloop with a deadline for handshakes, which uvicorn has no setting for."""

    async def create_server(self, *args: Any, **more: Any) -> Any:
        if more.get("ssl") is not None:
            more.setdefault("ssl_handshake_timeout", TLS_S)
        return await super().create_server(*args, **more)


class HubServer(uvicorn.Server):
    """uvicorn's server with our idea of an end."""

    def __init__(
        self,
        config: GuardedConfig,
        life: Life,
        on_ready: Callable[[], None] | None = None,
        *,
        drain_ms: int = DRAIN_MS,
    ) -> None:
        super().__init__(config)
        self._life = life
        self._drain_ms = drain_ms
        self._drain: asyncio.Task[None] | None = None
        self._on_ready = on_ready
        self._is_asked_to_stop = False
        self._is_drained = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM drains; whoever asks twice is in a hurry. Unlike uvicorn we exit 0, not by the signal."""
        if self._is_asked_to_stop:
            self.should_exit = True
            self.force_exit = sig == signal.SIGINT
            if self._drain is not None:
                self._drain.get_loop().call_soon_threadsafe(self._drain.cancel)
        self._is_asked_to_stop = True

    def stop(self) -> None:
        """As SIGTERM does, for a hub inside another program."""
        self._is_asked_to_stop = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self._life.has_failed and self._on_ready is not None:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if self._life.has_failed:
            self.should_exit = True
        elif self._is_asked_to_stop and not self._is_drained:
            self._is_drained = True
            await self._let_go()
            self.should_exit = True
        return await super().on_tick(counter)

    async def _let_go(self) -> None:
        """Drain for as long as the operator allows, or until somebody asks twice."""
        async with asyncio.TaskGroup() as group:
            self._drain = group.create_task(self._life.drain())
            await asyncio.wait([self._drain], timeout=self._drain_ms / 1000)
            self._drain.cancel()


def listen(settings: Settings) -> socket.socket:
    """The one listening socket; what is set on it, its connections inherit."""
    if settings.host not in LOOPBACK_NAMES and settings.tls_cert is None and not settings.insecure:
        raise ConfigurationError(
            f"refusing to serve plain http on {settings.host}: tokens would travel in the open."
            " Give --tls-cert and --tls-key, or --insecure if a proxy in front does TLS"
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from error
    listening.setblocking(False)
    return listening


def configure(app: Starlette, settings: Settings, life: Life) -> GuardedConfig:
    config = GuardedConfig(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=GuardedHttp,
        ws=GuardedWebSocket,
        ws_max_size=WEBSOCKET_BYTES_MAX,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # the registry pings, by a clock that knows when the hub was away
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        server_header=False,
        date_header=True,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_S,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    config.head_ms = settings.head_ms
    life.metrics.insecure.set(settings.tls_cert is None and settings.host not in LOOPBACK_NAMES)
    config.sockets = Cap(
        "sockets",
        most=settings.sockets_max or sockets_max_of_process(),
        most_per_address=settings.sockets_per_address_max,
        trusted=Trusted(settings.trusted_proxies),
        metrics=life.metrics,
    )
    return config


def serve(
    settings: Settings,
    on_ready: Callable[[str, Life], None] | None = None,
    operator_token: str | None = None,
) -> int:
    """Run a hub until it is told to stop; the exit code. `on_ready` gets the address once it answers.

    A start whose `operator_token` is not valid here makes a new one (`life.renewed_token`).
    """
    from hub.app import create_app  # noqa: PLC0415  the edge can be served without a hub behind it

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*COLLECT_AFTER)
    life = Life()
    life.operator_token = operator_token
    app = create_app(settings, life)
    listening = listen(settings)
    scheme = "https" if settings.tls_cert is not None else "http"
    host, port = listening.getsockname()[:2]
    address = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def ready() -> None:
        gc.freeze()
        if on_ready is not None:
            on_ready(address, life)

    server = HubServer(configure(app, settings, life), life, ready, drain_ms=settings.drain_ms)
    try:
        with asyncio.Runner(loop_factory=HubLoop) as runner:
            runner.run(server.serve(sockets=[listening]))
    finally:
        listening.close()
    if life.failure is not None:
        logger.critical("! %s", life.failure)
    return life.exit_code


def main() -> int:
    """`python -m hub.server`: a hub from HUB_* settings alone, which says where it is in one line of JSON."""

    def ready(address: str, life: Life) -> None:
        print(json.dumps({"address": address, "token": life.first_token}), flush=True)  # noqa: T201 - the one thing it says

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        chosen = choose(Settings, prefix="HUB_", environ=with_kept_names(os.environ))
        logging.getLogger("hub").setLevel(chosen.settings.log_level.upper())
        return serve(chosen.settings, ready)
    except (OptionError, ConfigurationError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - to whoever has started it
        return EXIT_CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())
