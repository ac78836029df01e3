"""The script of an offline model: its grammar, and sentences that say where it is wrong."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from crews.script import SCRIPT_BYTES_MAX, TURNS_MAX, BadScript, Tokens, Turn, load

SHIPPED = Path(__file__).parent.parent.parent / "plugins"


def turn(raw: Any) -> Turn:
    script = load({"writer": [raw]})
    return script.turn("writer", 0)


def test_a_turn_of_each_kind_is_read() -> None:
    assert turn("Fine.").say == "Fine."
    assert turn({"say": {"summary": "x"}}).say == {"summary": "x"}
    assert turn({"say": ""}).actions == ["say"]
    assert turn({"tool": "t", "with": {"a": 1}}).arguments == {"a": 1}
    assert turn({"ask": "Sure?", "choices": ["yes", "no"]}).choices == ["yes", "no"]
    assert turn({"fail": "sorry"}).fail == "sorry"
    assert turn({"stall": True, "deaf": True}).deaf
    assert turn({"crash": "SEGV"}).crash == "SEGV"
    assert turn({"crash": 0}).crash == 0
    assert turn({"say": "x", "usage": {"tokens_in": 3}}).usage == Tokens(3, 0)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({}, "a turn has exactly one of say, tool, ask, fail, stall, crash; this one has none"),
        ({"say": "x", "tool": "t"}, "this one has say and tool"),
        ({"say": "x", "chunk": 3}, "`chunk`"),
        ({"say": "x", "chunks": "many"}, "chunks"),
        ({"say": "x", "chunks": -1}, "are not negative"),
        ({"say": "x", "pause_ms": -1}, "are not negative"),
        ({"say": "x", "with": {"a": 1}}, "this turn uses no tool"),
        ({"say": "x", "choices": ["a"]}, "this turn asks nothing"),
        ({"crash": "HUP"}, "crash by one of SEGV, KILL"),
        (7, "got `int`"),
        (None, "got `null`"),
    ],
)
def test_a_wrong_turn_is_refused_with_its_role_and_number(raw: Any, sentence: str) -> None:
    with pytest.raises(BadScript) as refused:
        load({"writer": ["Fine.", raw]})
    assert str(refused.value).startswith("Role 'writer', turn 2: ")
    assert sentence in str(refused.value)


@pytest.mark.parametrize("turns", [[], None, "Fine.", {"say": "x"}])
def test_a_role_without_a_list_of_turns_is_refused(turns: Any) -> None:
    with pytest.raises(BadScript, match="Role 'writer': give it a list with at least one turn"):
        load({"writer": turns})


def test_turns_without_end_are_refused_at_their_bound() -> None:
    assert load({"writer": ["x"] * TURNS_MAX}).roles == ("writer",)
    with pytest.raises(BadScript, match=f"{TURNS_MAX} turns are the most"):
        load({"writer": ["x"] * (TURNS_MAX + 1)})


def test_the_last_turn_repeats() -> None:
    script = load({"writer": ["one", "two"]})
    assert [script.turn("writer", number).say for number in range(4)] == ["one", "two", "two", "two"]


def test_a_turn_of_one_attempt_is_passed_over_in_the_others() -> None:
    script = load({"writer": [{"crash": "KILL", "attempt": 1}, "Fine."]})
    assert script.turn("writer", 0, attempt=1).crash == "KILL"
    assert script.turn("writer", 0, attempt=2).say == "Fine."


def test_a_role_with_no_turn_for_the_attempt_is_an_error() -> None:
    script = load({"writer": [{"crash": "KILL", "attempt": 1}]})
    with pytest.raises(BadScript, match="no turn of the role 'writer' for attempt 2"):
        script.turn("writer", 0, attempt=2)


def test_a_role_is_found_whatever_its_case_and_spaces() -> None:
    script = load({"Senior  Writer\n": ["x"], "*": ["y"]})
    assert script.role_of("senior writer ") == "senior writer"
    assert script.role_of("unknown", "Senior Writer") == "senior writer"
    assert script.role_of("unknown") == "*"
    assert script.role_of("") == "*"


def test_an_unknown_role_is_an_error_that_names_it_and_the_known_ones() -> None:
    script = load({"writer": ["x"], "reviewer": ["y"]})
    with pytest.raises(BadScript) as refused:
        script.role_of("Editor", "Editor")
    told = str(refused.value)
    assert told == "The offline script has no turns for the role 'Editor'; it knows: writer, reviewer"
    with pytest.raises(BadScript, match="an agent without a role; it knows: none"):
        load({}).role_of("")


def test_a_file_is_read_like_a_mapping(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="crewai is not installed")
    place = tmp_path / "offline.yaml"
    place.write_text("Writer:\n  - Fine.\n  - say: {a: 1}\n", encoding="utf-8")
    assert load(place).turn("writer", 1).say == {"a": 1}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("- a\n- b\n", "maps each agent's role to a list of turns"),
        ("", "maps each agent's role to a list of turns"),
        ("a: [", "is no YAML"),
        ("a: !!python/object/apply:os.getcwd []", "is no YAML"),
        ("x" * (SCRIPT_BYTES_MAX + 1), "is longer than"),
    ],
)
def test_a_file_that_is_no_script_is_refused(tmp_path: Path, content: str, sentence: str) -> None:
    pytest.importorskip("yaml", reason="crewai is not installed")
    place = tmp_path / "offline.yaml"
    place.write_text(content, encoding="utf-8")
    with pytest.raises(BadScript, match=sentence):
        load(place)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="crewai is not installed")
    with pytest.raises(BadScript, match=r"offline\.yaml cannot be read: No such file"):
        load(tmp_path / "offline.yaml")


def test_every_shipped_plugin_has_a_script_that_can_be_played() -> None:
    pytest.importorskip("yaml", reason="crewai is not installed")
    scripts = sorted(SHIPPED.glob("*/offline.yaml"))
    assert len(scripts) >= 2
    for place in scripts:
        assert load(place).roles


def test_a_turn_says_json_as_it_was_written() -> None:
    assert msgspec.json.encode(turn({"say": [1, {"a": None}]}).say) == b'[1,{"a":null}]'
