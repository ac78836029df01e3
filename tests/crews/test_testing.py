"""The fixture for people's own plugin tests, used as they use it: from a project of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crews import trial
from crews.order import Order
from crews.testing import TASK, Trials, UnfitTrial, order_for, plugin_in
from crews.transcript import Transcript
from plugins.settings import UnfitSettings
from tests.waiting import until_true

STORY = Path(__file__).parent / "stories" / "story_crew"
ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., Transcript]

# Each plugin's process imports crewai: three seconds on a quiet machine, far more on one that is shared.
IMPORTS_S = 170
pytestmark = pytest.mark.timeout(IMPORTS_S + 10)

THEIR_TEST = """
from pathlib import Path

PLUGIN = Path(__file__).parent / "tiny"

def test_it_says_what_its_script_says(run_plugin):
    run = run_plugin(PLUGIN, {"topic": "cats"})
    assert run.result == {"output": "All about cats."}, run

def test_it_takes_another_script(run_plugin):
    assert run_plugin(PLUGIN, offline={"*": ["Else."]}).result == {"output": "Else."}

def test_this_one_fails_as_it_should(run_plugin):
    assert run_plugin(PLUGIN).result == {"output": "something else"}
"""

THEIR_CREW = """
from crewai import Agent, Crew, Task

def create_crew(settings, llm=None, search_tool=None):
    agent = Agent(role="Writer", goal="write", backstory="b", llm=llm)
    return Crew(agents=[agent], tasks=[Task(name="write", description="d", expected_output="e", agent=agent)])
"""


def a_plugin(folder: Path, crew: str = THEIR_CREW) -> Path:
    """The smallest plugin that there is."""
    (folder / "crew").mkdir(parents=True)
    (folder / "plugin.yaml").write_text(f"name: {folder.name}\nversion: 1.0.0\n", encoding="utf-8")
    (folder / "settings.schema.json").write_text('{"type": "object"}', encoding="utf-8")
    (folder / "offline.yaml").write_text("writer:\n  - All about cats.\n", encoding="utf-8")
    (folder / "crew" / "crew.py").write_text(crew, encoding="utf-8")
    return folder


def test_a_project_of_somebody_else_tests_its_plugin_with_the_fixture(tmp_path: Path) -> None:
    """As docs/crews.md says: one line in conftest.py, and warnings are errors there too."""
    a_plugin(tmp_path / "tiny")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["crews.testing"]\n', encoding="utf-8")
    (tmp_path / "test_tiny.py").write_text(THEIR_TEST, encoding="utf-8")
    options = ["-q", "-W", "error", "-p", "no:randomly", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_tiny.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=IMPORTS_S,
        check=False,
    )
    assert "1 failed, 2 passed" in ended.stdout, ended.stdout[-3000:] + ended.stderr[-2000:]
    assert "assert {'output': 'All about cats.'}" in ended.stdout


def test_a_transcript_tells_what_a_test_wants_to_know(run_plugin: Run) -> None:
    run = run_plugin(STORY, description="a tale, please")
    assert run.began("task") == ["research_task", "write_task", "review_task"]
    assert run.began("tool") == ["look_up"]
    assert run.progress[-1] == 100
    assert [step["name"] for step in run.steps] == ["research_task", "write_task", "review_task"]
    assert (run.error, run.stopped, run.is_retryable, run.questions) == (None, False, False, [])
    assert "exit code 0" in repr(run)


def test_a_run_finds_nothing_of_the_environment_of_whoever_tests(
    run_plugin: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """L40: a key of the tester's shell must not make a test pass."""
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-tester")
    crew = THEIR_CREW.replace(
        "def create_crew", 'import os\nprint("ENVIRON", sorted(os.environ))\n\ndef create_crew'
    )
    crew = crew.replace("    agent =", '    print("RUN", sorted(os.environ))\n    agent =')
    run = run_plugin(a_plugin(tmp_path / "nosy", crew))
    assert "RUN" in run.output
    assert "OPENAI_API_KEY" not in run.output


def test_what_a_run_leaves_running_is_ended(run_plugin: Run) -> None:
    """L75: also a trial leaves no process of its run's session behind."""
    run = run_plugin(STORY, offline={"researcher": [{"tool": "leave_behind"}, "Fine."], "*": ["Fine."]})
    answer = next(line["data"]["output"] for line in run.logs("tool") if line["data"]["state"] == "ended")
    pid = int(answer.removeprefix("process "))
    until_true(lambda: is_gone(pid), f"process {pid} is gone")


def is_gone(pid: int) -> bool:
    """No more, or only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_question_without_an_answer_fails_the_test_with_the_question(run_plugin: Run) -> None:
    with pytest.raises(UnfitTrial, match="asked 'Really\\?', and the test has no answer left"):
        run_plugin(STORY, offline={"*": [{"ask": "Really?"}, "Fine."]}, answers=["yes"])


def test_people_answer_in_the_order_that_the_test_names(run_plugin: Run) -> None:
    script = {"*": ["Fine."], "writer": [{"ask": "First?"}, {"ask": "Second?"}, {"ask": "First?"}, "Fine."]}
    run = run_plugin(STORY, offline=script, answers=["one", "two", "three"])
    assert run.questions == ["First?", "Second?", "First?"]
    told = [
        line["data"]["output"].split()[0] for line in run.logs("tool") if line["data"]["state"] == "ended"
    ]
    assert told == ["one", "two", "three"]  # crewai reminds an agent of its tools behind some of them


def test_unfit_settings_are_refused_before_anything_runs(run_plugin: Run) -> None:
    with pytest.raises(UnfitSettings, match=r"settings\.form"):
        run_plugin(STORY, {"form": "round"})


def test_a_folder_that_is_no_plugin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnfitTrial, match="is not the folder of one plugin"):
        plugin_in(tmp_path)
    with pytest.raises(UnfitTrial, match="there is no such folder"):
        plugin_in(tmp_path / "nowhere")


def test_a_plugin_that_cannot_be_imported_is_refused_with_its_traceback(tmp_path: Path) -> None:
    """L83: the real cause, where it is in the plugin's own file."""
    with pytest.raises(UnfitTrial) as refused:
        Trials(a_plugin(tmp_path / "broken", "import no_such_module\n"))
    assert "no_such_module" in str(refused.value)
    assert "crew.py" in str(refused.value)


def test_an_end_that_nobody_waits_for_is_told_to_nobody() -> None:
    """A test that has given up must not end the process for trials: the next run is in it too."""
    heard, told = os.pipe()
    trial.tell(told, pid=7)
    assert os.read(heard, 100) == b'{"pid": 7}\n'
    os.close(heard)
    trial.tell(told, code=0)
    os.close(told)


def test_credentials_of_a_test_are_keys_and_no_settings() -> None:
    order: Order = order_for(
        plugin_in(STORY), {"_llm_api_key": "secret", "topic": "dogs"}, keys={"search_key": "s"}
    )
    assert order.settings == {"topic": "dogs"}
    assert order.keys == {"llm_model": "offline", "llm_api_key": "secret", "search_key": "s"}
    assert order.inputs == {"topic": "dogs"}
    assert order.task_id == TASK
