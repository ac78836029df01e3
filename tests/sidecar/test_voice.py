"""What a run says at a terminal: steps once, anything harmless, and a result that may be anything."""

from __future__ import annotations

import json

import pytest

from console.output import Output
from protocol.ids import RequestId
from sidecar.commands.voice import Voice, value_of
from sidecar.runners.contract import (
    Asked,
    Failed,
    Finished,
    Logged,
    Outcome,
    Progress,
    Proof,
    Report,
    StepDone,
    Stopped,
    StopSignal,
    Used,
)


def told(
    capsys: pytest.CaptureFixture[str],
    *said: Report,
    end: Outcome | None = None,
    as_json: bool = False,
    quiet: bool = False,
) -> tuple[str, str]:
    with Voice(Output(as_json=as_json, quiet=quiet)) as voice:
        voice.begin()
        for report in said:
            voice.report(report)
        if end is not None:
            voice.say_outcome(end)
    found = capsys.readouterr()
    return found.out, found.err


def test_progress_is_a_line_until_steps_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    _, err = told(
        capsys,
        Progress(progress=5, message="begins"),
        Progress(progress=6, message="begins"),
        Logged(text="Task 1/1: x", kind="task", data=b'{"id": 1}'),
        Progress(progress=50, message="Task 1/1: x"),
        Logged(text="deeper", kind="agent", data=b'{"id": 2, "parent": 1}'),
        StepDone(index=0, output=b"1"),
    )
    assert err.splitlines() == ["  5 %  begins", "Task 1/1: x", "  deeper"]


def test_a_run_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = told(
        capsys,
        Logged(text="\x1b[2Jgone", kind="tool"),
        Progress(progress=1, message="\x1b]0;mine\x07"),
        end=Finished(result=b'"\\u001b[31mred"'),
    )
    assert "\x1b" not in out + err
    assert "\x07" not in err


@pytest.mark.parametrize("data", [b"{", b'"\\ud800"', b"\xff", b"[" * 100_000, b"[1]"])
def test_what_is_no_json_after_all_does_no_harm(capsys: pytest.CaptureFixture[str], data: bytes) -> None:
    out, err = told(capsys, Logged(text="a line", data=data), end=Finished(result=data), as_json=True)
    assert "a line" in err
    assert json.loads(out)["state"] == "completed"


def test_each_end_is_one_record_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = told(capsys, Used(tokens_in=1, tokens_out=2, model="m"), end=Finished(result=b"7"), as_json=True)
    assert json.loads(out) == {
        "state": "completed",
        "result": 7,
        "usage": {"tokens_in": 1, "tokens_out": 2, "model": "m", "cost": None},
    }
    out, err = told(capsys, end=Failed(error="no luck", cause="work"), as_json=True)
    assert json.loads(out) == {"state": "failed", "error": "no luck", "cause": "work"}
    assert err == "no luck\n"
    proof = Proof(signals=("TERM",), reaped=3)
    out, err = told(capsys, end=Stopped(how="terminated", proof=proof), as_json=True)
    assert json.loads(out)["proof"] == {"signals": ["TERM"], "reaped": 3, "survivors": 0}
    assert err == "stopped: terminated by TERM (3 reaped, 0 left)\n"


def test_a_quiet_one_says_the_result_and_an_error_only(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = told(capsys, Logged(text="line"), end=Finished(result=b'"it"'), quiet=True)
    assert (out, err) == ("it\n", "")
    out, err = told(capsys, Logged(text="line"), end=Failed(error="no luck"), quiet=True)
    assert (out, err) == ("", "no luck\n")


async def test_lines_of_a_pipe_wait_for_their_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """One descriptor, three lines at once, two questions one after the other."""
    import os

    ours, theirs = os.pipe()
    kept = os.dup(0)
    os.dup2(ours, 0)
    os.write(theirs, b"red\nno\nyes\n")
    os.close(theirs)
    stop = StopSignal()
    try:
        with Voice(Output(as_json=True, quiet=True)) as voice:
            answers = voice.listen_for(stop)
            voice.report(Asked(request_id=RequestId("1"), prompt="which?", schema=b'{"type": "string"}'))
            assert await answers.wait(RequestId("1")) == b'"red"'
            choice = b'{"enum": ["yes", "never"]}'
            voice.report(Asked(request_id=RequestId("2"), prompt="sure?", schema=choice))
            assert await answers.wait(RequestId("2")) == b'"yes"'
            assert not stop.is_set
            voice.report(Asked(request_id=RequestId("3"), prompt="and now?"))
            await stop.wait()
            assert voice.is_unanswered
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(ours)


def test_a_value_is_its_json_or_its_text() -> None:
    assert value_of(None) is None
    assert value_of(b'{"a": 1}') == {"a": 1}
    assert value_of(b"{oh") == "{oh"
