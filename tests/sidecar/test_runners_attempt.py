"""What every run shares: its clock that rests, the answers of people, and an end in steps; real processes."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from protocol.ids import RequestId, TaskId, question_id
from sidecar.runners.allowance import Allowance
from sidecar.runners.attempt import COOPERATE_MS, Attempt, Dialect, Manner, answers_of
from sidecar.runners.contract import Failed, Finished, Logged, Outcome, Proof, Report, Stopped, StopSignal
from sidecar.runners.output import Output
from sidecar.runners.process import Guard, Program
from sidecar.runners.reported import Said
from tests.sidecar.crewbench import CrewBench, crew, time_machine
from tests.sidecar.runs import order, script
from tests.waiting import until

TASK = TaskId("task-00000000000000aa")


def result_of(outcome: Outcome) -> object:
    assert isinstance(outcome, Finished), outcome
    return msgspec.json.decode(outcome.result)


def asks(*prompts: str) -> str:
    """A crew that asks one after the other and gives the answers as its result."""
    return f"""
values = []
for prompt in {list(prompts)}:
    say(ask=prompt)
    values.append(hear()['value'])
say(result=values)
"""


# ---- the clock ---------------------------------------------------------------------------------------------


async def test_an_allowance_goes_on_with_what_was_left() -> None:
    is_up: list[bool] = []
    with time_machine() as leap:
        allowance = Allowance(100_000, lambda: is_up.append(True))
        allowance.run()
        leap(40)
        allowance.rest()
        allowance.rest()
        leap(1_000)  # a person thinks
        assert 55_000 < allowance.left_ms <= 60_000
        allowance.run()
        allowance.run()
        leap(30)
        allowance.rest()
        assert 25_000 < allowance.left_ms <= 30_000
        allowance.run()
        leap(31)
        await until(lambda: is_up, "the time is up")


async def test_an_allowance_that_is_used_up_says_so_at_once() -> None:
    is_up: list[bool] = []
    Allowance(-5, lambda: is_up.append(True)).run()
    await until(lambda: is_up, "the time is up")


async def test_the_time_of_a_run_rests_while_a_person_is_asked(tmp_path: Path) -> None:
    """An hour of thinking costs nothing, and afterwards the run has what it had left, no more."""
    source = "say(ask='Go on?'); hear(); say(log='up'); hear()"
    bench = crew(tmp_path, source, timeout_ms=100_000)

    async def think(bench: CrewBench) -> None:
        await until(bench.questions, "it has asked")
        leap(3_600)
        bench.answers.put(bench.questions()[0].request_id, b'"yes"')
        await until(lambda: "up" in bench.texts(), "it goes on")
        leap(101)

    with time_machine() as leap:
        outcome = await bench.run_while(think)
    assert isinstance(outcome, Failed)
    assert outcome.error == "Workflow exceeded 100s timeout"


# ---- questions and answers ---------------------------------------------------------------------------------


async def test_the_same_question_asked_twice_is_two_questions(tmp_path: Path) -> None:
    bench = crew(tmp_path, asks("Which?", "Where?", "Which?"))

    async def reply(bench: CrewBench) -> None:
        for number in range(3):
            bench.answers.put((await bench.asked(number)).request_id, str(number).encode())

    assert result_of(await bench.run_while(reply)) == [0, 1, 2]
    assert [asked.request_id for asked in bench.questions()] == [
        question_id(TASK, 1, "Which?"),
        question_id(TASK, 1, "Where?"),
        question_id(TASK, 2, "Which?"),
    ]


async def test_an_answer_of_an_earlier_attempt_is_given_without_asking_again(tmp_path: Path) -> None:
    """Nobody is asked twice, and what is asked for the first time still goes to a person."""
    bench = crew(tmp_path, asks("Which?", "Where?"))
    kept = msgspec.json.encode([{"request_id": question_id(TASK, 1, "Which?"), "value": "blue"}])

    async def reply(bench: CrewBench) -> None:
        await until(bench.questions, "it has asked")
        bench.answers.put(question_id(TASK, 1, "Which?"), b'"never heard"')
        bench.answers.put(bench.questions()[0].request_id, b'"there"')

    wanted = order(plugin="digest", answers=kept, attempt=2)
    assert result_of(await bench.run_while(reply, wanted)) == ["blue", "there"]
    assert [asked.prompt for asked in bench.questions()] == ["Where?"]
    assert bench.texts("question") == ["answered before: Which?"]


async def test_an_answer_that_comes_before_the_question_waits_for_it(tmp_path: Path) -> None:
    bench = crew(tmp_path, asks("Which?"))
    bench.answers.put(question_id(TASK, 1, "Which?"), b'"blue"')
    assert result_of(await bench.run()) == ["blue"]
    assert not bench.questions()


@pytest.mark.parametrize("answers", [None, b"null", b'{"q":1}', b"[1]", b"\xff"])
def test_answers_of_another_form_are_no_answers(answers: bytes | None) -> None:
    assert answers_of(order(answers=answers)) == {}


# ---- being told to end -------------------------------------------------------------------------------------


async def test_a_crew_that_is_told_twice_hears_it_once_and_has_the_shorter_grace(tmp_path: Path) -> None:
    """L76: a cancel is sent again and again; it may only hurry the end."""
    source = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(log='up')
while True: say(log=hear()['stop'])
"""
    bench = crew(tmp_path, source)

    async def tell(bench: CrewBench) -> None:
        await until(lambda: "up" in bench.texts(), "the crew is up")
        bench.stop.set("cancel", 24 * 3_600_000)
        await until(lambda: "cancel" in bench.texts(), "the crew has heard")
        bench.stop.set("cancel", 24 * 3_600_000)
        bench.stop.set("revoke", 200)

    outcome = await bench.run_while(tell)
    assert isinstance(outcome, Stopped)
    assert outcome.proof.signals == ("TERM", "KILL")
    assert bench.texts() == ["up", "cancel"]


async def test_a_crew_that_does_not_hear_gets_its_term_in_the_grace(tmp_path: Path) -> None:
    """L74: after the time to cooperate, and long before the KILL."""
    bench = crew(tmp_path, "say(log='up'); time.sleep(600)")

    async def tell(bench: CrewBench) -> None:
        await until(lambda: "up" in bench.texts(), "the crew is up")
        bench.stop.set("cancel", 24 * 3_600_000)
        leap(COOPERATE_MS / 1000)

    with time_machine() as leap:
        outcome = await bench.run_while(tell)
    assert isinstance(outcome, Stopped)
    assert outcome.how == "terminated"
    assert outcome.proof.signals == ("TERM",)


async def test_an_error_that_came_before_the_stop_is_the_end(tmp_path: Path) -> None:
    """L73: one end, and the true one."""
    bench = crew(tmp_path, "say(error='no quota'); say(log='up'); hear(); os._exit(1)")

    async def tell(bench: CrewBench) -> None:
        await until(lambda: "up" in bench.texts(), "the crew is up")
        bench.stop.set("cancel", 60_000)

    outcome = await bench.run_while(tell)
    assert isinstance(outcome, Failed)
    assert outcome.error == "no quota"


async def test_a_result_stands_when_the_crew_hangs_after_it(tmp_path: Path) -> None:
    """L71, L73: over its time, and complete all the same, once."""
    bench = crew(tmp_path, "say(result='early'); say(log='up'); say(log=hear()['stop']); time.sleep(600)")

    async def jump(bench: CrewBench) -> None:
        await until(lambda: "up" in bench.texts(), "the crew is up")
        leap(301)
        await until(lambda: "timeout" in bench.texts(), "it was told")
        leap(10)

    with time_machine() as leap:
        assert result_of(await bench.run_while(jump)) == "early"
    assert not bench.left()


class Never:
    """A launcher that waits for a process that does not come."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def start(self, control_fd: int, given: Iterable[int]) -> Guard:
        self.asked.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody answers")


class Nobody:
    """A launcher that has none to give."""

    async def start(self, control_fd: int, given: Iterable[int]) -> Guard:
        raise OSError("no process for crews within 130 s")


PROGRAM = Program(argv=(), environment={}, cwd="/", marker="m")


async def test_a_run_that_waits_for_its_process_can_be_stopped() -> None:
    """L74: a cancel is not deaf while a zygote is being replaced."""
    stop, launcher = StopSignal(), Never()
    attempt = Attempt(order(), lambda _: None, Manner(time_ms=1_000, speaks=True), launcher)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(attempt.make(PROGRAM, stop, None))
        await launcher.asked.wait()
        stop.set("cancel", 60_000)
    assert running.result() == Stopped(how="cooperative", proof=Proof())


async def test_a_run_without_a_process_says_why() -> None:
    """L72, L92: it fails, may be tried again, and does not hang."""
    attempt = Attempt(order(), lambda _: None, Manner(time_ms=1_000, speaks=True), Nobody())
    outcome = await attempt.make(PROGRAM, StopSignal(), None)
    assert outcome == Failed(
        error="no process for the run: no process for crews within 130 s", cause="machine", retryable=True
    )


# ---- what is printed ---------------------------------------------------------------------------------------


class Shout:
    """A dialect in which every line that is printed is a log entry, in capitals."""

    def __init__(self, said: Said) -> None:
        self.said = said
        self.text = b""

    def heard(self, piece: bytes) -> None:
        self.text += piece

    def finish(self) -> None:
        for line in self.text.split():
            self.said.heard(msgspec.json.encode({"log": line.decode().upper()}) + b"\n")


async def test_a_dialect_reads_what_is_printed_and_nothing_else(tmp_path: Path) -> None:
    bench = script(tmp_path, "import sys; print('one'); print('two', file=sys.stderr)")
    reports: list[Report] = []

    def dialect(said: Said, output: Output) -> Dialect:
        return Shout(said)

    workspace = bench.workspaces.open()
    program = Program(argv=bench.settings.argv, environment={}, cwd="/", marker=workspace.marker)
    attempt = Attempt(order(), reports.append, Manner(time_ms=60_000), dialect=dialect)
    outcome = await attempt.make(program, StopSignal(), None)
    workspace.remove()
    assert isinstance(outcome, Finished)
    assert {(said.kind, said.text) for said in reports if isinstance(said, Logged)} == {
        ("log", "ONE"),
        ("output", "two"),
    }
    assert RequestId("x") not in attempt.answered
