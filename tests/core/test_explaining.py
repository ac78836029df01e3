"""Why it is not running, and why it idles, in the words of the rules."""

from __future__ import annotations

import pytest

from hub.core import explaining
from hub.core.events import HubDrained, TaskSubmitted
from hub.core.explaining import NO_TASK_WAITS
from hub.core.task import Spec
from protocol.ids import AgentId, TaskId
from tests.core.stage import Stage


def test_an_agent_for_which_nothing_waits_says_so() -> None:
    """L25: "no worker available" with no queue and no explanation; and the same the other way round."""
    stage = Stage()
    stage.joined("a", slots=2, slot_kinds={"gpu": 1})
    stage.joined("busy")
    stage.submit(assign_to=AgentId("busy"))
    stage.joined("gone").drop()
    found = stage.board.explain_fleet(stage.now)
    assert found is not None
    assert [(one.agent_id, one.free, one.reason) for one in found.agents] == [
        ("a", {"": 2, "gpu": 1}, NO_TASK_WAITS)
    ]
    assert found.waiting == {"in_line": 0, "later": 0, "dependency": 0, "key": 0}


def test_an_idle_agent_is_held_against_the_front_of_each_line_best_first() -> None:
    stage = Stage()
    stage.joined("a")
    stage.joined("b")
    flying = [stage.submit(needed_capabilities=("flying",)) for _ in range(3)]
    meant = stage.submit(assign_to=AgentId("b"))
    stage.submit(assign_to=AgentId("b"))
    found = stage.board.explain_fleet(stage.now, AgentId("a"))
    assert found is not None
    agent = found.agents[0]
    assert [(line.task_id, line.waiting, line.rule) for line in agent.lines] == [
        (flying[0], 3, "missing_capability"),
        (TaskId(meant[:-1] + "5"), 1, "another_agent_is_meant"),
    ]
    assert agent.reason == "missing_capability"
    assert stage.board.explain_fleet(stage.now, AgentId("nobody")) is None


def test_what_waits_is_counted_by_what_it_waits_for() -> None:
    stage = Stage()
    stage.joined("a")
    first = stage.submit(concurrency_key="k", limit=1)
    stage.submit(concurrency_key="k", limit=1)
    stage.submit(run_at_wall_ms=stage.now.wall_ms + 9_000)
    stage.submit(depends_on=(first,))
    stage.submit(depends_on=(first,), run_at_wall_ms=stage.now.wall_ms + 9_000)
    stage.submit(needed_capabilities=("flying",))
    found = stage.board.explain_fleet(stage.now)
    assert found is not None
    assert found.waiting == {"in_line": 1, "later": 1, "dependency": 2, "key": 1}


def test_a_task_that_waits_for_others_names_them() -> None:
    stage = Stage()
    stage.joined("a", slots=2)
    first = stage.submit()
    second = stage.submit(depends_on=(first,))
    found = stage.board.explain(second, stage.now)
    assert found is not None
    assert (found.rule, found.waits_for) == ("waits_for_dependency", (first,))
    assert found.reason == "it waits for other tasks"
    assert [(one.agent_id, one.rule) for one in found.agents] == [("a", "waits_for_dependency")]


def test_while_the_hub_drains_an_idle_agent_says_that() -> None:
    stage = Stage()
    stage.joined("a")
    stage.tell(HubDrained())
    stage.submit()
    found = stage.board.explain_fleet(stage.now)
    assert found is not None
    assert found.agents[0].reason == "hub_is_draining"


@pytest.mark.parametrize(("agents", "lines"), [(0, 0), (1, 2)])
def test_long_answers_say_what_they_leave_out(
    monkeypatch: pytest.MonkeyPatch, agents: int, lines: int
) -> None:
    monkeypatch.setattr(explaining, "AGENTS_EXPLAINED_MAX", 2)
    monkeypatch.setattr(explaining, "LINES_EXPLAINED_MAX", 3)
    stage = Stage()
    for number in range(2 + agents):
        stage.joined(f"a{number}")
    for number in range(3 + lines):
        stage.submit(needed_capabilities=(f"c{number}",))
    found = stage.board.explain_fleet(stage.now)
    assert found is not None
    assert (len(found.agents), found.agents_left_out, found.lines_left_out) == (2, agents, lines)
    assert [len(agent.lines) for agent in found.agents] == [3, 3]


def test_between_a_push_and_the_pass_the_front_of_a_line_goes_next() -> None:
    stage = Stage()
    stage.joined("a")
    stage.board.handle(TaskSubmitted(task_id=TaskId("t"), spec=Spec()), stage.now, 0.5)
    found = stage.board.explain_fleet(stage.now)
    assert found is not None
    assert (found.agents[0].reason, found.agents[0].lines[0].rule) == ("next", None)
