"""Events as crewai emits them, without crewai: names, ids and links as they were seen in real runs.

Owns a small crew's play for the tests of what is told. Owns no test.
"""

import itertools
from types import SimpleNamespace
from typing import Any

Event = Any


class Stage:
    """Emits events with ids; what is begun inside something else is linked to it."""

    def __init__(self, *, linked: bool = True) -> None:
        self.linked = linked
        self._count = itertools.count(1)
        self._scopes: list[str] = []

    def event(self, type_: str, **members: Any) -> Event:
        """One event below whatever is open."""
        number = next(self._count)
        known: dict[str, Any] = {
            "type": type_,
            "event_id": f"event-{number}" if self.linked else None,
            "parent_event_id": self._scopes[-1] if self._scopes and self.linked else None,
            "started_event_id": None,
            "emission_sequence": number,
            **dict.fromkeys(("task_id", "task_name", "agent_id", "agent_role", "agent", "task")),
        }
        return SimpleNamespace(**known | members)

    def begin(self, type_: str, **members: Any) -> Event:
        event = self.event(type_, **members)
        self._scopes.append(event.event_id)
        return event

    def end(self, type_: str, **members: Any) -> Event:
        started = self._scopes.pop()
        event = self.event(type_, **members)
        event.started_event_id = started if self.linked else None
        return event


def task(name: str) -> dict[str, Any]:
    return {"task_id": f"id-of-{name}", "task_name": name}


def agent(role: str, of_task: str) -> dict[str, Any]:
    return {"agent": SimpleNamespace(role=role), "task": SimpleNamespace(id=f"id-of-{of_task}")}


def crew_of(*names: str) -> Any:
    return SimpleNamespace(name="crew", tasks=[SimpleNamespace(id=f"id-of-{name}") for name in names])


def call(number: int, role: str, of_task: str) -> dict[str, Any]:
    return {"call_id": f"call-{number}", "model": "m", "agent_role": role, **task(of_task)}
