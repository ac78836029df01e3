"""The parts of one running hub, named once, so that endpoints can reach them.

Owns nothing but the list; `hub/app.py:create_app` is the only place that makes one. Lives apart from
`app.py` so that the API can name its type without importing the place where everything meets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.api.session import Sessions
    from hub.api.throttle import Throttle
    from hub.audit import Audit
    from hub.auth import Authority
    from hub.core.board import Board
    from hub.dispatcher import Dispatcher
    from hub.feed import Feed
    from hub.metrics import Metrics
    from hub.notices.office import Notices
    from hub.ports import Clock
    from hub.postman import Postman
    from hub.registry import Registry
    from hub.runs.plugins import PluginsKnown
    from hub.runs.scheduler import Scheduler
    from hub.runs.starting import Starting
    from hub.runs.vault import Vault
    from hub.settings import Settings
    from hub.store.database import Database
    from hub.store.ledger import SqliteLedger
    from hub.store.mail import Mailboxes
    from hub.store.passing import PassingKept
    from hub.store.queries import Queries
    from hub.store.runs import RunQueries
    from hub.store.tokens import Tokens
    from hub.streams.face import Face
    from hub.webhooks.switchboard import Switchboard


@dataclass(frozen=True, slots=True)
class Parts:
    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    ledger: SqliteLedger
    queries: Queries
    tokens: Tokens
    mailboxes: Mailboxes
    postman: Postman
    passing: PassingKept
    authority: Authority
    sessions: Sessions
    board: Board
    dispatcher: Dispatcher
    registry: Registry
    feed: Feed
    throttle: Throttle
    audit: Audit
    runs: RunQueries
    plugins: PluginsKnown
    vault: Vault
    face: Face | None
    """The hub's side of its Redis; None where none is configured."""
    starting: Starting
    scheduler: Scheduler
    webhooks: Switchboard
    notices: Notices
