"""What a watcher makes of recorded feeds and logs: nothing twice, nothing out of order, gaps said."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from console.output import CommandFailed, Exit, Output
from hub.commands.activity import PAGE_LINES, Account, log_lines, say_log
from hub.commands.client import HubEvent
from hub.commands.following import Following, follow_task
from tests.console.test_output import Terminal

TASK = "task-00000000000000aa"


def line(
    n: int, text: str = "a step", *, generation: int = 1, kind: str = "tool", **about: Any
) -> dict[str, Any]:
    own = {"n": n, "generation": generation, "level": "info", "kind": kind, "text": text, "data": about}
    return {**own, "timestamp": 1_000 * n}


def event(number: int, name: str, **payload: Any) -> dict[str, Any]:
    own = {"cursor": f"e:{number}", "event": name, "task_id": TASK, "agent_id": "ada", "generation": 1}
    return {**own, "timestamp": 1_000 * number, "payload": payload}


class Recorded:
    """A hub that plays back what one said: history, log, and a feed."""

    url = "http://nowhere"

    def __init__(self, feed: list[HubEvent], *, state: str = "running", **task: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.plays = feed
        self.task = {"task_id": TASK, "state": state, "progress": None, "usage": None, **task}
        self.failures = 0

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        if path.endswith("/events"):
            return {"events": self.events, "count": len(self.events), "next": None}
        if path.endswith("/log"):
            if self.failures:
                self.failures -= 1
                raise CommandFailed("not just now", Exit.FAILED)
            after, limit = query["after"], query["limit"]
            found = self.lines[after : after + limit]
            return {"lines": found, "count": len(found), "next": after + len(found) if found else None}
        return self.task

    def feed(self, **_: Any) -> Iterator[HubEvent]:
        for one in self.plays:
            if one.event == "completes":
                self.task |= {"state": "completed", "result": {"output": "made"}, "ending": {}}
                yield HubEvent("task_complete", event(99, "task_complete"), "e:99")
            else:
                yield one


def passing(name: str, **payload: Any) -> HubEvent:
    return HubEvent(name, {"task_id": TASK, "timestamp": 5_000, "payload": payload}, None)


def followed(
    hub: Recorded, *, on_terminal: bool = False, as_json: bool | None = False
) -> tuple[int, list[str]]:
    out: io.StringIO = Terminal() if on_terminal else io.StringIO()
    code = Following(hub, Output(as_json, out=out, err=io.StringIO()), TASK).to_the_end()  # type: ignore[arg-type]  # it asks and listens, and no more
    return int(code), out.getvalue().splitlines()


TOLD_BY_STEPS = ("task_done", "input_required", "input_ack")
SNAPSHOT = HubEvent("snapshot", {}, "e:0")
COMPLETES = HubEvent("completes", {}, None)


def test_what_history_and_log_have_is_told_in_the_order_of_its_time() -> None:
    hub = Recorded([SNAPSHOT, COMPLETES])
    hub.events = [event(1, "task_accepted"), event(4, "input_ack", request_id="q")]
    hub.lines = [line(2, "the second"), line(3, "the third")]
    code, said = followed(hub)
    assert code == 0
    assert said[1] == "— one line is missing here —"
    told = [one[10:].split()[0] for one in said if one[:1].isdigit()]
    assert told == ["task_accepted", "the", "the", "input_ack", "task_complete"]
    assert said[-1] == "made"


def test_a_feed_that_repeats_itself_after_a_reset_is_told_once() -> None:
    step = HubEvent("task_log", {"task_id": TASK, "timestamp": 1, "payload": line(1, "only once")}, None)
    accepted = HubEvent("task_accepted", event(1, "task_accepted"), "e:1")
    hub = Recorded([SNAPSHOT, accepted, step, HubEvent("reset", {}, "f:0"), accepted, step, COMPLETES])
    hub.events, hub.lines = [event(1, "task_accepted")], [line(1, "only once")]
    _, said = followed(hub)
    assert sum("only once" in one for one in said) == 1
    assert sum("task_accepted" in one for one in said) == 1


def test_a_gap_in_the_feed_is_said_and_what_was_kept_of_it_is_told() -> None:
    """L62"""
    later = HubEvent("task_log", {"task_id": TASK, "timestamp": 9, "payload": line(5, "the fifth")}, None)
    hub = Recorded([SNAPSHOT, passing("gap", **{"from": "e:1", "to": "e:2"}), later, COMPLETES])
    hub.lines = []
    hub.plays.insert(2, HubEvent("task_usage", {"task_id": TASK, "timestamp": 1, "payload": {}}, None))
    said = followed(hub)[1]
    assert any("some passing lines were left out here" in one for one in said)
    assert any("4 lines are missing here" in one for one in said)
    hub = Recorded([SNAPSHOT, later, COMPLETES])
    kept = [line(n, f"number {n}") for n in (1, 2, 3, 4)]
    found: Iterator[list[dict[str, Any]]] = iter([[], [], kept])
    hub.get = lambda path, **query: (  # type: ignore[method-assign]  # the log grows behind the watcher's back
        {"lines": (rows := next(found, [])), "count": len(rows), "next": len(rows) or None}
        if path.endswith("/log")
        else Recorded.get(hub, path, **query)
    )
    said = followed(hub)[1]
    assert [one[10:] for one in said[:5]] == [*(f"      number {n}" for n in (1, 2, 3, 4)), "      the fifth"]


def test_what_a_step_has_said_is_no_event_once_more() -> None:
    hub = Recorded([SNAPSHOT, COMPLETES])
    hub.lines = [line(1, "Task 1/2", kind="task"), line(2, "Which one?", kind="question")]
    hub.events = [event(n, name, prompt="Which one?", kept=True) for n, name in enumerate(TOLD_BY_STEPS, 1)]
    assert [one[10:] for one in followed(hub)[1][:2]] == ["  Task 1/2", "Which one?"]
    without = Recorded([SNAPSHOT, COMPLETES])
    without.events = hub.events
    found = [one[10:].split()[0] for one in followed(without)[1] if one[:1].isdigit()]
    assert found == [*TOLD_BY_STEPS, "task_complete"], "without steps the events are the story"


def test_of_one_moment_lines_stand_between_a_runs_beginning_and_what_followed() -> None:
    hub = Recorded([SNAPSHOT, COMPLETES])
    hub.events = [{**event(1, name), "timestamp": 7_000} for name in ("task_accepted", "input_required")]
    hub.events[1]["cursor"] = "e:2"
    hub.lines = [{**line(1, "a step"), "timestamp": 7_000}]
    said = followed(hub)[1]
    assert [one[10:].split()[0] for one in said[:3]] == ["task_accepted", "a", "input_required"]


def test_what_led_to_a_question_is_told_before_a_script_ends_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task's row may know of the question before the feed has said so."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    accepted = HubEvent("task_accepted", event(1, "task_accepted"), "e:1")
    hub = Recorded([SNAPSHOT, accepted], question={"request_id": "q", "prompt": "Which?"})

    def ask() -> Iterator[HubEvent]:
        yield SNAPSHOT
        hub.task["state"] = "input_required"
        hub.events = [event(1, "task_accepted"), event(3, "input_required", prompt="Which?")]
        hub.lines = [{**line(1, "a step"), "timestamp": 2_000}]
        yield accepted

    hub.feed = lambda **_: ask()  # type: ignore[method-assign]  # a feed behind its ledger
    code, said = followed(hub)
    assert code == Exit.INPUT_REQUIRED
    assert [one[10:].split()[0] for one in said] == ["task_accepted", "a", "input_required"]


def test_progress_that_a_step_has_said_is_no_line_of_its_own() -> None:
    task = HubEvent(
        "task_log", {"task_id": TASK, "timestamp": 1, "payload": line(1, "Task 1/1", kind="task")}, None
    )
    progress = passing("task_progress", progress=10, message="Task 1/1")
    assert sum("Task 1/1" in one for one in followed(Recorded([SNAPSHOT, task, progress, COMPLETES]))[1]) == 1
    assert sum("Task 1/1" in one for one in followed(Recorded([SNAPSHOT, progress, COMPLETES]))[1]) == 1


def test_everything_is_a_record_for_a_program() -> None:
    chunk = HubEvent(
        "task_log", {"task_id": TASK, "payload": line(1, "word", kind="chunk"), "timestamp": 1}, None
    )
    usage = passing("task_usage", tokens_in=1, tokens_out=2)
    _, said = followed(Recorded([SNAPSHOT, chunk, usage, COMPLETES]), as_json=True)
    assert [one.split('"event":"')[1].split('"')[0] for one in said[:-1]] == [
        "task_log",
        "task_usage",
        "task_complete",
    ]


def test_an_account_that_could_not_be_read_is_read_whole_the_next_time() -> None:
    hub = Recorded([])
    hub.events, hub.lines, hub.failures = [event(1, "task_accepted")], [line(1)], 1
    account = Account(hub, TASK)  # type: ignore[arg-type]  # of a client it asks for pages and nothing else
    with pytest.raises(CommandFailed, match="not just now"):
        account.untold()
    assert [one.item["event"] for one in account.untold()] == ["task_accepted", "task_log"]
    assert account.untold() == []


def test_lines_on_their_way_to_the_disk_are_looked_for_again() -> None:
    hub = Recorded([])
    pages = iter([([line(1)], None), ([line(1), line(2)], 1), ([line(2), line(3)], 3)])
    asked: list[int] = []

    def get(path: str, **query: Any) -> dict[str, Any]:
        asked.append(query["after"])
        rows, place = next(pages)
        return {"lines": rows, "count": len(rows), "next": place}

    hub.get = get  # type: ignore[method-assign]  # the log of a hub that writes it down meanwhile
    account = Account(hub, TASK)  # type: ignore[arg-type]  # as above
    assert [[one.item["payload"]["n"] for one in account.untold_lines()] for _ in range(3)] == [[1], [2], [3]]
    assert asked == [0, 0, 1]


def test_a_long_log_is_read_page_by_page() -> None:
    hub = Recorded([])
    hub.lines = [line(n) for n in range(1, 2 * PAGE_LINES + 1)]
    assert [one["n"] for one, _ in log_lines(hub, TASK)] == list(range(1, 2 * PAGE_LINES + 1))  # type: ignore[arg-type]  # as above


def test_a_log_is_told_run_by_run() -> None:
    out = io.StringIO()
    say_log(Output(out=out), [line(1, "first"), line(1, "second", generation=2)])
    assert out.getvalue().splitlines() == ["      first", "— another attempt —", "      second"]


def test_a_follower_that_is_interrupted_says_how_to_come_back() -> None:
    class Interrupted(Recorded):
        def feed(self, **_: Any) -> Iterator[HubEvent]:
            raise KeyboardInterrupt

    err = io.StringIO()
    code = follow_task(Interrupted([]), Output(out=io.StringIO(), err=err), TASK)  # type: ignore[arg-type]  # as above
    assert code == Exit.INTERRUPTED
    assert f"hub watch {TASK}" in err.getvalue()
