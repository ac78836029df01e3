"""A v1 client of the simulated world, with the habits of those in the wild (contracts §1.1, §1.2).

Owns its own little program: no numbers, one task at a time, a generation when it feels like it, pings only,
redials after a second for ever, and after a reconnect says that it recovers, reports its state, or says
nothing and goes on. It is a stranger: it writes its JSON itself and knows nothing of ours.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from protocol.ids import AgentId, Generation, TaskId
from tests.simulation.faults import Fault
from tests.simulation.wire import CLIENT, Message, Wire

if TYPE_CHECKING:
    from tests.simulation.world import World

PING_MS: Final = 30_000
REDIAL_MS: Final = 1_000
SECRET: Final = "crewhub-secret-of-a-v1-client-"
"""The token's beginning: it may be written down nowhere (invariant 27)."""


class V1Client:
    """One of them, through all its processes."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"v1-{number}"
        self.agent_id = AgentId(self.name)
        self.wire: Wire | None = None
        self.is_identified = False
        self.task: dict[str, Any] | None = None
        self._process = 0
        self._outcome: dict[str, Any] | None = None
        """Made, and not acknowledged yet."""
        self._says_generation = world.die.random() < 0.5
        self._comeback = world.die.choice(("task_recovering", "state_report", "nothing"))

    def start(self) -> None:
        """A new process, which remembers nothing."""
        self._process += 1
        self.task = self._outcome = None
        self._dial(self._process)
        self._later(PING_MS, self._ping)

    def crash(self) -> None:
        """The process is gone."""
        self._process += 1
        self.world.note(self.name, "crashes")
        self.is_identified = False
        if self.wire is not None:
            self.wire.vanish(CLIENT, with_goodbye=True)
            self.wire = None
        self.world.scheduler.after(self.world.die.uniform(500, 60_000), self.start)

    # --- the link ------------------------------------------------------------------------------------------

    def _dial(self, process: int) -> None:
        if process != self._process:
            return
        self.is_identified = False
        self.wire = self.world.dial(self, None)
        if self.wire is None:
            self._later(REDIAL_MS, partial(self._dial, process))
        else:
            self._say("identify", agent_id=self.agent_id, token=SECRET + self.name, name=self.name)

    def hung_up(self, wire: Wire, code: int, reason: str) -> None:
        """Back after one second, for ever."""
        if wire is self.wire:
            self.wire = None
            self.is_identified = False
            self._later(REDIAL_MS, partial(self._dial, self._process))

    def _ping(self) -> None:
        self._say("ping")
        self._later(PING_MS, self._ping)

    def _say(self, kind: str, **members: object) -> None:
        if self.wire is not None:
            self.world.note(self.name, "says", f"{kind} {members}")
            self.wire.send(CLIENT, json.dumps({"type": kind, **members}))

    def _say_of_task(self, kind: str, **members: object) -> None:
        if self.task is not None:
            if self._says_generation:
                members["generation"] = self.task["generation"]
            self._say(kind, task_id=self.task["task_id"], **members)

    def heard(self, wire: Wire, message: Message) -> None:
        """Whatever it does not know it ignores."""
        if wire is not self.wire:
            return
        frame = json.loads(message)
        self.world.note(self.name, "hears", frame)
        match frame["type"]:
            case "identified":
                self.is_identified = True
                self._come_back()
            case "task_assign":
                self._consider(frame)
            case "task_ack" if frame["status"] != "accepted":
                self._forget(frame["task_id"])
            case "task_cancelled" | "task_reassign":
                self._forget(frame["task_id"])
            case "state_report_ack" if frame["action"] == "abort":
                self._forget(frame["task_id"])
            case "error" if frame.get("task_id") is not None:
                self._forget(frame["task_id"])
            case _:
                pass

    # --- work ----------------------------------------------------------------------------------------------

    def _come_back(self) -> None:
        if self.task is None:
            return
        if self._outcome is not None:
            self._say_of_task(**self._outcome)
        elif self._comeback != "nothing":
            self._say_of_task(self._comeback)

    def _consider(self, frame: dict[str, Any]) -> None:
        if self.task is not None and self.task["task_id"] != frame["task_id"]:
            self._say("task_rejected", task_id=frame["task_id"], reason="busy")
            return
        self.world.hit(Fault.V1_AGENT)
        if self.task is None:
            key = (TaskId(frame["task_id"]), Generation(frame["generation"]))
            self.world.truth.started[key] = self.name
            self.world.tally.starts += 1
            self._later(self.world.die.expovariate(1 / 8_000), partial(self._end, frame["task_id"]))
        self.task = frame
        self._say_of_task("task_accepted")
        if self.world.die.random() < 0.5:
            self._later(1_000, partial(self._progress, frame["task_id"]))

    def _progress(self, task_id: str) -> None:
        if self.task is not None and self.task["task_id"] == task_id and self._outcome is None:
            self._say_of_task("task_progress", progress=50, message="half way")

    def _end(self, task_id: str) -> None:
        if self.task is None or self.task["task_id"] != task_id:
            return
        world, generation = self.world, self.task["generation"]
        if world.has_habit(Fault.RUN_FAILS, 0.3):
            world.hit(Fault.RUN_FAILS)
            self._outcome = {"kind": "task_failed", "reason": "the work failed"}
        else:
            result = {"by": task_id, "generation": generation}
            made = json.dumps(result).encode()
            world.truth.results[(TaskId(task_id), generation)] = made
            self._outcome = {"kind": "task_complete", "result": result}
        self._say_of_task(**self._outcome)

    def _forget(self, task_id: str) -> None:
        if self.task is not None and self.task["task_id"] == task_id:
            self.task = self._outcome = None

    def _later(self, delay_ms: float, act: Any) -> None:
        self.world.scheduler.after(delay_ms, partial(self._in_process, self._process, act))

    def _in_process(self, process: int, act: Any) -> None:
        if process == self._process:
            act()
