"""The desk and what runs say on the way: questions, steps, and talk that may be lost but not silently."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import frames as f
from protocol import limits
from protocol.ids import Generation, RequestId, Seq
from sidecar.effects import GiveAnswer, Say
from sidecar.events import (
    LinkLost,
    LinkOpened,
    TalkDropped,
    TimePassed,
)
from sidecar.passing import LAST_LINES_MAX, LINE_MS, LINES_AHEAD_MS, LOG_EVERY_MS
from sidecar.runners.contract import (
    Asked,
    Failed,
    Finished,
    Logged,
    Progress,
    StepDone,
    Used,
)
from tests.sidecar.dialogue import AGENT, Dialogue, raw, task

# --- questions and steps ------------------------------------------------------------------------------------


def test_a_question_is_a_fact_and_its_answer_reaches_the_run_once(talk: Dialogue) -> None:
    talk.assign(1)
    request = RequestId(f"{task(1)}-1")
    talk.report(1, Asked(request_id=request, prompt="which colour?", schema=b'{"type":"string"}'))
    assert talk.facts == [
        f.InputRequired(
            task_id=task(1),
            generation=Generation(1),
            seq=Seq(2),
            request_id=request,
            prompt="which colour?",
            schema=raw('{"type":"string"}'),
        )
    ]
    given = f.TaskInput(task_id=task(1), request_id=request, value=raw('"red"'))
    talk.hear(given)
    assert [type(fact) for fact in talk.facts] == [f.InputAck]
    assert talk.only(GiveAnswer) == [GiveAnswer(task(1), Generation(1), request, b'"red"')]
    assert [held.state for held in talk.desk.holding()] == ["running"]
    talk.hear(given)
    assert (talk.records, talk.effects) == ([], [])


def test_an_answer_for_nobody_is_ignored(talk: Dialogue) -> None:
    talk.hear(f.TaskInput(task_id=task(1), request_id=RequestId("q"), value=raw("1")))
    assert (talk.records, talk.effects) == ([], [])


def test_a_finished_step_is_kept_until_there_is_no_room_for_more(talk: Dialogue) -> None:
    talk.assign(1)
    output = b'"' + b"x" * (limits.RESULT_BYTES_MAX - 2) + b'"'
    for index in range(3):
        talk.report(1, StepDone(index=index, output=output))
        assert [type(fact) for fact in talk.facts] == [f.TaskDone]
    talk.report(1, StepDone(index=3, output=b'"one more"'))
    assert (talk.facts, talk.remarks) == ([], ["step_not_kept"])


# --- passing talk -------------------------------------------------------------------------------------------


def progress(talk: Dialogue) -> list[tuple[float | None, str | None, int]]:
    return [
        (frame.progress, frame.message, frame.dropped)
        for frame in talk.said
        if isinstance(frame, f.TaskProgress)
    ]


def test_progress_is_merged_to_two_a_second_and_the_merging_is_said(talk: Dialogue) -> None:
    """L62"""
    talk.assign(1)
    talk.report(1, Progress(progress=10, message="start"))
    assert progress(talk) == [(10, "start", 0)]
    for n in range(20, 50, 10):
        talk.wait(10)
        talk.report(1, Progress(progress=n))
        assert talk.said == []
    assert talk.desk.next_deadline() == 1_500
    talk.wait(470)
    talk.tell(TimePassed())
    assert progress(talk) == [(40, None, 2)]
    assert talk.desk.next_deadline() is None


def test_merged_progress_keeps_what_the_newer_left_out(talk: Dialogue) -> None:
    talk.assign(1)
    talk.report(1, Progress(progress=10))
    talk.report(1, Progress(progress=20, message="half", execution_event=b'{"a":1}'))
    talk.report(1, Progress(progress=None))
    talk.wait(500)
    talk.tell(TimePassed())
    (frame,) = talk.said
    assert isinstance(frame, f.TaskProgress)
    assert (frame.progress, frame.message, frame.execution_event) == (20, "half", raw('{"a":1}'))


def test_the_last_words_of_a_run_go_out_before_its_end(talk: Dialogue) -> None:
    talk.assign(1)
    talk.report(1, Progress(progress=10))
    talk.report(1, Progress(progress=99))
    talk.report(1, Used(tokens_in=5, tokens_out=6, model="m", cost=0.5))
    talk.end(1)
    assert [type(frame) for frame in talk.said] == [f.TaskProgress, f.TaskUsage, f.TaskComplete]


def lines(talk: Dialogue) -> list[int]:
    return [frame.n for frame in talk.said if isinstance(frame, f.TaskLog)]


def pass_time(talk: Dialogue, ms: int) -> list[int]:
    """The numbers of the lines that go out meanwhile, each at its own time."""
    numbers = []
    end_ms = talk.now.mono_ms + ms
    while (due_ms := talk.desk.next_deadline()) is not None and due_ms <= end_ms:
        talk.wait(max(0, due_ms - talk.now.mono_ms))
        talk.tell(TimePassed())
        numbers += lines(talk)
    talk.wait(end_ms - talk.now.mono_ms)
    return numbers


def test_log_lines_are_numbered_and_a_flood_loses_the_oldest(talk: Dialogue) -> None:
    talk.assign(1)
    talk.report(1, Logged(text="first"))
    assert lines(talk) == [1]
    for n in range(300):
        talk.report(1, Logged(text=f"line {n}", data=b"{}" if n else b"{"))
        assert talk.said == []
    numbers = pass_time(talk, 60_000)
    assert numbers == list(range(46, 302))
    assert talk.desk.next_deadline() is None


def test_a_run_says_a_burst_at_once_and_then_thirty_lines_a_second(talk: Dialogue) -> None:
    """L62"""
    talk.assign(1)
    talk.report(1, Logged(text="first"))
    for n in range(200):
        talk.report(1, Logged(text=f"line {n}"))
    talk.wait(LOG_EVERY_MS)
    talk.tell(TimePassed())
    burst = lines(talk)
    assert len(burst) == LINES_AHEAD_MS // LINE_MS
    for _ in range(3):
        said = pass_time(talk, 1_000)
        assert 28 <= len(said) <= 30
        burst += said
    assert burst == list(range(2, 2 + len(burst))), "in order, and none is lost below the bound"


def test_a_quiet_run_may_say_a_burst_again(talk: Dialogue) -> None:
    talk.assign(1)
    for _ in range(2):
        talk.wait(60_000)
        talk.report(1, Logged(text="first"))
        said = len(lines(talk))
        for _ in range(60):
            talk.report(1, Logged(text="line"))
        talk.wait(LOG_EVERY_MS)
        talk.tell(TimePassed())
        assert said + len(lines(talk)) == 1 + LINES_AHEAD_MS // LINE_MS
        pass_time(talk, 10_000)


def test_of_the_last_words_the_newest_are_said(talk: Dialogue) -> None:
    talk.assign(1)
    for n in range(LAST_LINES_MAX + 50):
        talk.report(1, Logged(text=f"line {n}"))
    talk.end(1)
    assert lines(talk) == list(range(51, LAST_LINES_MAX + 51))
    assert isinstance(talk.said[-1], f.TaskComplete)


def test_facts_are_never_slowed_by_a_flood_of_talk(talk: Dialogue) -> None:
    """L7"""
    talk.assign(1)
    for n in range(1_000):
        talk.report(1, Progress(progress=n / 10))
        talk.report(1, Logged(text="noise"))
    talk.report(1, StepDone(index=0, output=b"1"))
    assert [type(frame) for frame in talk.said] == [f.TaskDone]
    talk.end(1)
    assert isinstance(talk.said[-1], f.TaskComplete)


def test_talk_while_the_hub_is_away_is_merged_and_said_when_it_is_back(talk: Dialogue) -> None:
    talk.assign(1)
    talk.tell(LinkLost(1))
    for n in (1, 2, 3):
        talk.report(1, Progress(progress=n))
        assert talk.said == []
    assert talk.desk.next_deadline() is None
    talk.connect()
    assert talk.desk.next_deadline() is not None
    talk.tell(TimePassed())
    assert progress(talk) == [(3, None, 2)]


def test_talk_that_never_reached_the_desk_is_counted_all_the_same(talk: Dialogue) -> None:
    """L62"""
    talk.assign(1)
    talk.tell(TalkDropped(task(1), Generation(1), 7))
    assert talk.effects == []
    talk.report(1, Progress(progress=5))
    assert progress(talk) == [(5, None, 7)]
    talk.report(1, Logged(text="line"))
    assert [frame.n for frame in talk.said if isinstance(frame, f.TaskLog)] == [8]
    talk.tell(TalkDropped(task(1), Generation(9), 7))
    talk.tell(TalkDropped(task(2), Generation(1), 7))
    talk.wait(500)
    talk.report(1, Progress(progress=6))
    assert progress(talk) == [(6, None, 0)]


def test_talk_of_a_run_that_is_over_is_ignored(talk: Dialogue) -> None:
    talk.assign(1)
    talk.report(1, Progress(progress=1), generation=9)
    assert talk.effects == []
    talk.end(1)
    talk.report(1, Progress(progress=1))
    assert talk.effects == []


# --- whatever a run says ------------------------------------------------------------------------------------


outcomes = st.one_of(
    st.builds(
        Finished,
        result=st.binary(max_size=40) | st.sampled_from([b"1", b'"\\u0000"', b"[" * 99 + b"]" * 99]),
        tokens_used=st.none() | st.integers(),
    ),
    st.builds(
        Failed,
        error=st.text(max_size=50) | st.just("\ud800\0" * 10_000),
        retryable=st.booleans(),
        retry_after_ms=st.none() | st.integers(),
    ),
)
reports = st.one_of(
    st.builds(
        Progress,
        progress=st.none() | st.floats() | st.integers(),
        message=st.none() | st.text(),
        execution_event=st.none() | st.binary(max_size=20),
    ),
    st.builds(Logged, text=st.text(), kind=st.text(), data=st.none() | st.binary(max_size=20)),
    st.builds(Used, tokens_in=st.integers(), tokens_out=st.integers(), cost=st.none() | st.floats()),
    st.builds(StepDone, index=st.integers(), output=st.binary(max_size=20)),
    st.builds(
        Asked, request_id=st.just(RequestId("q")), prompt=st.text(), schema=st.none() | st.binary(max_size=20)
    ),
)


@settings(max_examples=300, deadline=None)
@given(outcome=outcomes, said=st.lists(reports, max_size=4))
def test_whatever_a_run_says_a_hub_can_read_and_the_journal_can_read_back(
    outcome: Finished | Failed, said: list[Progress | Logged | Used | StepDone | Asked]
) -> None:
    from protocol.badframe import BadFrame
    from protocol.conversation import AgentConversation, HubConversation

    talk = Dialogue()
    talk.link_id = 1
    effects = list(talk.tell(LinkOpened(1)))
    agent, hub = AgentConversation(), HubConversation(is_trusted=True)
    hub.receive(agent.say(*[effect.frame for effect in effects if isinstance(effect, Say)])[0])
    hello = f.Identified(
        agent_id=AGENT, protocol_version=2, seq_received=Seq(0), frame_bytes_max=limits.FRAME_BYTES_MAX
    )
    for message in hub.say(hello):
        agent.receive(message)
    talk.hear(hello)
    talk.assign(1)
    effects = list(talk.effects)
    for report in said:
        effects += talk.report(1, report)
    effects += talk.end(1, outcome)
    for message in agent.say(*[effect.frame for effect in effects if isinstance(effect, Say)]):
        for heard in hub.receive(message):
            assert not isinstance(heard, BadFrame), heard
