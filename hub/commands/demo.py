"""`hub demo`: a hub, two sidecars and their tasks, in separate processes, with nothing set up before.

Owns a temporary folder and three processes, and removes all of them. It uses only what anybody can: the
commands, the HTTP API and the feed. It fails if one task does not end as its story says.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from console.output import CommandFailed, Exit, Output

if TYPE_CHECKING:
    from hub.commands.client import HubClient
    from hub.commands.stories import Story

WAIT_S_MAX: Final = 60
"""No step of the demonstration takes as long; a minute tells "works" from "hangs" on a slow machine."""

LOOK_S: Final = 0.1
CREW_WORDS: Final = ("--slots", "4", "--plugins", "shipped", "--model", "offline")
"""A model that plays a script: no key, no network, the same every time."""
LOG_CHARACTERS_MAX: Final = 2_000
RUNS: Final = {"command": "a command", "plugins": "crews, with a model that needs no key", "echo": "echoes"}


@click.command("demo")
@click.option("--stay", is_flag=True, help="Keep everything up until Ctrl-C.")
@click.option("--no-crew", is_flag=True, help="Without crews, even if crewai is installed.")
@click.option("--json/--no-json", "as_json", default=False, help="JSON lines instead of text.")
def command(stay: bool, no_crew: bool, as_json: bool) -> None:
    """See a hub, two sidecars and their tasks at work. Nothing stays behind.

    Exit code 0 when every task has ended as its story says.
    """
    output = Output(as_json)
    signal.signal(signal.SIGTERM, leave_in_order)
    with_crews = not no_crew and importlib.util.find_spec("crewai") is not None
    if not (with_crews or no_crew):
        output.note("crewai is not installed: without crews (pip install 'crewhub[crewai]')")
    with tempfile.TemporaryDirectory(prefix="crewhub-demo-") as folder:
        sys.exit(show(output, Path(folder), stay=stay, with_crews=with_crews))


def leave_in_order(number: int, frame: object) -> None:
    """SIGTERM unwinds like Ctrl-C, so that no process and no folder stays behind."""
    sys.exit(128 + number)


def show(output: Output, folder: Path, *, stay: bool, with_crews: bool) -> Exit:
    from hub.commands.client import HubClient
    from hub.commands.stories import stories

    ada = CREW_WORDS if with_crews else ()

    with ExitStack() as stack:
        url, token = stack.enter_context(hub_process(output, folder))
        for agent_id, words in (("ada", ada), ("grace", ("--slots", "2", *worker_words(folder)))):
            stack.enter_context(sidecar_process(output, folder, agent_id, words))
        client = stack.enter_context(HubClient(url, token))
        wait_until(lambda: connected(client) >= {"ada", "grace"}, "both sidecars are connected")
        output.note(f"page     {url}/{f'   log in with {token}' if stay else ''}\n")
        with live_feed(output, url, token):
            result = tell_stories(output, client, stories(with_crews=with_crews))
            if stay:
                stay_up(output)
        if result is not Exit.COMPLETE:
            say_logs(output, folder)
    return result


def stay_up(output: Output) -> None:
    try:
        output.note("\nEverything stays up. Ctrl-C ends it.")
        threading.Event().wait()
    except KeyboardInterrupt:
        output.note("\nEnding.")


# --- three processes -------------------------------------------------------------------------------------


@contextmanager
def hub_process(output: Output, folder: Path) -> Iterator[tuple[str, str]]:
    """A hub on a free port, with its address and the admin token that its first start wrote down."""
    from hub.commands.processes import first_line, process

    with process(folder, "hub", "hub.cli", ("serve", "--port", "0")) as child:
        url = json.loads(first_line(child, folder, "hub"))["url"]
        output.note(f"hub      pid {child.pid:<8} {url}")
        local = json.loads((folder / "config" / "crewhub" / "local-hub.json").read_text(encoding="utf-8"))
        yield url, local["admin_token"]


def worker_words(folder: Path) -> tuple[str, str]:
    """A sidecar's words for the command runner: our worker, run by this Python."""
    import shlex

    from hub.commands.stories import WORKER

    path = folder / "worker.py"
    path.write_text(WORKER, encoding="utf-8")
    return ("--command", shlex.join([sys.executable, str(path)]))


@contextmanager
def sidecar_process(output: Output, folder: Path, agent_id: str, words: tuple[str, ...]) -> Iterator[None]:
    from hub.commands.processes import process

    runner = next((name for name in ("command", "plugins") if f"--{name}" in words), "echo")
    with process(folder, agent_id, "sidecar.cli", ("connect", "--agent-id", agent_id, *words)) as child:
        output.note(f"{agent_id:8} pid {child.pid:<8} a sidecar for {RUNS[runner]}")
        yield


def connected(client: HubClient) -> set[str]:
    return {one["agent_id"] for one in client.get("/api/agents")["agents"] if one["connected"]}


def say_logs(output: Output, folder: Path) -> None:
    """What the processes said, for whoever has to find out why it did not work."""
    for log in sorted(folder.glob("*.log")):
        output.note(f"\n--- {log.name}\n{log.read_text(encoding='utf-8')[-LOG_CHARACTERS_MAX:]}")


# --- what is to be seen ----------------------------------------------------------------------------------


@contextmanager
def live_feed(output: Output, url: str, token: str) -> Iterator[None]:
    """The live feed, as `hub watch --all` shows it, from before the first push to after the last ending."""
    from hub.commands.client import HubClient
    from hub.commands.steps import say_event

    has_begun, is_over = threading.Event(), threading.Event()

    def say_feed() -> None:
        with HubClient(url, token) as client:
            try:
                for event in client.feed():
                    if is_over.is_set():
                        return
                    if event.event == "snapshot":
                        has_begun.set()
                    else:
                        say_event(output, {"event": event.event, **event.body})
            except CommandFailed:
                return

    threading.Thread(target=say_feed, daemon=True).start()
    if not has_begun.wait(WAIT_S_MAX):
        raise CommandFailed("The feed did not begin.", Exit.FAILED)
    try:
        yield
    finally:
        is_over.set()


def tell_stories(output: Output, client: HubClient, stories: Sequence[Story]) -> Exit:
    """Push all of them, answer and cancel where the story says so, and wait until each has ended."""
    from hub.commands.steps import FINAL

    told = [(story, push(client, story)) for story in stories]
    for story, task_id in told:
        if story.answer is not None:
            asking = wait_for(client, task_id, "asks", lambda task: task["question"] or task["ending"])
            answer(output, client, asking, story.answer)
        if story.is_cancelled:
            wait_for(client, task_id, "has begun", lambda task: task["progress"])
            client.post(f"/api/tasks/{task_id}/cancel", {"reason": "the demonstration is over"})
    ended = [
        (story, wait_for(client, task_id, "has ended", lambda task: task["state"] in FINAL))
        for story, task_id in told
    ]
    say_ends(output, ended)
    return Exit.COMPLETE if all(story.is_true_of(task) for story, task in ended) else Exit.FAILED


def push(client: HubClient, story: Story) -> str:
    body: dict[str, Any] = {"agent_id": story.agent_id, "description": story.description}
    body |= {"metadata": story.metadata, "attempts_max": story.attempts_max}
    if story.plugin is not None:
        body |= {"plugin": story.plugin, "inputs": story.inputs}
    return str(client.post("/api/admin/push-task", body)["task_id"])


def answer(output: Output, client: HubClient, task: dict[str, Any], value: str) -> None:
    """Answer the question that a task asks, as a person would. One that has ended instead is judged later."""
    question = task["question"]
    if question is None:
        return
    output.note(f"         a person answers {task['task_id']}: {value}")
    body = {"request_id": question["request_id"], "value": value}
    client.post(f"/api/tasks/{task['task_id']}/input", body)


def wait_for(
    client: HubClient, task_id: str, what: str, is_so: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """The task once it is so."""
    wait_until(lambda: is_so(client.get(f"/api/tasks/{task_id}")), f"{task_id} {what}")
    return client.get(f"/api/tasks/{task_id}")


def say_ends(output: Output, ended: list[tuple[Story, dict[str, Any]]]) -> None:
    from hub.commands.steps import how_it_stopped

    output.note("")
    for story, task in ended:
        is_good = story.is_true_of(task)
        if output.is_json:
            output.record({"story": story.description, "as_told": is_good, "task": task})
            continue
        mark = output.paint("ok ", "good") if is_good else output.paint("BAD", "bad")
        failures = f"  after {task['attempt']} failure" if task["attempt"] else ""
        end = how_it_stopped(task) or failures
        output.line(f"{mark}  {task['state']:10} {task['agent_id']:6} {story.description}{end}")


def wait_until(is_so: Callable[[], object], sentence: str) -> None:
    """Look until it is so; give up after a minute and say what never came."""
    from hub.clock import monotonic_s

    end_s = monotonic_s() + WAIT_S_MAX
    while not is_so():
        if monotonic_s() > end_s:
            raise CommandFailed(f"Waited a minute in vain until {sentence}.", Exit.TIMED_OUT)
        threading.Event().wait(LOOK_S)
