"""After the commit: who is told what, in which order, and what is measured on the way.

Owns the fan-out of one settled turn: effects to links and feed, committed events to the feed in their places
between what passes by, the keys of a run to the one who does it, alerts to the log, figures to the metrics,
promises to the history. Never tells before
the dispatcher says that the turn is durable, and nothing leaves before the history has it: a kill in between
would leave a peer with a receipt of which nobody has written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, assert_never

from hub.core.effects import (
    Effect,
    EventLogged,
    Granted,
    HangUp,
    PassBy,
    RaiseAlert,
    Reply,
    TaskSaved,
    Tell,
    TellOthers,
)
from hub.core.events import CancelRequested, Event, TaskSubmitted
from hub.core.task import State, Task
from hub.core.turn import Settled, Turn
from hub.history import History, Kind
from hub.ports import Committed
from hub.runs.vault import Vault
from protocol.frames import TaskAck

if TYPE_CHECKING:
    from hub.feed import Feed
    from hub.metrics import Metrics
    from hub.postman import Postman
    from hub.registry import Registry

logger = logging.getLogger(__name__)


class Keeper(Protocol):
    """Whoever keeps the last progress and the log, when nothing more important waits: `store.PassingKept`."""

    def note(self, effect: PassBy) -> None:
        """Take it in; it may be lost."""


class Ear(Protocol):
    """Whoever tells others how a task fares, outside of feed and links: `streams.Progress`."""

    def hear(self, effect: PassBy) -> None:
        """Something passed by; it may be lost."""

    def see(self, task: Task) -> None:
        """The task is so from now on."""


def written(turn: Turn, refused: frozenset[str]) -> Iterator[Task]:
    """The tasks that this turn has changed, as they are in their rows now."""
    for change in turn.changes:
        if isinstance(change, TaskSaved) and change.task.task_id not in refused:
            yield change.task


class Teller:
    """Carries one turn's outcome into the world."""

    def __init__(
        self,
        registry: Registry,
        feed: Feed,
        passing: Keeper,
        metrics: Metrics,
        history: History,
        *,
        vault: Vault | None = None,
        ear: Ear | None = None,
        postman: Postman | None = None,
    ) -> None:
        self._registry = registry
        self._feed = feed
        self._passing = passing
        self._metrics = metrics
        self._history = history
        self._vault = Vault() if vault is None else vault
        self._ear = ear
        self._postman = postman

    def tell(self, turn: Turn, settled: Settled, committed: Committed, epoch: str) -> None:
        if self._history.is_kept:
            self._write_down(turn, settled, committed, epoch)
        for effect in settled.effects:
            self._carry(effect)
        self._registry.flush()
        if self._postman is not None:
            self._postman.see(turn.changes, settled.effects)
        if self._feed.epoch != epoch:
            self._feed.renew_epoch(epoch)
        if committed.events or any(isinstance(effect, PassBy) for effect in settled.effects):
            self._publish(turn, settled, committed)
            self._feed.wake()
        self._measure(turn, committed.refused)

    def _carry(self, effect: Effect) -> None:
        match effect:
            case Tell():
                self._registry.tell(self._vault.completed(effect))
            case TellOthers():
                self._registry.tell_others(effect)
            case HangUp():
                self._registry.hang_up(effect)
            case RaiseAlert():
                self._alert(effect)
            case PassBy():
                pass  # has its place among the events
            case _:
                assert_never(effect)

    def _alert(self, alert: RaiseAlert) -> None:
        self._metrics.alerts.labels(alert.kind.value).inc()
        extra = {"kind": alert.kind.value, "task_id": alert.task_id, "agent_id": alert.agent_id}
        logger.warning("! alert: %s", alert.detail or alert.kind.value, extra=extra)

    # --- the feed ---

    def _publish(self, turn: Turn, settled: Settled, committed: Committed) -> None:
        """What passed by stands between the events of its turn, so that no progress is seen after the end."""
        if committed.refused or not any(isinstance(effect, PassBy) for effect in settled.effects):
            self._feed.publish(committed.events)
            self._pass_by(settled.effects)
            return
        left = committed.events
        for answer in (*turn.answers, turn.seating):
            count = sum(isinstance(change, EventLogged) for change in answer.changes)
            self._feed.publish(left[:count])
            left = left[count:]
            self._pass_by(answer.effects)
        assert not left, "the ledger committed events that nobody logged"

    def _pass_by(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, PassBy):
                self._feed.pass_by(effect)
                self._passing.note(effect)
                if self._ear is not None:
                    self._ear.hear(effect)

    # --- figures and promises ---

    def _measure(self, turn: Turn, refused: frozenset[str]) -> None:
        for task in written(turn, refused):
            self._measure_task(task)
            if task.is_final:
                self._vault.drop(task.task_id)
            if self._ear is not None:
                self._ear.see(task)

    def _measure_task(self, task: Task) -> None:
        if task.is_final:
            self._metrics.outcomes[task.state].inc()
            self._metrics.task_seconds.observe(max(0, task.updated_wall_ms - task.created_wall_ms) / 1000)
        elif task.state is State.ASSIGNED and task.generation == 1:
            waited_ms = task.updated_wall_ms - task.created_wall_ms
            self._metrics.dispatch_seconds.observe(max(0, waited_ms) / 1000)

    def _write_down(self, turn: Turn, settled: Settled, committed: Committed, epoch: str) -> None:
        """Receipts, events and endings of this turn, in the history's file."""
        note = self._history.note
        for effect in settled.effects:
            if isinstance(effect, Tell) and isinstance(effect.frame, TaskAck):
                ack = effect.frame
                note("ok", "ack", task=ack.task_id, gen=ack.generation, value=ack.status)
        for event in committed.events:
            cursor = f"{epoch}:{event.offset}"
            note("ok", "event", task=event.task_id, gen=event.generation, value=[cursor, event.event])
        for task in written(turn, committed.refused):
            if task.is_final:
                note("ok", "terminal", task=task.task_id, gen=task.generation, value=task.state.value)
        self._history.flush()

    def promise(self, event: Event, reply: Reply) -> None:
        """An answer to a person or program goes out: keep it for the checker."""
        if not self._history.is_kept:
            return
        kind: Kind = "ok" if isinstance(reply, Granted) else "fail"
        match event:
            case TaskSubmitted():
                task = reply.task if isinstance(reply, Granted) else None
                self._history.note(
                    kind,
                    "push",
                    key=event.spec.idempotency_key,
                    task=task.task_id if task is not None else event.task_id,
                )
            case CancelRequested():
                self._history.note(kind, "cancel", task=event.task_id)
            case _:
                pass

    def end_turn(self) -> None:
        self._history.flush()
