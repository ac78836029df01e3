"""The hub as an application: everything constructed and wired here, once, and run in one TaskGroup.

Owns the order of the start (ledger, board, first turn, only then requests) and of the end. This is the only
place where adapters meet. Never decides anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Raw
from msgspec.json import encode
from starlette.applications import Starlette
from starlette.routing import BaseRoute, WebSocketRoute

from hub.api.edge import EXCEPTION_HANDLERS, MIDDLEWARE
from hub.api.routes import routes
from hub.api.session import Sessions
from hub.api.throttle import Throttle
from hub.audit import Audit
from hub.auth import Authority
from hub.census import Cap, Trusted
from hub.clock import HubClock
from hub.core.board import Board
from hub.core.events import HubDrained, HubStarted
from hub.core.policy import Policy
from hub.core.task import Now
from hub.crashpoints import ENVIRONMENT_NAME, Crasher
from hub.disk import Disk, disk_of
from hub.dispatcher import Dispatcher
from hub.door import AgentDoor
from hub.errors import Closing, ConfigurationError
from hub.feed import Feed
from hub.firststart import believe
from hub.housekeeping import forget, watch_disk, watch_tokens, write_audit
from hub.life import EXIT_BUG, EXIT_CONFIGURATION, EXIT_STORAGE, Life
from hub.metrics import Metrics
from hub.notices.office import Notices
from hub.parts import Parts
from hub.poison import Poison
from hub.ports import Loaded, StorageBroken
from hub.postman import postman_of
from hub.registry import Registry
from hub.runs.plugins import PluginsKnown
from hub.runs.scheduler import Scheduler
from hub.runs.starting import Starting
from hub.runs.vault import Vault
from hub.settings import Settings
from hub.store.ledger import SqliteLedger
from hub.store.mail import Mailboxes
from hub.store.outbox import Outbox
from hub.store.queries import Queries
from hub.store.runs import RunQueries
from hub.store.schedules import Schedules
from hub.store.tokens import Tokens, load_pepper
from hub.store.webhook_log import WebhookLog
from hub.store.webhooks import Webhooks
from hub.streams.face import Face, FleetKnown, Inside
from hub.telling import Teller
from hub.turns import TurnsKept
from hub.watching import watch_routes
from hub.webhooks.switchboard import Switchboard, address_of_hub

logger = logging.getLogger(__name__)


def policy_of(settings: Settings) -> Policy:
    """The core's rules, as far as a user may set them."""
    return Policy(
        heartbeat_ms=settings.heartbeat_ms,
        accept_ms=settings.accept_ms,
        lease_ms=settings.lease_ms,
        grace_ms=settings.grace_ms,
        run_ms=settings.run_ms,
        input_ms=settings.input_ms,
        cancel_confirm_ms=settings.cancel_ms,
        has_streams=bool(settings.redis),
    )


def board_of(settings: Settings, loaded: Loaded, now: Now) -> Board:
    return Board(
        policy_of(settings),
        epoch=loaded.epoch,
        generation_floor=loaded.generation_floor,
        tasks=loaded.tasks,
        instances=loaded.instances,
        agents=loaded.agents,
        now=now,
    )


def turns_of(settings: Settings, loaded: Loaded, now: Now, stack: AsyncExitStack) -> TurnsKept | None:
    if not settings.turns_bytes:
        return None
    turns = TurnsKept(settings.turns_file, settings.turns_bytes)
    stack.callback(turns.close)
    turns.keep_start(policy_of(settings), loaded, now)
    return turns


def snapshot_of(board: Board, clock: HubClock) -> Raw:
    """How things are, for a watcher that begins: counts, and every agent as `GET /api/agents` shows it."""
    return Raw(encode({"counts": board.count(), "agents": board.view_agents(clock.now())}))


def registry_of(
    settings: Settings, clock: HubClock, metrics: Metrics, authority: Authority, audit: Audit
) -> Registry:
    return Registry(
        settings=settings,
        clock=clock,
        metrics=metrics,
        authority=authority,
        audit=audit,
        strangers=Cap(
            "strangers",
            most=settings.strangers_max,
            most_per_address=settings.strangers_per_address_max,
            trusted=Trusted(settings.trusted_proxies),
            metrics=metrics,
        ),
    )


def feed_of(
    settings: Settings, loaded: Loaded, board: Board, queries: Queries, clock: HubClock, metrics: Metrics
) -> Feed:
    return Feed(
        queries,
        epoch=loaded.epoch,
        last_offset=loaded.last_offset,
        clock=clock,
        metrics=metrics,
        snapshot=lambda: snapshot_of(board, clock),
        ring_events=settings.ring_events,
        watchers_max=settings.watchers_max,
        watchers_per_token_max=settings.watchers_per_token_max,
    )


def dispatcher_of(
    settings: Settings,
    board: Board,
    ledger: SqliteLedger,
    clock: HubClock,
    teller: Teller,
    metrics: Metrics,
    turns: TurnsKept | None,
) -> Dispatcher:
    return Dispatcher(
        board,
        ledger,
        clock,
        teller,
        metrics=metrics,
        roll=random.Random().random,  # noqa: S311 - jitter, not a secret
        crasher=Crasher(os.environ.get(ENVIRONMENT_NAME, "")),
        turns=turns,
        poison=Poison(settings.poison_file),
        inbox_letters_max=settings.inbox_letters_max,
        turn_letters_max=settings.turn_letters_max,
    )


def starting_of(
    settings: Settings,
    clock: HubClock,
    board: Board,
    dispatcher: Dispatcher,
    runs: RunQueries,
    plugins: PluginsKnown,
    vault: Vault,
) -> Starting:
    return Starting(
        settings=settings,
        clock=clock,
        board=board,
        dispatcher=dispatcher,
        queries=runs,
        plugins=plugins,
        vault=vault,
    )


def face_of(settings: Settings, board: Board, metrics: Metrics) -> Face | None:
    """The hub's side of its Redis, if it has one."""
    if not settings.redis:
        return None
    return Face(settings, board, metrics, Crasher(os.environ.get(ENVIRONMENT_NAME, "")))


def throttle_of(settings: Settings) -> Throttle:
    trusted = Trusted(settings.trusted_proxies)
    return Throttle(trusted=trusted, pushes_per_second=settings.pushes_per_second)


def switchboard_of(
    settings: Settings,
    pepper: bytes,
    board: Board,
    dispatcher: Dispatcher,
    registry: Registry,
    clock: HubClock,
) -> Switchboard:
    return Switchboard(
        settings, pepper=pepper, board=board, dispatcher=dispatcher, registry=registry, clock=clock
    )


async def notices_of(
    settings: Settings, pepper: bytes, disk: Disk, feed: Feed, clock: HubClock, metrics: Metrics
) -> Notices:
    """Whoever is told of events, awake whenever there are some."""
    notices = Notices(
        Webhooks(disk.ledger, disk.queries),
        WebhookLog(disk.ledger, disk.queries, kept_ms=settings.deliveries_kept_ms),
        disk.queries,
        clock,
        metrics,
        disk.audit,
        pepper=pepper,
        epoch=lambda: feed.epoch,
        source=address_of_hub(settings),
        allow_private=settings.hooks_allow_private,
        roll=random.Random().random,  # noqa: S311 - jitter, not a secret
        crasher=Crasher(os.environ.get(ENVIRONMENT_NAME, "")),
    )
    await notices.open()
    feed.on_events = notices.wake
    return notices


@asynccontextmanager
async def parts_of(settings: Settings, life: Life) -> AsyncIterator[Parts]:
    """Everything a hub is made of, and taken apart again in the opposite order."""
    async with AsyncExitStack() as stack:
        clock, metrics = HubClock(), life.metrics
        disk = disk_of(settings, clock, stack)
        ledger, queries = disk.ledger, disk.queries
        pepper = load_pepper(settings.state_dir)
        authority = Authority(pepper, lambda: clock.now().wall_ms)
        tokens = Tokens(ledger)
        await believe(tokens, authority, life, clock, disk.audit)
        now = clock.now()
        loaded = await ledger.load(now)
        board = board_of(settings, loaded, now)
        turns = turns_of(settings, loaded, now, stack)
        registry = registry_of(settings, clock, metrics, authority, disk.audit)
        feed = feed_of(settings, loaded, board, queries, clock, metrics)
        vault, face = Vault(), face_of(settings, board, metrics)
        ear = None if face is None else face.progress
        mailboxes = Mailboxes(ledger)
        postman = await postman_of(mailboxes, queries, registry)
        teller = Teller(
            registry, feed, disk.passing, metrics, disk.history, vault=vault, ear=ear, postman=postman
        )
        dispatcher = dispatcher_of(settings, board, ledger, clock, teller, metrics, turns)
        registry.bind(dispatcher)
        plugins, runs = PluginsKnown(settings.plugins, clock), RunQueries(queries)
        stack.callback(plugins.close)
        if face is not None:
            inside = Inside(dispatcher, clock, vault, registry, runs)
            face.open(Outbox(ledger, queries), FleetKnown(board, queries, plugins, clock), inside, pepper)
            stack.push_async_callback(face.close)
        starting = starting_of(settings, clock, board, dispatcher, runs, plugins, vault)
        yield Parts(
            settings=settings,
            clock=clock,
            metrics=metrics,
            database=disk.database,
            ledger=ledger,
            queries=queries,
            tokens=tokens,
            mailboxes=mailboxes,
            postman=postman,
            passing=disk.passing,
            authority=authority,
            sessions=Sessions(pepper),
            board=board,
            dispatcher=dispatcher,
            registry=registry,
            feed=feed,
            throttle=throttle_of(settings),
            audit=disk.audit,
            runs=runs,
            plugins=plugins,
            vault=vault,
            face=face,
            starting=starting,
            scheduler=Scheduler(clock, Schedules(ledger, queries), starting.start),
            webhooks=switchboard_of(settings, pepper, board, dispatcher, registry, clock),
            notices=await notices_of(settings, pepper, disk, feed, clock, metrics),
        )


@asynccontextmanager
async def running(parts: Parts, life: Life) -> AsyncIterator[None]:
    """All loops of a hub. If one fails, all end; the first turn is over before anybody is served."""
    async with asyncio.TaskGroup() as group:
        loops = [
            group.create_task(loop)
            for loop in (
                parts.dispatcher.run(),
                parts.registry.clock.tick(),
                parts.registry.sweep(),
                watch_disk(parts),
                watch_tokens(parts),
                write_audit(parts),
                forget(parts),
                parts.passing.run(parts.clock),
                parts.webhooks.run(),
                parts.postman.run(),
                parts.notices.run(),
                parts.scheduler.run(),
            )
        ]
        if parts.face is not None:
            loops.append(group.create_task(parts.face.run()))
        await parts.dispatcher.ask(HubStarted())
        life.on_drain(lambda: drain(parts))
        yield
        for loop in loops:
            loop.cancel()


async def drain(parts: Parts) -> None:
    """Not ready any more; nothing new is assigned; agents and watchers are let go in good order."""
    parts.dispatcher.is_closing = True
    logger.info("= draining", extra={"links": len(parts.registry)})
    await parts.dispatcher.ask(HubDrained())
    await parts.registry.drain()
    parts.feed.close_all()


def create_app(settings: Settings, life: Life) -> Starlette:
    """The hub behind one ASGI interface. It lives from the lifespan's start to its end."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        has_served = False
        try:
            async with parts_of(settings, life) as parts, running(parts, life):
                app.state.parts = parts
                app.router.routes[:] = all_routes(parts)
                has_served = True
                yield
        except* StorageBroken as broken:
            life.fail(EXIT_STORAGE, str(broken.exceptions[0]))
        except* ConfigurationError as wrong:
            life.fail(EXIT_CONFIGURATION, str(wrong.exceptions[0]))
        except* Closing:
            life.fail(EXIT_BUG, "the dispatcher ended at the start")
        except* Exception as bug:
            life.fail(EXIT_BUG, repr(bug.exceptions[0]))
            logger.critical("! a loop of the hub has failed", exc_info=bug)
        if not has_served:
            yield  # the server looks at `life` before it answers anybody

    return Starlette(lifespan=lifespan, middleware=MIDDLEWARE, exception_handlers=EXCEPTION_HANDLERS)


def all_routes(parts: Parts) -> list[BaseRoute]:
    return [WebSocketRoute("/ws", AgentDoor(parts.registry)), *watch_routes(parts), *routes(parts)]
