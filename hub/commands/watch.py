"""`hub watch`: the live feed in a terminal, of one task to its end or of everything.

Owns how a watcher stays with the feed: resumed at its cursor when the link breaks, for a minute. Never
changes anything: whoever stops watching has stopped nothing.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from console.live import FootLine
from console.output import CommandFailed, Exit, Output
from hub.commands.options import hub_options, opened
from hub.commands.steps import FINAL, say_end, say_event, say_question, tokens_of
from hub.commands.values import duration_ms

if TYPE_CHECKING:
    from hub.commands.client import HubClient, HubEvent

T = TypeVar("T")

REDIAL_S: Final = 1.0
REDIALS_MAX: Final = 60
"""A minute without a hub, then the command says so and ends; the task goes on."""

PAGE_EVENTS: Final = 500
FIRST_STEP_BACK: Final = 1_000
"""Events; doubled until far enough back. A hub is asked a dozen times for a log of millions."""


def patiently(output: Output, call: Callable[[], T]) -> T:
    """Ask again while no hub answers, for a minute: it may be on its way up."""
    for redial in range(REDIALS_MAX):
        try:
            return call()
        except CommandFailed as failure:
            if failure.code != Exit.UNREACHABLE:
                raise
        if redial == 0:
            output.note("= the hub does not answer; trying again")
        threading.Event().wait(REDIAL_S)
    return call()


def feed_for_ever(
    client: HubClient, output: Output, *, since: str | None, task: str | None = None, agent: str | None = None
) -> Iterator[HubEvent]:
    """The feed, resumed at the last cursor as often as the link breaks."""
    silent_dials = 0
    while True:
        try:
            for event in client.feed(since=since, task=task, agent=agent):
                silent_dials = 0
                since = event.cursor or since
                yield event
        except CommandFailed as failure:
            if failure.code != Exit.UNREACHABLE or since is None:
                raise
        silent_dials += 1
        if silent_dials > REDIALS_MAX:
            raise CommandFailed(f"The hub at {client.url} has not answered for a minute.", Exit.UNREACHABLE)
        if silent_dials == 1:
            output.note("= the feed has ended; dialling again")
        threading.Event().wait(REDIAL_S)


def cursor_at(client: HubClient, at_ms: int) -> str | None:
    """A cursor before the events of that time, found by steps back that double; None: everything is newer."""
    snapshot = next(client.feed(), None)
    epoch, _, last = ((snapshot and snapshot.cursor) or ":0").rpartition(":")
    step = FIRST_STEP_BACK
    while step < int(last):
        cursor = f"{epoch}:{int(last) - step}"
        first = next(client.feed(since=cursor), None)
        if first is None or first.event == "reset":
            return f"{epoch}:{int(last) - step // 2}" if step > FIRST_STEP_BACK else None
        if first.body["timestamp"] < at_ms:
            return cursor
        step *= 2
    return f"{epoch}:0"


class Following:
    """One task on its way: what was said of it already, and how it stands."""

    def __init__(self, client: HubClient, output: Output, task_id: str) -> None:
        from hub.clock import wall_ms

        self._client = client
        self._output = output
        self._task_id = task_id
        self._seen: set[str] = set()
        self._asked: str | None = None
        self._said = ""
        self._foot = FootLine(output, wall_ms)

    def to_the_end(self) -> Exit:
        with self._foot:
            task = self._catch_up()
            code = self._ended(task)
            if code is None:
                code = self._live()
        return code

    def _live(self) -> Exit:
        for event in feed_for_ever(self._client, self._output, since=None, task=self._task_id):
            code = self._heard(event)
            if code is not None:
                return code
        return Exit.UNREACHABLE

    def _heard(self, event: HubEvent) -> Exit | None:
        """What the event changes: nothing yet, or the exit code."""
        if event.event in ("snapshot", "reset"):
            return self._ended(self._catch_up())
        if event.cursor is None:
            self._passing(event.body)
            return None
        if event.cursor in self._seen:
            return None
        self._say(event.cursor, event.body)
        return self._ended(self._look())

    def _look(self) -> dict[str, Any]:
        return patiently(self._output, lambda: self._client.get(f"/api/tasks/{self._task_id}"))

    def _catch_up(self) -> dict[str, Any]:
        """What has happened so far and was not said yet; then the task as it is."""
        self._tell()
        task = self._look()
        self._foot.show(task["progress"], tokens_of(task["usage"]) or None)
        return task

    def _tell(self) -> None:
        """The task's history, as far as it was not said yet."""
        for item in patiently(self._output, lambda: list(history(self._client, self._task_id))):
            if item["cursor"] not in self._seen:
                self._say(item["cursor"], item)

    def _ended(self, task: dict[str, Any]) -> Exit | None:
        if task["state"] in FINAL:
            self._tell()  # the row may be ahead of the feed: its ending is told before its end is
            with self._foot.lifted():
                return say_end(self._output, task)
        if task["state"] == "input_required":
            return self._asks(task)
        return None

    def _asks(self, task: dict[str, Any]) -> Exit | None:
        """A question holds the task up. A person can answer while this waits; a script has to know now."""
        request_id = (task.get("question") or {}).get("request_id")
        if request_id != self._asked:
            self._asked = request_id
            with self._foot.lifted():
                say_question(self._output, task)
        return None if sys.stdin.isatty() else Exit.INPUT_REQUIRED

    def _say(self, cursor: str, item: dict[str, Any]) -> None:
        self._seen.add(cursor)
        with self._foot.lifted():
            say_event(self._output, item, task_is_known=True)
        if item["event"] == "task_accepted":
            self._foot.begin(item["timestamp"])

    def _passing(self, item: dict[str, Any]) -> None:
        """Progress moves the bar; it is a line only when it says something new."""
        payload = item.get("payload") or {}
        percent = payload.get("progress")
        words = tokens_of(payload)
        self._foot.show(float(percent) if isinstance(percent, int | float) else None, words or None)
        said = str(payload.get("message") or payload.get("text") or "")
        if self._foot.is_seen and said in ("", self._said):
            return
        self._said = said
        with self._foot.lifted():
            say_event(self._output, item, task_is_known=True)


def history(client: HubClient, task_id: str) -> Iterator[dict[str, Any]]:
    """The committed events of a task, oldest first."""
    after: int | None = 0
    while after is not None:
        page = client.get(f"/api/tasks/{task_id}/events", after=after, limit=PAGE_EVENTS)
        yield from page["events"]
        after = page["next"] if page["count"] == PAGE_EVENTS else None


def follow_task(client: HubClient, output: Output, task_id: str) -> int:
    """One line a step, to the task's end; Ctrl-C only detaches."""
    try:
        return int(Following(client, output, task_id).to_the_end())
    except KeyboardInterrupt:
        output.note(f"\nDetached; the task goes on. Come back with: hub watch {task_id}")
        return int(Exit.INTERRUPTED)


@click.command("watch")
@click.argument("task", required=False)
@click.option("--last", is_flag=True, help="The task that was pushed last.")
@click.option("--agent", metavar="AGENT", help="Only what this agent does.")
@click.option("--all", "everything", is_flag=True, help="Everything (also without a TASK).")
@click.option("--since", metavar="CURSOR|10m", help="Begin there instead of now.")
@click.option("--exit-status", is_flag=True, help="End with the task's exit code (always so for one task).")
@hub_options
def command(
    task: str | None,
    last: bool,
    agent: str | None,
    everything: bool,
    since: str | None,
    exit_status: bool,
    **where: Any,
) -> None:
    """Watch a task to its end, or the whole feed. Ctrl-C detaches; nothing stops because nobody looks.

    \b
    Exit codes: 0 complete, 1 failed or dead, 3 cancelled, 7 it asks something and standard input is no
    terminal (see hub tasks answer), 124 timed out, 130 detached.
    """
    del exit_status
    if sum((task is not None, last, everything)) > 1:
        raise click.UsageError("Name a task, or --last, or --all: one of them.")
    output, client = opened(where)
    with client:
        task = last_task(client, agent) if last else task
        if task is not None:
            sys.exit(follow_task(client, output, task))
        sys.exit(watch_all(client, output, agent, since))


def last_task(client: HubClient, agent: str | None) -> str:
    found = client.get("/api/tasks", limit=1, agent_id=agent)["tasks"]
    if not found:
        raise CommandFailed('There is no task yet. Push one: hub push alice "do it"', Exit.NOT_FOUND)
    return str(found[0]["task_id"])


def watch_all(client: HubClient, output: Output, agent: str | None, since: str | None) -> int:
    from hub.clock import wall_ms

    begin_ms, cursor = 0, since
    if since is not None and re.fullmatch(r"\d+[a-z]+", since):
        begin_ms = wall_ms() - duration_ms(since)
        cursor = cursor_at(client, begin_ms)
    try:
        for event in feed_for_ever(client, output, since=cursor, agent=agent):
            cursor = event.cursor or cursor
            if event.event != "snapshot" and event.body["timestamp"] >= begin_ms:
                say_event(output, {"event": event.event, **event.body})
    except KeyboardInterrupt:
        of_agent = f" --agent {agent}" if agent else ""
        output.note(f"\nDetached. Come back with: hub watch --all{of_agent} --since {cursor or '10m'}")
    return int(Exit.INTERRUPTED)
