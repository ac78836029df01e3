"""What a run does in the simulated world: it works, talks, asks, fails, hangs, kills, and ends or is made to
end.

Owns the script that is drawn for each run and its double of a process group. Everything it says goes to the
shipped desk as the real supervisor would say it. Never talks to a hub.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from protocol.frames import StopProof
from protocol.ids import RequestId, question_id
from sidecar.events import RunReported
from sidecar.runners.contract import (
    Asked,
    Failed,
    Finished,
    Logged,
    Order,
    Outcome,
    Progress,
    Rejection,
    Report,
    StepDone,
    Stopped,
    Used,
    how_it_stopped,
)
from tests.simulation.answers import an_answer_is_of_its_question
from tests.simulation.faults import Fault

if TYPE_CHECKING:
    from tests.simulation.sidecarside import Sidecar
    from tests.simulation.world import World

KILLS_MAX: Final = 9
"""How often one task's runs kill their sidecar at the most: more often than any hub would try again."""

KILL_MS: Final = 200
"""What a system needs to take a killed process group away."""


class Given(Struct, frozen=True):
    """An answer that came with the order."""

    request_id: RequestId
    value: Raw


decode_answers = Decoder(list[Given]).decode


def declined(world: World, order: Order) -> Rejection | None:
    """A runner that is choosy about some attempts, and has its reasons."""
    is_choosy = Fault.ORDER_DECLINED in world.plan.habits and not world.is_quiet
    if not is_choosy or order.generation % 3 != 1:
        return None
    world.hit(Fault.ORDER_DECLINED)
    return Rejection(reason="policy")


class Run:
    """One generation's work on one sidecar, from `StartRun` to its one outcome."""

    __slots__ = ("asked", "boot", "dies_at_ms", "given", "is_over", "order", "sidecar")

    def __init__(self, sidecar: Sidecar, order: Order) -> None:
        self.sidecar = sidecar
        self.order = order
        self.boot = sidecar.boot
        self.is_over = False
        self.dies_at_ms: int | None = None
        """Once it was told to stop: when nothing of it will be left."""
        self.asked: RequestId | None = None
        self.given = decode_answers(order.answers) if order.answers is not None else []
        for given in self.given:
            truth = sidecar.world.truth
            an_answer_is_of_its_question(truth, order.task_id, given.request_id, bytes(given.value))
        self._draw()

    # --- the script ----------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Decide what this run will be like, and put its first moments on the heap."""
        world, die = self.sidecar.world, self.sidecar.world.die
        at_ms = die.choice((1.0, 50.0, 1_000.0, 8_000.0)) * die.random()
        if world.has_habit(Fault.RUN_REPORTS, 0.7):
            at_ms = self._draw_reports(at_ms)
        if world.has_habit(Fault.RUN_KILLS_SIDECAR, world.plan.kill_chance) and world.may_kill(
            self.order.task_id, KILLS_MAX
        ):
            self._later(at_ms, self._kill_sidecar)
        elif world.has_habit(Fault.RUN_HANGS, 0.2):
            world.hit(Fault.RUN_HANGS)
            if die.random() < 0.5 and self.order.time_left_ms is not None:
                self._later(self.order.time_left_ms, self._time_out)
        elif world.has_habit(Fault.RUN_ASKS, 0.4):
            self._later(at_ms, self._ask)
        else:
            self._later(at_ms + die.expovariate(1 / 8_000), self._end)

    def _draw_reports(self, at_ms: float) -> float:
        world = self.sidecar.world
        world.hit(Fault.RUN_REPORTS)
        for index in range(world.die.randint(1, 3)):
            at_ms += world.die.expovariate(1 / 3_000)
            step = StepDone(index=index, output=b'{"step":%d}' % index)
            for report in world.die.sample([*self._talk(), step], world.die.randint(1, 3)):
                self._later(at_ms, partial(self._report, report))
        return at_ms

    def _talk(self) -> list[Report]:
        return [
            Progress(progress=self.sidecar.world.die.randint(0, 100), message="under way"),
            Logged(text="a line of output", kind="output"),
            Used(tokens_in=10, tokens_out=20, model="none"),
        ]

    def _later(self, delay_ms: float, act: partial[None] | object) -> None:
        assert callable(act)
        self.sidecar.world.scheduler.after(delay_ms, partial(self._if_alive, act))

    def _if_alive(self, act: partial[None]) -> None:
        if not self.is_over and self.sidecar.boot == self.boot:
            act()

    # --- its moments ---------------------------------------------------------------------------------------

    def _report(self, report: Report) -> None:
        self.sidecar.post(RunReported(self.order.task_id, self.order.generation, report))

    def _ask(self) -> None:
        """What was answered in an earlier attempt is asked no more, or by a runner that knows no better."""
        world = self.sidecar.world
        world.hit(Fault.RUN_ASKS)
        prompt = "Which one?"
        if world.has_habit(Fault.RUN_ASKS_ELSE, 0.3):
            world.hit(Fault.RUN_ASKS_ELSE)
            prompt = f"Which one, in attempt {self.order.attempt}?"
        asked = question_id(self.order.task_id, 1, prompt)
        if any(given.request_id == asked for given in self.given) and world.die.random() < 0.7:
            self._go_on()
            return
        self.asked = asked
        self._report(Asked(request_id=asked, prompt=prompt, schema=None))
        if world.has_habit(Fault.RUN_DIES_ASKING, 0.5):
            self._later(world.die.expovariate(1 / 8_000), self._die_asking)

    def _die_asking(self) -> None:
        """Alone, or with its sidecar: the question is open all the same."""
        if self.asked is None:
            return
        world = self.sidecar.world
        world.hit(Fault.RUN_DIES_ASKING)
        if world.die.random() < 0.3 and world.may_kill(self.order.task_id, KILLS_MAX):
            self.sidecar.crash()
        else:
            self._over(Failed(error="killed by signal 11", retryable=True, cause="crash"))

    def answer(self, request_id: RequestId) -> None:
        """A person has answered: go on, and soon end."""
        if request_id == self.asked:
            self.asked = None
            self._go_on()

    def _go_on(self) -> None:
        self._later(self.sidecar.world.die.expovariate(1 / 3_000), self._end)

    def _kill_sidecar(self) -> None:
        self.sidecar.world.hit(Fault.RUN_KILLS_SIDECAR)
        self.sidecar.crash()

    def _time_out(self) -> None:
        """The supervisor's own timer; when that fails too, the hub's is the last (T17)."""
        self._over(Failed(error="timeout", retryable=True, cause="timeout"))

    def _end(self) -> None:
        world = self.sidecar.world
        if world.has_habit(Fault.RUN_FAILS_FOR_GOOD, 0.15):
            world.hit(Fault.RUN_FAILS_FOR_GOOD)
            self._over(Failed(error="the work says no", retryable=False))
        elif world.has_habit(Fault.RUN_BLAMES_MACHINE, 0.3):
            world.hit(Fault.RUN_BLAMES_MACHINE)
            self._over(Failed(error="no room to work in", retryable=True, cause="machine"))
        elif world.has_habit(Fault.RUN_FAILS, 0.4):
            world.hit(Fault.RUN_FAILS)
            retry_after_ms = world.die.choice((None, None, 5_000))
            self._over(Failed(error="the work failed", retryable=True, retry_after_ms=retry_after_ms))
        else:
            result = b'{"by":"%s","generation":%d}' % (self.order.task_id.encode(), self.order.generation)
            self._over(Finished(result=result, tokens_used=world.die.choice((None, 30))))

    # --- being stopped -------------------------------------------------------------------------------------

    def stop(self, grace_ms: int) -> None:
        """TERM now, KILL after the grace. Asked again with a shorter grace, it dies sooner."""
        world = self.sidecar.world
        ignores = world.has_habit(Fault.RUN_IGNORES_STOP, 0.5)
        if ignores:
            world.hit(Fault.RUN_IGNORES_STOP)
        wait_ms = grace_ms + KILL_MS if ignores else min(world.die.expovariate(1 / 300), grace_ms)
        dies_at_ms = world.scheduler.now_ms + int(wait_ms)
        if self.dies_at_ms is None or dies_at_ms < self.dies_at_ms:
            self.dies_at_ms = dies_at_ms
            signals = ("TERM", "KILL") if ignores else world.die.choice(((), ("TERM",)))
            self._later(wait_ms, partial(self._stopped, signals))

    def _stopped(self, signals: tuple[str, ...]) -> None:
        proof = StopProof(signals=signals, reaped=1)
        self._over(Stopped(how=how_it_stopped(proof), proof=proof))

    def _over(self, outcome: Outcome) -> None:
        self.is_over = True
        self.sidecar.run_over(self, outcome)
