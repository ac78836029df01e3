"""Who belongs to whom: by the framework's links, and by what is open where there are none."""

import pytest

from crews.lineage import LINKS_MAX, Lineage
from tests.crews.events import Stage


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "unlinked"])
def test_a_call_hangs_at_its_agent_the_agent_at_its_task_the_task_at_the_crew(linked: bool) -> None:
    stage, lineage = Stage(linked=linked), Lineage()
    crew = lineage.begin(stage.begin("crew_kickoff_started"), "crew", "c")
    task = lineage.begin(stage.begin("task_started"), "task", "t", key="T", task_id="T")
    agent = lineage.begin(stage.begin("agent_execution_started"), "agent", "a", task_id="T", agent="a")
    call = lineage.begin(stage.begin("llm_call_started"), "model", "m", key="1", task_id="T")
    assert [node.parent for node in (crew, task, agent, call)] == [None, 1, 2, 3]
    assert call.agent == "a"
    assert lineage.end(stage.end("llm_call_completed"), "model", "1") == call
    assert lineage.end(stage.end("agent_execution_completed"), "agent", "") == agent
    assert lineage.end(stage.end("task_completed"), "task", "T") == task
    assert lineage.end(stage.end("crew_kickoff_completed"), "crew") == crew


def test_what_is_inside_a_scope_that_is_not_shown_hangs_at_what_is_around_it() -> None:
    stage, lineage = Stage(), Lineage()
    lineage.begin(stage.begin("crew_kickoff_started"), "crew", "c")
    agent = lineage.begin(stage.begin("agent_execution_started"), "agent", "a")
    flow = stage.begin("flow_started")
    lineage.pass_through(flow)
    lineage.begin(stage.begin("agent_execution_started"), "agent", "somebody else meanwhile")
    call = stage.event("llm_call_started")
    call.parent_event_id = flow.event_id
    assert lineage.begin(call, "model", "m").parent == agent.number


def test_an_agent_that_was_delegated_to_hangs_at_the_tool() -> None:
    stage, lineage = Stage(), Lineage()
    lineage.begin(stage.begin("agent_execution_started"), "agent", "manager")
    tool = lineage.begin(stage.begin("tool_usage_started"), "tool", "delegate")
    assert lineage.begin(stage.begin("agent_execution_started"), "agent", "coworker").parent == tool.number


def test_tasks_that_run_at_once_keep_their_calls_where_nothing_is_linked() -> None:
    stage, lineage = Stage(linked=False), Lineage()
    lineage.begin(stage.begin("crew_kickoff_started"), "crew", "c")
    for name in ("A", "B"):
        lineage.begin(stage.event("task_started"), "task", name, key=name, task_id=name)
    for name in ("A", "B"):
        lineage.begin(stage.event("agent_execution_started"), "agent", name, task_id=name)
    call = lineage.begin(stage.event("llm_call_started"), "model", "m", key="1", task_id="A")
    above = lineage.above(stage.event("llm_call_completed"), "model", "A")
    assert above is not None
    assert (above.name, call.parent) == ("A", above.number)


def test_an_end_of_something_never_heard_of_ends_nothing() -> None:
    stage, lineage = Stage(), Lineage()
    crew = lineage.begin(stage.begin("crew_kickoff_started"), "crew", "c")
    stage.begin("task_started")
    assert lineage.end(stage.end("task_completed"), "task", "T") is None
    lineage.pass_through(stage.begin("crew_kickoff_started"))
    assert lineage.end(stage.end("crew_kickoff_completed"), "crew") is None
    assert lineage.end(stage.end("crew_kickoff_completed"), "crew") == crew


def test_a_late_child_of_something_that_has_ended_still_finds_it() -> None:
    stage, lineage = Stage(), Lineage()
    begun = stage.begin("task_started")
    task = lineage.begin(begun, "task", "t", key="T")
    lineage.end(stage.end("task_completed"), "task", "T")
    late = stage.event("tool_usage_started")
    late.parent_event_id = begun.event_id
    assert lineage.begin(late, "tool", "x").parent == task.number


def test_a_run_of_many_calls_forgets_the_oldest_links() -> None:
    stage, lineage = Stage(), Lineage()
    for number in range(LINKS_MAX + 10):
        lineage.begin(stage.begin("llm_call_started"), "model", "m", key=str(number))
        assert lineage.end(stage.end("llm_call_completed"), "model", str(number)) is not None
    assert len(lineage._links) == LINKS_MAX
    assert len(lineage._gone) == LINKS_MAX
    assert not lineage._open
