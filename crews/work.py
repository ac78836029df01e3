"""One run of one crew, from an order to its last line: result, error, or that it stopped.

Owns the steps in their order: the models, the plugin's crew, what an earlier attempt had finished, the work
itself in the main thread, and the result. Never starts or ends a process: `crews.child` does.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import msgspec
from crewai import Crew
from crewai.core.providers.human_input import reset_provider, set_provider

from crews.line import Line
from crews.listening import listening
from crews.model import missing_in, models_for
from crews.order import Order
from crews.people import HubInput, People
from crews.present import Present, doing
from crews.recovery import keeping, resume
from crews.result import BRIEFING, UnfitResult, result_of
from crews.search import search_for
from crews.stopping import Stopping
from crews.wording import may_pass, retry_after_ms, sentence
from plugins.contract import CreateCrew, Plugin


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin whose code has been imported."""

    plugin: Plugin
    create: CreateCrew


class UnfitCrew(Exception):
    """The plugin gave no crew that could be run. Trying again would give the same."""


class Work:
    """One order, and everybody whom its run talks to."""

    def __init__(self, order: Order, line: Line, stopping: Stopping, people: People) -> None:
        self.order = order
        self.line = line
        self.stopping = stopping
        self.people = people

    def perform(self, loaded: Loaded) -> int:
        """Do it, and say how it ended. Returns the exit code: 0 only after a result or an obeyed stop."""
        try:
            self.stopping.check()
            crew = self._crew(loaded)
            output = self._kickoff(crew, Present(self.order.task_id, self.people))
            briefing = BRIEFING in loaded.plugin.manifest.capabilities
            self.line.say(result=result_of(output, briefing=briefing), progress=100, message="Done")
            return 0
        except BaseException as trouble:  # noqa: BLE001  a plugin may raise anything, SystemExit too: it is told
            return self._ended_by(trouble, loaded)

    def _ended_by(self, trouble: BaseException, loaded: Loaded) -> int:
        if self.stopping.asked:
            self.line.say(stopped=True)
            return 0
        if isinstance(trouble, UnfitCrew):
            traceback.print_exception(trouble.__cause__, file=sys.stderr)
            return fail(self.line, str(trouble))
        if isinstance(trouble, UnfitResult):
            return fail(self.line, str(trouble), retryable=trouble.retryable)
        traceback.print_exception(trouble, file=sys.stderr)
        what = f"the crew of {loaded.plugin.name} failed at task {self._step + 1}"
        missing = missing_in(self.order, trouble)
        return fail(
            self.line,
            sentence(f"{what}: {missing}" if missing else what, trouble),
            retryable=not missing and may_pass(trouble) and not isinstance(trouble, SystemExit),
            retry_after_ms=retry_after_ms(trouble),
        )

    # ---- the crew

    def _crew(self, loaded: Loaded) -> Crew:
        """The plugin's crew for this order, with a model of its own for each agent."""
        name = loaded.plugin.name
        what = f"the model {self.order.keys.get('llm_model')} cannot be used"
        try:
            models = models_for(self.order, loaded.plugin.folder)
            given = None if models is None else models.given
            what = f"{name} could not build its crew"
            settings = dict(self.order.settings)
            built = loaded.create(settings, llm=given, search_tool=search_for(self.order))
            crew = crew_of(built)
        except BaseException as trouble:
            missing = missing_in(self.order, trouble)
            raise UnfitCrew(sentence(f"{name}: {missing}" if missing else what, trouble)) from trouble
        if models is not None:
            models.part(crew)
        if crew.name in {None, "", "crew"}:
            crew.name = name
        crew.stream = False  # its generator would run the crew in a thread that nobody can stop
        return crew

    def _kickoff(self, crew: Crew, run: Present) -> Any:
        self._run = run
        begun_at = resume(crew, self.order.done, self.line, self.order.task_id)
        with ExitStack() as inside:
            inside.enter_context(doing(run))
            inside.enter_context(asking_people(self.people))
            inside.enter_context(self.stopping.gates())
            inside.enter_context(keeping(crew, self.line, run))
            inside.enter_context(self._telling(crew, begun_at))
            return crew.kickoff(inputs=inputs_of(self.order))

    def _telling(self, crew: Crew, begun_at: int) -> AbstractContextManager[object]:
        tasks = [str(task.id) for task in crew.tasks]
        return listening(self.line, tasks=len(tasks), begun_at=begun_at, task_ids=tasks, stop=self.stopping)

    @property
    def _step(self) -> int:
        run: Present | None = getattr(self, "_run", None)
        return 0 if run is None else run.step


def crew_of(built: Any) -> Crew:
    """A `Crew`, or the one of a `@CrewBase` instance."""
    if isinstance(built, Crew):
        return built
    make = getattr(built, "crew", None)
    crew = make() if callable(make) else built
    if not isinstance(crew, Crew):
        raise TypeError(
            f"create_crew returned {type(built).__name__}, not a Crew and no instance of a @CrewBase class"
        )
    return crew


def inputs_of(order: Order) -> dict[str, Any]:
    """What fills the placeholders of agents and tasks: the settings, and the task's own text."""
    return {"description": order.description} | order.settings


@contextmanager
def asking_people(people: People) -> Iterator[None]:
    """Inside this block `human_input: true` asks a person at the hub."""
    token = set_provider(HubInput(people))
    try:
        yield
    finally:
        reset_provider(token)


def fail(line: Line, error: str, *, retryable: bool = False, retry_after_ms: int | None = None) -> int:
    """Say an error, and return the exit code of a failed run (L70)."""
    wait = {} if retry_after_ms is None else {"retry_after_ms": retry_after_ms}
    line.say(error=error, retryable=retryable, **wait)
    return 1
