"""The checker of histories: for each of its rules a doctored history that it must refuse, and a clean one.

A checker that finds nothing proves nothing unless it is known to find what it looks for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.checker import RULES, VIOLATIONS_KEPT_MAX, Scope, Verdict, check
from hub.history import Deed, History, Kind, Record, read

EVERYTHING = Scope(is_drained=True, is_complete=True, canaries=("canary-4711",))


class Story:
    """A history told record by record."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._offset = 0

    def note(self, p: str, type: Kind, f: Deed, **more: Any) -> Story:  # noqa: A002  the format's own name
        t = len(self.records) + 1
        self.records.append(Record(t=t, p=p, n=t, type=type, f=f, **more))
        return self

    def push(self, key: str, task: str) -> Story:
        return self.note("pusher", "invoke", "push", key=key).note("pusher", "ok", "push", key=key, task=task)

    def event(self, event: str, task: str, gen: int, watchers: tuple[str, ...] = ("hub", "watcher")) -> Story:
        self._offset += 1
        for one in watchers:
            self.note(one, "ok", "event", task=task, gen=gen, value=[f"e1:{self._offset}", event])
        return self

    def life(self, key: str, task: str) -> Story:
        """A task from push to result."""
        self.push(key, task)
        self.event("task_queued", task, 0).event("task_assigned", task, 1)
        self.note("run:1", "ok", "start", task=task, gen=1)
        self.event("task_accepted", task, 1)
        self.note("run:1", "ok", "finish", task=task, gen=1, value={"by": task})
        self.event("task_complete", task, 1)
        self.note("sidecar:ada", "ok", "ack", key=f"i1:{self._offset}", task=task, gen=1, value="complete")
        return self.row(key, task)

    def row(self, key: str, task: str, state: str = "completed", gen: int = 1, result: Any = None) -> Story:
        value = {"state": state, "result": result or {"by": task}}
        return self.note("database", "ok", "terminal", key=key, task=task, gen=gen, value=value)

    def judged(self, scope: Scope = EVERYTHING) -> Verdict:
        return check(self.records, scope)


def a_clean_story() -> Story:
    story = Story().life("k1", "t1").life("k2", "t2")
    story.note("late", "invoke", "event").note("late", "info", "event", value=["e1:8", "snapshot"])
    story.push("k3", "t3").event("task_queued", "t3", 0).event("task_assigned", "t3", 1)
    story.note("run:2", "ok", "start", task="t3", gen=1)
    story.note("canceller", "ok", "cancel", task="t3", gen=1).event("task_cancel", "t3", 1)
    story.event("task_cancelled", "t3", 1).row("k3", "t3", "cancelled")
    story.note("reader", "invoke", "terminal", task="t3")
    story.note("reader", "ok", "terminal", task="t3", value="cancelled")
    story.note("sidecar:ada", "ok", "drain", value=0).note("hub", "ok", "exit", value=0)
    return story.note("hub", "ok", "gauge", key="descriptors", value=[20, 20])


def test_a_new_life_of_a_process_is_noticed_before_its_first_event() -> None:
    """The hub died after a commit and before it wrote of it: its next life goes on behind the gap. That life
    said more before its first event than the one before it had said in all."""
    story = Story().life("k1", "t1")
    last = [record for record in story.records if record.p == "hub"][-1]
    begun = [
        Record(t=1_000 + n, p="hub", n=n, type="ok", f="ack", value="stale") for n in range(1, last.n + 5)
    ]
    later = Record(
        t=9_000, p="hub", n=last.n + 5, type="ok", f="event", task="t1", gen=1, value=["e1:9", "stale"]
    )
    assert check([*story.records, *begun, later]).is_clean
    unasked = check([*story.records, later])
    assert unasked.counts == {"C8": 1}, "without a new life, it is a gap"


# --- what it must refuse ---------------------------------------------------------------------------------


def an_answered_push_without_a_task() -> Story:
    return a_clean_story().push("k9", "t9")


def one_key_with_two_tasks() -> Story:
    return a_clean_story().push("k1", "t9").row("k1", "t9")


def a_retry_that_made_a_second_row() -> Story:
    return a_clean_story().row("k1", "t9")


def a_task_with_two_ends() -> Story:
    return a_clean_story().event("task_failed", "t1", 1)


def a_task_whose_row_differs_from_the_feed() -> Story:
    return a_clean_story().note("api", "ok", "terminal", task="t1", value="cancelled")


def a_task_that_lives_on_after_its_end() -> Story:
    return a_clean_story().event("task_assigned", "t1", 2)


def a_result_of_another_generation() -> Story:
    return a_clean_story().push("k9", "t9").row("k9", "t9", gen=1, result={"by": "nobody"})


def a_result_that_no_run_had() -> Story:
    story = a_clean_story().push("k9", "t9").note("run:9", "ok", "start", task="t9", gen=1)
    story.note("run:9", "ok", "finish", task="t9", gen=1, value={"by": "t9"})
    return story.row("k9", "t9", result={"by": "somebody else"})


def a_lost_task() -> Story:
    return a_clean_story().push("k9", "t9").row("k9", "t9", state="queued")


def a_task_from_nowhere() -> Story:
    return a_clean_story().row("k9", "t9", state="failed")


def a_generation_that_started_twice() -> Story:
    return a_clean_story().note("run:9", "ok", "start", task="t1", gen=1)


def an_older_run_that_decided_the_task() -> Story:
    story = a_clean_story().push("k9", "t9")
    for gen in (1, 2):
        story.note("run:9", "ok", "start", task="t9", gen=gen)
    return story.event("task_failed", "t9", 1).row("k9", "t9", state="failed")


def an_older_generation_that_started_later() -> Story:
    story = a_clean_story().push("k9", "t9")
    for gen in (2, 1):
        story.note("run:9", "ok", "start", task="t9", gen=gen)
    return story.event("task_failed", "t9", 2).row("k9", "t9", state="failed", gen=2)


def a_watcher_that_missed_an_event() -> Story:
    story = a_clean_story().event("task_queued", "t9", 0, ("hub",))
    return story.event("task_failed", "t9", 0).row("k9", "t9", state="failed").push("k9", "t9")


def a_watcher_that_saw_one_twice() -> Story:
    return a_clean_story().note("watcher", "ok", "event", task="t3", gen=1, value=["e1:12", "task_cancelled"])


def two_watchers_that_saw_different_things() -> Story:
    return a_clean_story().note("other", "ok", "event", task="t3", gen=1, value=["e1:12", "task_failed"])


def an_event_that_is_not_in_the_log() -> Story:
    story = a_clean_story()
    return story.note("log", "ok", "event", task="t1", gen=0, value=["e1:1", "task_queued"])


def a_late_watcher_that_was_shown_the_past() -> Story:
    story = a_clean_story().note("later", "invoke", "event")
    return story.note("later", "info", "event", value=["e1:3", "snapshot"])


def a_reader_that_was_shown_the_past() -> Story:
    story = a_clean_story().note("reader", "invoke", "terminal", task="t1")
    return story.note("reader", "ok", "terminal", task="t1", value="running")


def a_start_after_a_granted_cancel() -> Story:
    return a_clean_story().note("run:9", "ok", "start", task="t3", gen=2)


def an_assignment_after_a_granted_cancel() -> Story:
    story = a_clean_story().push("k9", "t9").event("task_queued", "t9", 0)
    story.note("canceller", "ok", "cancel", task="t9", gen=1).event("task_assigned", "t9", 2)
    return story.event("task_cancelled", "t9", 2).row("k9", "t9", "cancelled", 2)


def a_fact_with_two_effects() -> Story:
    story = a_clean_story()
    first = next(record for record in story.records if record.f == "ack")
    return story.note("sidecar:ada", "ok", "ack", key=first.key, task="t1", gen=1, value="failed")


def a_journal_that_is_not_empty() -> Story:
    return a_clean_story().note("sidecar:ada", "ok", "drain", value=3)


def a_process_that_ended_badly() -> Story:
    return a_clean_story().note("hub", "fail", "exit", value=70)


def a_traceback_in_a_log() -> Story:
    return a_clean_story().note("hub", "fail", "log", value="Traceback (most recent call last)")


def a_hub_that_keeps_descriptors() -> Story:
    return a_clean_story().note("hub", "ok", "gauge", key="descriptors", value=[20, 40])


def a_secret_in_an_event() -> Story:
    return a_clean_story().note("watcher", "info", "log", value="the key is canary-4711")


DOCTORED = [
    ("C1", an_answered_push_without_a_task),
    ("C2", one_key_with_two_tasks),
    ("C2", a_retry_that_made_a_second_row),
    ("C3", a_task_with_two_ends),
    ("C3", a_task_whose_row_differs_from_the_feed),
    ("C3", a_task_that_lives_on_after_its_end),
    ("C4", a_result_of_another_generation),
    ("C4", a_result_that_no_run_had),
    ("C5", a_lost_task),
    ("C5", a_task_from_nowhere),
    ("C6", a_generation_that_started_twice),
    ("C7", an_older_run_that_decided_the_task),
    ("C7", an_older_generation_that_started_later),
    ("C8", a_watcher_that_missed_an_event),
    ("C8", a_watcher_that_saw_one_twice),
    ("C8", two_watchers_that_saw_different_things),
    ("C8", an_event_that_is_not_in_the_log),
    ("C9", a_late_watcher_that_was_shown_the_past),
    ("C9", a_reader_that_was_shown_the_past),
    ("C10", a_start_after_a_granted_cancel),
    ("C10", an_assignment_after_a_granted_cancel),
    ("C11", a_fact_with_two_effects),
    ("C12", a_journal_that_is_not_empty),
    ("C13", a_process_that_ended_badly),
    ("C13", a_traceback_in_a_log),
    ("C14", a_hub_that_keeps_descriptors),
    ("C15", a_secret_in_an_event),
]


@pytest.mark.parametrize(
    ("rule", "doctored"), DOCTORED, ids=[f"{rule}-{one.__name__}" for rule, one in DOCTORED]
)
def test_a_doctored_history_is_refused_by_its_rule(rule: str, doctored: Any) -> None:
    verdict = doctored().judged()
    assert rule in verdict.counts, verdict


def test_each_rule_has_a_doctored_history() -> None:
    assert {rule for rule, _ in DOCTORED} == set(RULES)


def test_a_clean_history_is_accepted() -> None:
    verdict = a_clean_story().judged(EVERYTHING._replace(is_hub_only=True))
    assert verdict.is_clean, verdict.violations
    assert verdict.figures["tasks"] == 3
    assert verdict.figures["waste"] == 0


def test_a_second_execution_is_waste_or_a_violation_by_what_was_harmed() -> None:
    story = Story().push("k1", "t1")
    for gen in (1, 2):
        story.note(f"run:{gen}", "ok", "start", task="t1", gen=gen)
    story.note("run:2", "ok", "finish", task="t1", gen=2, value=7)
    story.event("task_complete", "t1", 2).row("k1", "t1", gen=2, result=7)
    assert story.judged().is_clean
    assert story.judged().figures["waste"] == 1
    assert story.judged(EVERYTHING._replace(is_hub_only=True)).counts == {"C6": 1}


def test_a_push_that_may_have_happened_is_reported_and_not_judged() -> None:
    story = Story().note("pusher", "invoke", "push", key="k1").note("pusher", "info", "push", key="k1")
    assert story.judged().is_clean
    story.row("k1", "t1", state="failed")
    assert story.judged().is_clean
    assert story.judged().figures["recovered"] == 1


def test_a_reset_explains_a_gap_once() -> None:
    story = Story().event("task_queued", "t1", 0, ("watcher",))
    story.note("watcher", "info", "event", value=["e2:40", "reset"])
    story.note("watcher", "info", "event", value=["e2:40", "snapshot"])
    story.note("watcher", "ok", "event", task="t2", gen=0, value=["e2:41", "task_queued"])
    assert story.judged(Scope()).is_clean
    story.note("watcher", "ok", "event", task="t2", gen=0, value=["e2:43", "task_assigned"])
    assert story.judged(Scope()).counts == {"C8": 1}


def test_a_live_system_is_not_accused_of_open_tasks() -> None:
    story = Story().push("k1", "t1").row("k1", "t1", state="running")
    assert story.judged(Scope()).is_clean
    assert story.judged(Scope(is_drained=True)).counts == {"C5": 1}


def test_a_process_that_starts_anew_may_miss_what_was_committed_as_it_died() -> None:
    """A hub that is killed between commit and telling has not noted the last events of its life."""
    hub = [Record(t=n, p="hub", n=n, type="ok", f="event", value=[f"e1:{n}", "agent_joined"]) for n in (1, 2)]
    hub.append(Record(t=9, p="hub", n=1, type="ok", f="event", value=["e1:6", "agent_joined"]))
    assert check(hub).is_clean
    hub.append(Record(t=10, p="hub", n=2, type="ok", f="event", value=["e1:8", "agent_joined"]))
    assert check(hub).counts == {"C8": 1}


def test_all_violations_are_counted_and_some_are_kept() -> None:
    story = Story()
    for n in range(VIOLATIONS_KEPT_MAX + 5):
        story.note(f"sidecar:{n}", "ok", "drain", value=1)
    verdict = story.judged()
    assert verdict.counts == {"C12": VIOLATIONS_KEPT_MAX + 5}
    assert len(verdict.violations) == VIOLATIONS_KEPT_MAX


def test_a_written_history_is_read_back_in_the_order_of_its_time(tmp_path: Path) -> None:
    first, second = History(tmp_path / "a", "a"), History(tmp_path / "b", "b")
    for n in range(3):
        first.note("ok", "push", task=f"t{n}")
        second.note("fail", "cancel", task=f"t{n}")
    first.close()
    second.close()
    with (tmp_path / "b").open("ab") as torn:
        torn.write(b'{"t": 12, "p": "b", "n"')
    records = read([tmp_path / "b", tmp_path / "a"])
    assert [record.p for record in records] == ["a", "b"] * 3
    assert [record.task for record in records] == ["t0", "t0", "t1", "t1", "t2", "t2"]
