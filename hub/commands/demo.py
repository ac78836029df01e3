"""`hub demo`: a hub, two sidecars and their tasks, in separate processes, with nothing set up before.

Owns a temporary folder and three processes, and removes all of them. It uses only what anybody can: the commands,
the HTTP API and the feed. It fails if one task does not end as it should.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import click

from console.output import CommandFailed, Exit, Output

TASK_S_MAX: Final = 60
"""No task of the demonstration takes as long; a minute tells "works" from "hangs" on a slow machine."""

WORKER: Final = '''\
"""The demonstration's worker: says how far it is, then what it found. Reads its task from standard input."""
import json, os, signal, sys, time

task = json.load(sys.stdin)
report = os.fdopen(int(os.environ["CREWHUB_REPORT_FD"]), "w", buffering=1)
wishes = task["metadata"].get("demo", {})
if wishes.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if wishes.get("fail_once") and task["attempt"] == 1:
    report.write(json.dumps({"error": "the first attempt fails on purpose", "retryable": True}) + "\\n")
    sys.exit(1)
steps = wishes.get("steps", 4)
for step in range(1, steps + 1):
    time.sleep(wishes.get("pause_s", 0.2))
    report.write(json.dumps({"progress": 100 * step // steps, "message": f"step {step} of {steps}"}) + "\\n")
words = task["description"].split()
report.write(json.dumps({"result": {"words": len(words), "first": words[:3]}}) + "\\n")
'''

STORIES: Final[tuple[tuple[str, str, dict[str, Any], dict[str, Any], str], ...]] = (
    ("ada", "say hello to everybody who watches", {}, {}, "completed"),
    ("ada", "count to three", {"echo": {"steps": 3, "sleep_ms": 900}}, {}, "completed"),
    ("grace", "count the words of this sentence", {"demo": {"steps": 4}}, {}, "completed"),
    ("grace", "fail once and try again", {"demo": {"fail_once": True}}, {"attempts_max": 3}, "completed"),
    ("ada", "fail for good", {"echo": {"fail": "nothing to be done", "retryable": False}}, {}, "failed"),
    (
        "grace",
        "ignore the polite request to stop",
        {"demo": {"stubborn": True, "steps": 1000}},
        {},
        "cancelled",
    ),
)
"""Agent, description, metadata, further members of the push, and the state in which it must end."""


@click.command("demo")
@click.option("--stay", is_flag=True, help="Keep everything up until Ctrl-C.")
@click.option(
    "--no-crew", is_flag=True, help="Only the echo and command runners (so far there are no others)."
)
@click.option("--json/--no-json", "as_json", default=None, help="JSON lines instead of text.")
def command(stay: bool, no_crew: bool, as_json: bool | None) -> None:
    """See a hub, two sidecars and their tasks at work. Nothing stays behind."""
    del no_crew
    output = Output(as_json if as_json is not None else False)
    with tempfile.TemporaryDirectory(prefix="crewhub-demo-") as folder:
        sys.exit(int(show(output, Path(folder), stay)))


def show(output: Output, folder: Path, stay: bool) -> Exit:
    from hub.commands.client import HubClient

    with ExitStack() as stack:
        url, token = stack.enter_context(hub_process(output, folder))
        for agent_id, runner in (("ada", ()), ("grace", worker_arguments(folder))):
            stack.enter_context(sidecar_process(output, folder, agent_id, runner))
        client = stack.enter_context(HubClient(url, token))
        until_connected(client, ("ada", "grace"))
        output.note(f"The page: {url}/   log in with the token {token}" if stay else f"The page: {url}/")
        feed = threading.Thread(target=say_feed, args=(output, url, token), daemon=True)
        feed.start()
        result = tell_stories(output, client)
        if stay:
            stay_up(output)
    return result


def stay_up(output: Output) -> None:
    output.note("Everything stays up. Ctrl-C ends it.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        output.note("Ending.")


@contextmanager
def hub_process(output: Output, folder: Path) -> Iterator[tuple[str, str]]:
    """A hub on a free port, with its address and the admin token that its first start wrote down."""
    import json

    from hub.commands.processes import first_line, process

    with process(folder, "hub", "hub.cli", ("serve", "--port", "0")) as child:
        url = json.loads(first_line(child, folder, "hub"))["url"]
        output.note(f"hub      pid {child.pid}   {url}")
        local = json.loads((folder / "config" / "crewhub" / "local-hub.json").read_text(encoding="utf-8"))
        yield url, local["admin_token"]


def worker_arguments(folder: Path) -> tuple[str, ...]:
    """A sidecar's words for the command runner: our worker, run by this Python."""
    path = folder / "worker.py"
    path.write_text(WORKER, encoding="utf-8")
    return ("--command", f"{sys.executable} {path}")


@contextmanager
def sidecar_process(output: Output, folder: Path, agent_id: str, runner: tuple[str, ...]) -> Iterator[None]:
    from hub.commands.processes import process

    words = ("connect", "--agent-id", agent_id, *runner)
    with process(folder, agent_id, "sidecar.cli", words) as child:
        output.note(f"{agent_id:8} pid {child.pid}   {'the command runner' if runner else 'the echo runner'}")
        yield


def until_connected(client: Any, agents: tuple[str, ...]) -> None:
    """Both sidecars have identified."""
    from hub.clock import monotonic_s

    end_s = monotonic_s() + TASK_S_MAX
    while monotonic_s() < end_s:
        here = {one["agent_id"] for one in client.get("/api/agents")["agents"] if one["connected"]}
        if here.issuperset(agents):
            return
        threading.Event().wait(0.1)
    raise CommandFailed("The sidecars did not connect.", Exit.FAILED)


def say_feed(output: Output, url: str, token: str) -> None:
    """The live feed, as `hub watch --all` shows it, until the hub is gone."""
    from hub.commands.client import HubClient
    from hub.commands.watch import say_event

    with HubClient(url, token) as client:
        try:
            for event in client.feed():
                if event.event != "snapshot":
                    say_event(output, {"event": event.event, **event.body})
        except CommandFailed:
            return


def tell_stories(output: Output, client: Any) -> Exit:
    """Push all of them, cancel the last one when it runs, and wait until each has ended."""
    pushed: list[tuple[str, str]] = []
    for agent_id, text, metadata, members, wanted in STORIES:
        told = client.post(
            "/api/admin/push-task",
            {"agent_id": agent_id, "description": text, "metadata": metadata, **members},
        )
        pushed.append((told["task_id"], wanted))
    stubborn = pushed[-1][0]
    wait_for(client, stubborn, {"running"})
    client.post(f"/api/tasks/{stubborn}/cancel", {"reason": "the demonstration is over"})
    ended = [(wait_for(client, task_id, None), wanted) for task_id, wanted in pushed]
    output.note("")
    for task, wanted in ended:
        ending = task["ending"]
        proof = f"   {ending['stopped']}, proof {ending['proof']}" if ending.get("proof") else ""
        mark = "ok " if task["state"] == wanted else "BAD"
        output.note(f"{mark} {task['state']:10} {task['agent_id']:6} {task['description']}{proof}")
    return Exit.COMPLETE if all(task["state"] == wanted for task, wanted in ended) else Exit.FAILED


def wait_for(client: Any, task_id: str, states: set[str] | None) -> dict[str, Any]:
    """The task once it is in one of these states (None: in any in which it ends)."""
    from hub.clock import monotonic_s
    from hub.commands.watch import FINAL

    end_s = monotonic_s() + TASK_S_MAX
    while monotonic_s() < end_s:
        task: dict[str, Any] = client.get(f"/api/tasks/{task_id}")
        if task["state"] in (states or FINAL):
            return task
        threading.Event().wait(0.1)
    raise CommandFailed(f"{task_id} did not end in a minute.", Exit.TIMED_OUT)
