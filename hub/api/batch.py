"""Many tasks in one commit: POST /api/tasks/batch.

Owns what the items of a batch may say of one another: a `ref`, and dependencies that name it. Each item is
answered as it would have been alone; what depends on a refused one is refused with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Final

import msgspec
from msgspec import Raw

from hub.api.bodies_tasks import REF_MARK, BatchBody, BatchItemBody
from hub.api.endpoint import BATCH_BYTES_MAX, Call, Endpoint, Told, decode, granted
from hub.api.problems import Problem, invalid_field
from hub.api.submit import queued_view, task_event, task_of
from hub.api.views_tasks import BatchView
from hub.auth import Scope
from hub.core.effects import Refusal, RefusalKind, Reply
from hub.core.events import TaskSubmitted
from protocol.ids import TaskId

CYCLE_SHOWN_MAX: Final = 8
"""References of a cycle that are named: enough to find it."""


class Item:
    """One task of a batch: as it was sent, as it is asked, and what came of it."""

    __slots__ = ("body", "event", "number", "problem", "reply")

    def __init__(self, number: int, raw: Raw) -> None:
        self.number = number
        self.body: BatchItemBody | None = None
        self.event: TaskSubmitted | None = None
        self.reply: Reply = None
        self.problem: Problem | None = None
        try:
            self.body = decode(bytes(raw), BatchItemBody)
        except Problem as problem:
            self.problem = problem

    @property
    def ref(self) -> str | None:
        return None if self.body is None else self.body.ref

    @property
    def refs(self) -> Iterator[str]:
        """The items of this batch that it depends on, by their `ref`."""
        named = () if self.body is None else self.body.depends_on or ()
        return (name[len(REF_MARK) :] for name in named if name.startswith(REF_MARK))

    def refuse(self, problem: Problem) -> None:
        """The first thing that is wrong with it is said."""
        self.problem = self.problem or problem

    def told(self) -> dict[str, object]:
        try:
            if self.problem is not None:
                raise self.problem
            return {"code": 201, **msgspec.structs.asdict(queued_view(task_of(granted(self.reply))))}
        except Problem as problem:
            return {"code": problem.status, **problem.body()}


class Batch:
    """The items, and who of them is who."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.by_ref: dict[str, Item] = {}
        for item in items:
            if item.ref is not None and self.by_ref.setdefault(item.ref, item) is not item:
                item.refuse(invalid_field("ref", "conflict", f"Another item has the ref {item.ref}, too."))

    def in_order(self) -> list[Item]:
        """Dependencies first, else as they were sent. Those in a cycle, or behind one, are refused."""
        if not any(True for item in self.items for _ in item.refs):
            return self.items
        sorter = TopologicalSorter[int]()
        for item in self.items:
            sorter.add(item.number, *(self.by_ref[ref].number for ref in item.refs if ref in self.by_ref))
        with contextlib.suppress(CycleError):  # what does not stand in a cycle can still be sorted
            sorter.prepare()
        done: list[int] = []
        while ready := sorted(sorter.get_ready()):
            done += ready
            sorter.done(*ready)
        self._refuse_cycles(frozenset(done))
        return [self.items[number] for number in done]

    def _refuse_cycles(self, sorted_numbers: frozenset[int]) -> None:
        for item in self.items:
            if item.number not in sorted_numbers:
                said = " -> ".join(self._way_round(item, sorted_numbers))
                item.refuse(invalid_field("depends_on", "cycle", f"These wait for one another: {said}."))

    def _way_round(self, item: Item, sorted_numbers: frozenset[int]) -> list[str]:
        """Whoever cannot be sorted waits for another of that kind; following them leads round. Only so many
        steps are taken: a batch may be one long circle.
        """
        way = [item.ref or ""]
        here = item
        while len(way) < CYCLE_SHOWN_MAX:
            ref = next(ref for ref in here.refs if self._is_left(ref, sorted_numbers))
            here = self.by_ref[ref]
            if ref in way:
                return [REF_MARK + name for name in (*way[way.index(ref) :], ref)]
            way.append(ref)
        return [*(REF_MARK + name for name in way), "…"]

    def _is_left(self, ref: str, sorted_numbers: frozenset[int]) -> bool:
        return ref in self.by_ref and self.by_ref[ref].number not in sorted_numbers

    def dependencies(self, item: Item) -> tuple[str, ...] | None:
        """Its dependencies as task ids; references to nothing, or to what is refused, are a Problem."""
        assert item.body is not None, "only what was read is asked"
        found: list[str] = []
        for name in item.body.depends_on or ():
            other = self.by_ref.get(name[len(REF_MARK) :]) if name.startswith(REF_MARK) else None
            if not name.startswith(REF_MARK):
                found.append(name)
            elif other is None:
                raise invalid_field(
                    "depends_on", "not_found", f"No item of this batch has the ref {name[1:]}."
                )
            elif other.event is None:
                raise invalid_field("depends_on", "not_found", f"The item {name} was refused.")
            else:
                found.append(other.event.task_id)
        return tuple(found) if found else None

    def ask(self, call: Call, items: Iterable[Item]) -> Iterator[Item]:
        """Those that can be asked, each with its letter."""
        for item in items:
            if item.problem is not None or item.body is None:
                continue
            try:
                depends_on = self.dependencies(item)
                item.event = task_event(call, item.body, item.body.idempotency_key, depends_on)
            except Problem as problem:
                item.refuse(problem)
            else:
                yield item

    def hear(self, replies: Iterable[tuple[Item, Reply]]) -> None:
        """What came of each. A dependency that the board does not know was an item that it has refused."""
        refs = {other.event.task_id: ref for ref, other in self.by_ref.items() if other.event is not None}
        for item, reply in replies:
            item.reply = reply
            if isinstance(reply, Refusal) and reply.kind is RefusalKind.DEPENDENCY_NOT_FOUND:
                ref = refs.get(reply.task_id or TaskId(""))
                if ref is not None:
                    said = f"The item {REF_MARK}{ref} was refused."
                    item.refuse(invalid_field("depends_on", "not_found", said))


async def create_batch(call: Call) -> Told:
    """Many tasks in one commit; each item has the code and the body that it would have had alone."""
    sent = await call.body(BatchBody)
    batch = Batch([Item(number, raw) for number, raw in enumerate(sent.tasks)])
    asked = list(batch.ask(call, batch.in_order()))
    replies = await call.ask_all([item.event for item in asked if item.event is not None]) if asked else ()
    batch.hear(zip(asked, replies, strict=True))
    items = [item.told() for item in batch.items]
    pushed = [str(item["task_id"]) for item in items if item["code"] == 201]
    if pushed:
        call.jot("task_pushed", f"{len(pushed)} tasks, from {pushed[0]} to {pushed[-1]}")
    return Told(200, BatchView(items=tuple(items)))


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/tasks/batch",
        "Queue many tasks in one commit",
        create_batch,
        Scope.TASKS_PUSH,
        reply=BatchView,
        body=BatchBody,
        body_bytes_max=BATCH_BYTES_MAX,
        refusals=(400, 413, 422, 503),
    ),
)
