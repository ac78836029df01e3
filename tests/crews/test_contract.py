"""The places where we lean on names that crewai does not document. Run it on every bump of crewai.

Each is looked up, and then used as we use it: in a crew of its own process, which says what it saw.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crewai.core.providers.human_input import HumanInputProvider
from crewai.hooks.dispatch import HookAborted, InterceptionPoint
from crewai.llms.base_llm import BaseLLM

from crews.people import HubInput
from crews.stopping import GATES
from plugins.quiet import CLEAN
from tests.crews.rig import PATIENCE_S, ROOT
from tests.crews.test_people import people

OPENING = """
import json, os, sys, threading
from crewai import Agent, Crew, Task
from crewai.events.stream_context import add_stream_sink, reset_stream_sinks
from crewai.hooks.dispatch import HookAborted, InterceptionPoint, register_scoped, scoped_hooks
from crewai.core.providers.human_input import set_provider, reset_provider
from crewai.tasks.task_output import TaskOutput
from crews.offline import OfflineModel
from crews.script import load

def crew(**more):
    script = load({"*": ["Said."]})
    agents = [Agent(role=r, goal="g", backstory="b", llm=OfflineModel(r, script)) for r in "ABC"]
    tasks = [Task(name=a.role, description="d", expected_output="e", agent=a, **more) for a in agents]
    return Crew(agents=agents, tasks=tasks)

def tell(**seen):
    print("SEEN", json.dumps(seen), flush=True)
    os._exit(0)
"""


def seen(program: str, folder: Path) -> Any:
    """What the program told, run with our own environment for crews."""
    environ = CLEAN | {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    asked = subprocess.run(
        [sys.executable, "-c", OPENING + program],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    told = [line.removeprefix("SEEN ") for line in asked.stdout.splitlines() if line.startswith("SEEN ")]
    assert told, asked.stderr
    return json.loads(told[0])


def test_the_sink_hears_every_event_of_its_run_in_order_and_none_after_it(tmp_path: Path) -> None:
    """add_stream_sink: the activity stream and the kept steps hang on it."""
    told = seen(
        """
events = []
token = add_stream_sink(lambda source, event: events.append((event.type, event.emission_sequence)))
crew().kickoff()
reset_stream_sinks(token)
during = len(events)
crew().kickoff()
kinds = [kind for kind, _ in events]
numbers = [number for _, number in events]
tell(kinds=kinds, in_order=numbers == sorted(numbers), after=len(events) - during)
""",
        tmp_path,
    )
    assert told["kinds"][0] in {"default_env", "crew_kickoff_started"}
    assert told["kinds"][-1] == "crew_kickoff_completed"
    assert told["in_order"]
    assert told["after"] == 0
    for kind in ("task_started", "agent_execution_started", "llm_call_started", "llm_call_completed"):
        assert told["kinds"].count(kind) == 3, kind
    assert told["kinds"].count("task_completed") == 3
    assert "llm_stream_chunk" in told["kinds"]


def test_an_exception_in_the_sink_ends_the_crew(tmp_path: Path) -> None:
    """So a run is stopped in the middle of a model's text; and so nothing else may be raised there."""
    told = seen(
        """
calls = []
def sink(source, event):
    calls.append(event.type)
    if event.type == "llm_stream_chunk":
        raise HookAborted("stopped")
add_stream_sink(sink)
try:
    crew().kickoff()
    tell(raised=None)
except BaseException as trouble:
    tell(raised=type(trouble).__name__, chunks=calls.count("llm_stream_chunk"), last=calls[-1])
""",
        tmp_path,
    )
    assert told["raised"] == "HookAborted"
    assert told["last"] == "crew_kickoff_failed"


def test_only_hook_aborted_gets_through_the_gates(tmp_path: Path) -> None:
    """scoped_hooks, register_scoped, HookAborted: crewai has no other way to stop a crew."""
    told = seen(
        """
def run(trouble):
    asked = []
    def gate(context):
        asked.append(1)
        if len(asked) > 1:
            raise trouble
    with scoped_hooks():
        for point in (InterceptionPoint.PRE_MODEL_CALL, InterceptionPoint.PRE_STEP):
            register_scoped(point, gate)
        try:
            crew().kickoff()
            return None
        except Exception as raised:
            return type(raised).__name__
stopped = run(HookAborted("stopped"))
ignored = run(RuntimeError("ignored"))
crew().kickoff()
tell(stopped=stopped, ignored=ignored)
""",
        tmp_path,
    )
    assert told == {"stopped": "HookAborted", "ignored": None}
    assert {point.value for point in GATES} <= {point.value for point in InterceptionPoint}
    assert issubclass(HookAborted, Exception)


def test_the_provider_of_human_input_is_asked_instead_of_the_terminal(tmp_path: Path) -> None:
    """set_provider, and the members of its context that our provider uses."""
    told = seen(
        """
from crews.people import HubInput
answers = ["longer", ""]
class Asked:
    def __init__(self): self.prompts = []
    def ask(self, prompt, schema):
        self.prompts.append(prompt)
        return answers.pop(0)
asked = Asked()
token = set_provider(HubInput(asked))
team = crew()
team.tasks[1].human_input = True
out = team.kickoff()
reset_provider(token)
tell(prompts=asked.prompts, raw=out.raw)
""",
        tmp_path,
    )
    assert told["raw"] == "Said."
    assert len(told["prompts"]) == 2
    assert told["prompts"][0].startswith("B has finished B.")
    assert isinstance(HubInput(people()[0]), HumanInputProvider)


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_crew_with_kept_outputs_begins_at_its_first_unfinished_task(tmp_path: Path, done: int) -> None:
    """checkpoint_kickoff_event_id with task.output: two of three done, and only the third is run."""
    told = seen(
        f"""
team = crew()
began = []
add_stream_sink(lambda source, event: event.type == "task_started" and began.append(event.task_name))
for task in team.tasks[:{done}]:
    task.output = TaskOutput(description="d", raw="kept " + task.name, agent=task.name)
team.checkpoint_kickoff_event_id = "task-00000000000000aa"
out = team.kickoff()
tell(began=began, raw=out.raw, outputs=[one.raw for one in out.tasks_output])
""",
        tmp_path,
    )
    kept = [f"kept {name}" for name in "ABC"][:done]
    assert told["began"] == list("ABC")[done:]
    assert told["outputs"] == kept + ["Said."] * (3 - done)
    assert told["raw"] == told["outputs"][-1]


def test_a_model_can_emit_what_the_built_in_ones_emit() -> None:
    """BaseLLM._emit_*: without them nobody would see the offline model's text and tokens."""
    for name in (
        "_emit_call_started_event",
        "_emit_call_completed_event",
        "_emit_call_failed_event",
        "_emit_stream_chunk_event",
        "_emit_thinking_chunk_event",
        "_track_token_usage_internal",
        "_apply_stop_words",
    ):
        assert callable(getattr(BaseLLM, name)), name


def test_the_import_leaves_one_thread_and_the_signals_alone(tmp_path: Path) -> None:
    """With our environment; a zygote forks right after it. Whoever started us may ignore some (nohup)."""
    told = seen(
        """
import signal
numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT)
tell(
    threads=[threading.active_count(), len(os.listdir("/proc/self/task"))],
    handlers=[callable(signal.getsignal(number)) for number in numbers],
)
""",
        tmp_path,
    )
    assert told == {"threads": [1, 1], "handlers": [False] * 4}
