"""How lines of somebody else's program are read by rules: what each part of a rule does, and its bounds."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import TaskId
from sidecar.runners.commands.dialects import CALLS_MAX, GATHERED_LENGTH_MAX, LINE_BYTES_MAX, Reading
from sidecar.runners.commands.presets import PRESETS
from sidecar.runners.commands.rules import EACH_MAX, TEXT_LENGTH_MAX, VALUE_LENGTH_MAX, Rule, Usage, matching
from sidecar.runners.contract import Logged, Progress, Report, StepDone, Used
from sidecar.runners.output import Output
from sidecar.runners.reported import Said


class Heard:
    """What one run's lines became."""

    def __init__(self, *rules: Rule) -> None:
        self.reports: list[Report] = []
        self.said = Said(TaskId("task-00000000000000aa"), self.reports.append)
        self.output = Output(self.reports.append, 64 * 1024)
        self.reading = Reading(rules, {}, self.said, self.output)

    def lines(self, *lines: Any) -> Heard:
        for line in lines:
            self.reading.heard((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        return self

    def end(self) -> Heard:
        self.reading.finish()
        self.said.finish()
        self.output.finish()
        return self

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.reports if isinstance(one, Logged)]

    @property
    def usage(self) -> Used:
        return [one for one in self.reports if isinstance(one, Used)][-1]


def test_a_rule_is_about_lines_that_look_like_it_and_of_the_same_kind() -> None:
    rule = Rule(when={"type": ("a", "b"), "deep.er": True}, log="{x|y}")
    heard = Heard(rule).lines(
        *(
            {"type": one, "deep": {"er": two}, "y": one}
            for one in ("a", "b", "c", 1)
            for two in (True, 1, "true")
        ),
    )
    assert heard.texts == ["a", "b"]


def test_a_rule_without_a_condition_is_about_every_line() -> None:
    assert Heard(Rule(log="{n}")).lines({"n": 1}, {"n": [2, {"a": 3}]}, {}).texts == ["1", '[2,{"a":3}]']


def test_each_looks_at_the_items_of_a_list_and_up_to_a_bound() -> None:
    rule = Rule(each="many", where={"kind": "x"}, log="{name} of {whole}")
    line = {
        "whole": "w",
        "many": [{"kind": "x", "name": "1"}, {"kind": "y", "name": "2"}, "z", {"kind": "x"}],
    }
    assert Heard(rule).lines(line).texts == ["1 of w", "of w"]
    crowd = {"many": [{"kind": "x", "name": "n"}] * (EACH_MAX + 1)}
    assert len(list(matching((rule,), crowd))) == EACH_MAX
    assert Heard(rule).lines({"many": {"kind": "x"}}, {"many": None}).texts == []


def test_what_a_template_makes_is_bounded() -> None:
    heard = Heard(Rule(log="{text}"), Rule(log="{list}")).lines(
        {"text": "t" * 10_000, "list": list(range(5000))}
    )
    assert [len(text) for text in heard.texts] == [TEXT_LENGTH_MAX, VALUE_LENGTH_MAX]


def test_a_value_of_a_task_is_never_a_template() -> None:
    assert Heard(Rule(log="{a} {b}")).lines({"a": "{b}", "b": "\\1"}).texts == ["{b} \\1"]


def test_tokens_are_the_whole_a_sum_or_by_message() -> None:
    whole = Rule(usage=Usage(tokens_in=("a", "b"), tokens_out=("c",), cost="d", model="m"))
    heard = Heard(whole).lines({"a": 1, "b": 2, "c": 3, "d": 0.5, "m": "x"}, {"a": 5, "b": True, "c": -1})
    assert heard.usage == Used(tokens_in=5, tokens_out=0, cost=0.5, model="x")
    added = Rule(usage=Usage(tokens_in=("a",), adds=True))
    assert Heard(added).lines({"a": 1}, {"a": 2}, {"a": "3"}).usage.tokens_in == 3
    by_message = Rule(usage=Usage(tokens_in=("a",), of="id"))
    lines = ({"id": "1", "a": 5}, {"id": "1", "a": 7}, {"id": "2", "a": 1}, {"a": 2})
    assert Heard(by_message).lines(*lines).usage.tokens_in == 10


def test_tokens_of_very_many_messages_are_still_summed() -> None:
    heard = Heard(Rule(usage=Usage(tokens_in=("a",), of="id")))
    heard.lines(*({"id": str(number), "a": 1} for number in range(CALLS_MAX + 5)))
    assert heard.usage.tokens_in == CALLS_MAX + 5
    assert len(heard.reading._tally._calls) == CALLS_MAX


def test_turns_come_nearer_to_70_and_never_reach_it() -> None:
    heard = Heard(Rule(turn=True)).lines(*({} for _ in range(200)))
    percents = [one.progress or 0 for one in heard.reports if isinstance(one, Progress)]
    assert percents == sorted(percents)
    assert percents[0] > 30
    assert percents[-1] <= 70


def test_an_answer_in_pieces_is_what_came_after_everything_else() -> None:
    rules = (
        Rule(when={"t": "p"}, gather="x"),
        Rule(when={"t": "end"}, result={"all": "@gathered", "no": "y"}),
    )
    heard = Heard(*rules, Rule(when={"t": "tool"}, log="tool"))
    heard.lines(
        {"t": "p", "x": "dropped"}, {"t": "tool"}, {"t": "p", "x": "ke"}, {"t": "p", "x": "pt"}, {"t": "end"}
    )
    assert heard.said.result == b'{"all":"kept"}'
    assert heard.texts == ["dropped", "tool", "kept"]
    many = Heard(*rules).lines(*({"t": "p", "x": "x" * 60_000} for _ in range(5)), {"t": "end"})
    assert many.said.result is not None
    assert len(json.loads(many.said.result)["all"]) == GATHERED_LENGTH_MAX


def test_a_session_is_kept_once_and_again_when_it_changes() -> None:
    heard = Heard(Rule(session="id")).lines({"id": "a"}, {"id": "a"}, {"id": 5}, {"id": ""}, {"id": "b"})
    steps = [one for one in heard.reports if isinstance(one, StepDone)]
    assert [(one.index, json.loads(one.output)["session"]) for one in steps] == [(0, "a"), (0, "b")]


def test_lines_are_whole_whatever_the_pieces_and_the_last_may_lack_its_newline() -> None:
    heard = Heard(Rule(log="{n}"))
    for byte in b'{"n": "one"}\r\n\n  \n{"n": "two"}\ntext\xff\n{"n": "three"}':
        heard.reading.heard(bytes([byte]))
    heard.end()
    assert heard.texts == ["one", "two", "text\ufffd", "three"]


def test_a_line_beyond_the_bound_is_skipped_and_that_is_said() -> None:
    heard = Heard(Rule(log="{n}"))
    for _ in range(5):
        heard.reading.heard(b"x" * (LINE_BYTES_MAX // 4))
    assert len(heard.reading._open) <= LINE_BYTES_MAX
    heard.lines(b"", {"n": "next"})
    assert heard.texts == [f"a line of {5 * (LINE_BYTES_MAX // 4)} bytes was skipped", "next"]


def test_lines_that_no_rule_reads_are_counted_and_said_once() -> None:
    heard = Heard(Rule(when={"t": "a"}, log="{x}")).lines({"t": "b"}, {"t": "c"}, {"t": "a", "x": "1"}).end()
    assert heard.texts == ["1", "2 JSON lines were of a kind that no rule reads"]


def test_an_error_is_the_rules_own_and_says_whether_trying_again_helps() -> None:
    rules = (
        Rule(when={"ok": False}, error="It broke: {why}", retryable=False),
        Rule(when={"ok": None}, error="{x}"),
    )
    heard = Heard(*rules).lines({"ok": False, "why": "no disk"})
    assert (heard.said.error, heard.said.retryable) == ("It broke: no disk", False)
    assert Heard(*rules).lines({}).said.error == "the agent failed and said no reason"


WORDS = [
    "type",
    "system",
    "init",
    "assistant",
    "user",
    "result",
    "message",
    "content",
    "item",
    "usage",
    "error",
]
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(WORDS)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(WORDS), values, max_size=5)


@given(st.lists(objects.map(lambda one: json.dumps(one).encode()) | st.binary(max_size=30), max_size=6))
def test_no_line_of_an_agent_can_break_its_reading(lines: list[bytes]) -> None:
    for preset in PRESETS.values():
        heard = Heard(*preset.rules).lines(*lines).end()
        assert len(heard.reports) <= 10 + 10 * sum(
            1 + line.count(b"\n") + 4 * line.count(b"{") for line in lines
        )


def test_a_line_that_is_deeper_than_any_reader_is_only_text() -> None:
    heard = Heard(*PRESETS["claude-code"].rules).lines(b'{"type":' + b"[" * 100_000).end()
    assert len(heard.texts) >= 1
