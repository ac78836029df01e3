"""People in a run: asked once, waited for, and never asked again for what they said."""

import threading
from typing import Any

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crewai.hooks.dispatch import HookAborted

from crews import people as asking
from crews.line import Line
from crews.order import Answer
from crews.people import People, TooManyQuestions
from crews.stopping import Stopping
from protocol.ids import TaskId, question_id
from sidecar.runners import reported
from tests.crews.rig import Rig, order
from tests.waiting import until_true

TASK = TaskId("task-00000000000000aa")


class Noted(Line):
    """A line that only remembers."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.lines: list[dict[str, Any]] = []

    def say(self, **members: object) -> bool:
        self.lines.append(dict(members))
        return True

    @property
    def asked(self) -> list[str]:
        return [line["ask"] for line in self.lines if "ask" in line]


def people(*known: Answer) -> tuple[People, Noted, Stopping]:
    line, stopping = Noted(), Stopping()
    return People(line, stopping, TASK, known), line, stopping


def test_an_answer_reaches_the_question_it_belongs_to() -> None:
    somebody, line, _ = people()
    said: dict[str, Any] = {}

    def ask(prompt: str) -> None:
        said[prompt] = somebody.ask(prompt)

    threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in ("Red?", "Blue?")]
    for thread in threads:
        thread.start()
    until_true(lambda: len(line.asked) == 2, "both are asked")
    somebody.answered(question_id(TASK, 1, "Blue?"), "blue")
    somebody.answered("task-00000000000000aa-7-nobody", "lost")
    somebody.answered(question_id(TASK, 1, "Red?"), {"shade": 3})
    for thread in threads:
        thread.join(30)
    assert said == {"Red?": {"shade": 3}, "Blue?": "blue"}


def test_the_same_question_asked_twice_has_two_ids_and_takes_two_answers() -> None:
    first, second = question_id(TASK, 1, "Again?"), question_id(TASK, 2, "Again?")
    somebody, line, _ = people(Answer(request_id=second, value="two"), Answer(request_id=first, value="one"))
    assert [somebody.ask("Again?"), somebody.ask("Again?")] == ["one", "two"]
    assert line.asked == ["Again?", "Again?"], "the sidecar counts the questions too, and so must hear them"


def test_a_stop_wakes_whoever_waits_and_nobody_asks_after_it() -> None:
    somebody, line, stopping = people()
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            somebody.ask("Go on?")
        except HookAborted as aborted:
            raised.append(aborted)

    thread = threading.Thread(target=ask)
    thread.start()
    until_true(lambda: line.asked, "it is asked")
    stopping.ask("cancel")
    thread.join(30)
    assert raised
    with pytest.raises(HookAborted):
        somebody.ask("And now?")
    assert line.asked == ["Go on?"]


def test_a_crew_that_asks_without_end_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "QUESTIONS_MAX", 3)
    known = [Answer(request_id=question_id(TASK, n, "Again?"), value=n) for n in range(1, 5)]
    somebody, line, _ = people(*known)
    assert [somebody.ask("Again?") for _ in range(3)] == [1, 2, 3]
    with pytest.raises(TooManyQuestions, match="3 questions of one run are enough"):
        somebody.ask("Again?")
    assert len(line.asked) == 3


def test_the_run_stops_asking_before_the_sidecar_stops_listening() -> None:
    """Else it would wait for an answer that nobody was asked for."""
    assert asking.QUESTIONS_MAX <= reported.QUESTIONS_MAX


def test_a_question_that_is_too_long_is_cut_before_its_id_is_made() -> None:
    """Both ends make the id from the text that was said."""
    longest = "x" * asking.PROMPT_LENGTH_MAX
    cut = longest[:-1] + "…"
    known = [Answer(request_id=question_id(TASK, 1, text), value=text[-1]) for text in (longest, cut)]
    somebody, line, _ = people(*known)
    assert somebody.ask(longest) == "x"
    assert somebody.ask(longest + "x") == "…"
    assert line.asked == [longest, cut]


def test_a_person_reviews_an_answer_until_it_is_accepted(rig: Rig) -> None:
    """`human_input: true`: two rounds, the second with what was asked for; then an empty answer."""
    script = {
        "Researcher": [{"say": "Short."}, {"say": "Longer than that."}],
        "*": [{"say": "Done."}],
    }
    run = rig.start(order(script, settings={"tasks": {"research_task": {"human_input": True}}}))
    first = run.question()
    assert first["ask"].endswith("\n\nShort.")
    assert "Researcher has finished research_task" in first["ask"]
    assert first["schema"]["type"] == "string"
    run.say(request_id=question_id(TASK, 1, first["ask"]), value="make it longer")
    second = run.question(2)
    assert second["ask"].endswith("\n\nLonger than that.")
    run.say(request_id=question_id(TASK, 1, second["ask"]), value="")
    assert run.ended() == 0, run.output
    assert run.said("step")[0]["output"]["raw"] == "Longer than that."
    told = [(line["data"]["what"], line["log"]) for line in run.logged("question")]
    assert [what for what, _ in told] == ["asked", "answered", "asked", "answered"]
    assert told[1][1] == "make it longer"


def test_an_answer_of_an_earlier_attempt_is_used_without_waiting(rig: Rig) -> None:
    known = [{"request_id": question_id(TASK, 1, "Which colour?"), "value": "blue"}]
    script = {"Researcher": [{"ask": "Which colour?"}, {"say": "It is blue."}], "*": [{"say": "Done."}]}
    run = rig.run(order(script, attempt=2, answers=known))
    assert run.ended() == 0, run.output
    assert run.logged("question")[-1]["log"] == "blue"
