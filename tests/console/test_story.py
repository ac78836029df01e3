"""What a terminal makes of a run's activity."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from console.story import DEPTH_MAX, SPOKEN_LENGTH_MAX, STEPS_KEPT, TEXT_LENGTH_MAX, Story, told


def entry(kind: str, text: str, **about: Any) -> dict[str, Any]:
    return {"kind": kind, "text": text, "level": "info", "data": about}


RUN = (
    entry("crew", "Crew digest", id=1, parent=None),
    entry("task", "Task 1/2: research_task", id=2, parent=1),
    entry("agent", "Researcher begins", id=3, parent=2),
    entry("tool", "Researcher uses search", id=4, parent=3),
    entry("chunk", "The news ", agent="Researcher", call="c1", parent=3),
    entry("chunk", "is\x1b[2J good.", agent="Researcher", call="c1", parent=3),
    entry("usage", "12 tokens", id=5, parent=3),
    entry("task", "Task 2/2: write_task", id=6, parent=1),
)


def lines_of(*entries: dict[str, Any]) -> list[str]:
    story = Story()
    return [step.indented for one in entries if (step := story.heard(one)) is not None]


def test_steps_are_indented_under_whose_step_they_are() -> None:
    assert lines_of(*RUN) == [
        "Crew digest",
        "  Task 1/2: research_task",
        "    Researcher begins",
        "      Researcher uses search",
        "  Task 2/2: write_task",
    ]


def test_a_story_that_is_joined_in_the_middle_is_indented_by_kind() -> None:
    late = RUN[2:]
    assert lines_of(*late) == [
        "    Researcher begins",
        "      Researcher uses search",
        "  Task 2/2: write_task",
    ]


def test_what_a_model_says_stands_at_the_foot_and_is_no_line_of_its_own() -> None:
    story = Story()
    for one in RUN[:6]:
        story.heard(one)
    assert story.spoken == "Researcher: The news is\x1b[2J good."
    assert story.spoken_length == 21
    story.heard(entry("chunk", "x" * 10_000, agent="Writer", call="c2"))
    assert story.spoken == "Writer: " + "x" * SPOKEN_LENGTH_MAX
    story.heard(RUN[-1])
    assert story.spoken == ""


def test_a_whole_log_tells_speech_in_one_piece_and_in_its_place() -> None:
    steps = list(told(RUN))
    assert [step.indented for step in steps][4] == "      Researcher: The news is\\x1b[2J good."
    assert len(steps) == 6
    thought = entry("chunk", "hm", agent="A", call=1, thought=True)
    assert [step.text for step in told([thought, entry("chunk", "yes", agent="A", call=1)])] == [
        "A: hm",
        "A: yes",
    ]
    two = [entry("chunk", "a", agent="A", call=1), entry("chunk", "b", agent="B", call=2)]
    assert [step.text for step in told(two)] == ["A: a", "B: b"]


def test_levels_and_kinds_have_their_tones() -> None:
    story = Story()
    assert getattr(story.heard({"text": "x", "level": "error", "kind": "tool"}), "tone", None) == "bad"
    assert getattr(story.heard({"text": "x", "kind": "question"}), "tone", None) == "warn"
    assert getattr(story.heard({"text": "x", "kind": "output"}), "tone", None) == "soft"


def test_text_of_agents_is_harmless_short_and_on_one_line() -> None:
    (line,) = lines_of(entry("tool", "a\nb\x1b]0;owned\x07 " + "w" * 500, id=1))
    assert "\x1b" not in line
    assert "\n" not in line
    assert len(line.strip()) == TEXT_LENGTH_MAX


def test_depth_and_memory_are_bounded() -> None:
    chain = [entry("agent", "deeper", id=n, parent=n - 1 if n else None) for n in range(STEPS_KEPT + 500)]
    story = Story()
    depths = [step.depth for one in chain if (step := story.heard(one)) is not None]
    assert max(depths) == DEPTH_MAX
    assert len(story._depths) == STEPS_KEPT


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "kind": st.sampled_from(["crew", "task", "tool", "chunk", "usage"]) | anything,
                "text": anything,
                "level": anything,
                "data": st.fixed_dictionaries(
                    {}, optional={"id": anything, "parent": anything, "call": anything, "agent": anything}
                )
                | anything,
            },
        ),
        max_size=8,
    )
)
def test_no_entry_of_an_agent_can_break_the_story(entries: list[dict[str, Any]]) -> None:
    story = Story()
    for one in entries:
        story.heard(one)
    assert len(list(told(entries))) <= len(entries)
