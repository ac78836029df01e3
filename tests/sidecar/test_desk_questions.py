"""The desk between a run that asks and a hub that takes one question at a time; the bill of a lost link."""

from __future__ import annotations

from protocol import frames as f
from protocol.ids import RequestId, question_id
from sidecar.effects import GiveAnswer
from sidecar.events import LinkLost
from sidecar.runners.contract import Asked, Failed, Logged, Used
from tests.sidecar.dialogue import Dialogue, raw, task


def asked(prompt: str) -> Asked:
    return Asked(request_id=question_id(task(1), 1, prompt), prompt=prompt)


def given(question: Asked, value: str = '"red"') -> f.TaskInput:
    return f.TaskInput(task_id=task(1), request_id=question.request_id, value=raw(value))


def asked_of_the_hub(talk: Dialogue) -> list[str]:
    return [fact.prompt for fact in talk.facts if isinstance(fact, f.InputRequired)]


def test_what_is_asked_beside_an_open_question_waits_for_its_turn(talk: Dialogue) -> None:
    """A hub refuses a second question of one run; it was asked for nothing, and its run waited for ever."""
    colour, size = asked("which colour?"), asked("which size?")
    talk.assign(1)
    talk.report(1, colour)
    assert asked_of_the_hub(talk) == ["which colour?"]
    talk.report(1, size)
    assert talk.facts == []
    talk.hear(given(size))
    assert (talk.records, talk.effects) == ([], []), "nobody can have answered it yet"
    talk.hear(given(colour))
    assert [type(fact) for fact in talk.facts] == [f.InputAck, f.InputRequired]
    assert asked_of_the_hub(talk) == ["which size?"]
    assert [effect.request_id for effect in talk.only(GiveAnswer)] == [colour.request_id]
    assert [held.state for held in talk.desk.holding()] == ["asking"]
    talk.hear(given(size))
    assert [effect.request_id for effect in talk.only(GiveAnswer)] == [size.request_id]
    assert [held.state for held in talk.desk.holding()] == ["running"]


def test_what_led_to_a_question_is_said_before_it(talk: Dialogue) -> None:
    """A person reads the steps to understand the question; a script that ends at it has the whole story."""
    talk.assign(1)
    talk.report(1, Logged(text="the first step"))
    assert [frame.text for frame in talk.said if isinstance(frame, f.TaskLog)] == ["the first step"]
    talk.report(1, Logged(text="the second step"))
    assert talk.said == [], "ten times a second and no more often"
    talk.report(1, asked("which colour?"))
    assert [type(frame) for frame in talk.said] == [f.TaskLog, f.InputRequired]


def test_what_led_to_a_question_is_kept_while_the_link_is_away(talk: Dialogue) -> None:
    talk.assign(1)
    talk.tell(LinkLost(talk.desk._draft.link_id))
    talk.report(1, Logged(text="a step"))
    talk.report(1, asked("which colour?"))
    assert talk.said == []
    assert len(talk.desk._talk._of[task(1)]._lines) == 1


def test_an_answer_of_an_earlier_attempt_is_taken_when_the_run_asks_the_same(talk: Dialogue) -> None:
    """The hub answers at once what it has kept; said again at a resume, it is taken once."""
    colour = asked("which colour?")
    talk.assign(1, generation=2, attempt=2)
    talk.report(1, colour, generation=2)
    talk.hear(given(colour))
    talk.hear(given(colour))
    assert (talk.records, talk.effects) == ([], [])
    talk.report(1, colour, generation=2)
    assert asked_of_the_hub(talk) == ["which colour?"], "asked anew by the run itself, it is asked anew"


def test_an_answer_to_what_nobody_asked_here_is_ignored(talk: Dialogue) -> None:
    talk.assign(1)
    talk.hear(f.TaskInput(task_id=task(1), request_id=RequestId(f"{task(1)}-1-00000000"), value=raw("1")))
    assert (talk.records, talk.effects) == ([], [])


def test_what_a_run_has_used_is_said_before_its_end_when_the_hub_is_back(talk: Dialogue) -> None:
    """The hub adds it to the bill while the run is still the current one."""
    talk.assign(1)
    talk.receipt_all()
    talk.tell(LinkLost(1))
    talk.report(1, Used(tokens_in=5, tokens_out=6, model="m"))
    talk.end(1, Failed(error="broken"))
    assert talk.said == []
    talk.connect()
    assert [type(frame) for frame in talk.said] == [f.TaskUsage, f.TaskFailed]
    talk.tell(LinkLost(2))
    talk.connect()
    assert [type(frame) for frame in talk.said] == [f.TaskFailed], "the bill is not sent twice"
