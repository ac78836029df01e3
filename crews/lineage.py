"""Who belongs to whom in a run: crew > task > agent > tool or model call, by numbers of the run's own.

Owns the numbers and the links. It follows the framework's own links (`parent_event_id`, `started_event_id`)
where they are known, and what is open where they are not. Never words anything.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import msgspec

LINKS_MAX: Final = 4_096
"""Links of one run that are remembered: far more than can be open at once; the oldest goes first."""

RANKS: Final = {"crew": 0, "task": 1, "agent": 2, "tool": 3, "model": 3}
"""What may stand above what, where no link says so."""


class Node(msgspec.Struct, frozen=True):
    """One thing of the run that begins and ends. `number` is unique in the run, from 1."""

    number: int
    parent: int | None
    kind: str
    name: str
    key: str = ""
    """What its end is known by where a link is missing: a call's or a task's id, a tool's name."""
    task_id: str = ""
    agent: str = ""
    begun_s: float = 0.0
    event_id: str = ""
    """The event that told its beginning: an end that names another one is not its end."""


class Lineage:
    """All that is open in one run."""

    def __init__(self) -> None:
        self._count = 0
        self._links: OrderedDict[str, int] = OrderedDict()
        self._open: dict[int, Node] = {}
        self._gone: OrderedDict[int, Node] = OrderedDict()

    def begin(
        self,
        event: Any,
        kind: str,
        name: str,
        *,
        key: str = "",
        task_id: str = "",
        agent: str = "",
        now_s: float = 0.0,
    ) -> Node:
        """A thing has begun: give it a number, and a place below what it belongs to."""
        above = self.above(event, kind, task_id)
        self._count += 1
        node = Node(
            number=self._count,
            parent=None if above is None else above.number,
            kind=kind,
            name=name,
            key=key,
            task_id=task_id or (above.task_id if above is not None else ""),
            agent=agent or (above.agent if above is not None else ""),
            begun_s=now_s,
            event_id=_text(event, "event_id"),
        )
        self._open[node.number] = node
        self._link(event, node.number)
        return node

    def pass_through(self, event: Any) -> None:
        """A scope that is not shown has begun: what is in it belongs to what it is in itself."""
        number = self._links.get(_text(event, "parent_event_id"))
        if number is not None:
            self._link(event, number)

    def end(self, event: Any, kind: str, key: str = "") -> Node | None:
        """The thing whose end this event tells, or None when its beginning was never heard."""
        started = _text(event, "started_event_id")
        if started in self._links:
            node = self._open.get(self._links[started])
            if node is None or node.kind != kind or node.event_id != started:
                return None
        else:
            node = self._newest(lambda open_: open_.kind == kind and open_.key == key)
            if node is None:
                return None
        del self._open[node.number]
        self._remember(node)
        return node

    def above(self, event: Any, kind: str, task_id: str = "") -> Node | None:
        """What this event belongs to."""
        number = self._links.get(_text(event, "parent_event_id"))
        if number is not None:
            return self._open.get(number) or self._gone.get(number)
        rank = RANKS.get(kind, len(RANKS))
        return self._newest(
            lambda open_: RANKS[open_.kind] < rank and task_id in {"", open_.task_id}
        ) or self._newest(lambda open_: RANKS[open_.kind] < rank)

    def call(self, call_id: str) -> Node | None:
        """The open model call of that id."""
        return self._newest(lambda open_: open_.kind == "model" and open_.key == call_id)

    def _newest(self, fits: Any) -> Node | None:
        return next((node for node in reversed(self._open.values()) if fits(node)), None)

    def _link(self, event: Any, number: int) -> None:
        event_id = _text(event, "event_id")
        if event_id:
            self._links[event_id] = number
            if len(self._links) > LINKS_MAX:
                self._links.popitem(last=False)

    def _remember(self, node: Node) -> None:
        """What has ended may still get a late child: its number stays known for a while."""
        self._gone[node.number] = node
        if len(self._gone) > LINKS_MAX:
            self._gone.popitem(last=False)


def _text(event: Any, member: str) -> str:
    return str(getattr(event, member, None) or "")
