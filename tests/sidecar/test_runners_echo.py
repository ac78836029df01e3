"""The echo: gives back what it was told, and misbehaves only when asked to."""

import json

import pytest

from protocol.limits import RESULT_BYTES_MAX
from sidecar.runners.contract import Failed, Finished, Outcome, Progress, Proof, Report, Stopped, StopSignal
from sidecar.runners.echo import EchoRunner
from tests.sidecar.runs import order


async def echo(metadata: object = None, **members: object) -> tuple[Outcome, list[Report]]:
    reports: list[Report] = []
    wanted = order("hello", metadata=json.dumps(metadata or {}).encode(), **members)
    return await EchoRunner().run(wanted, reports.append, StopSignal()), reports


async def test_an_echo_gives_back_the_description() -> None:
    assert await echo() == (Finished(result=b'{"echo":"hello"}'), [])


async def test_an_echo_with_other_metadata_is_not_confused() -> None:
    assert await echo({"echoes": 1, "x": "echo"}) == (Finished(result=b'{"echo":"hello"}'), [])


async def test_an_echo_reports_the_steps_that_it_was_asked_for() -> None:
    outcome, reports = await echo({"echo": {"steps": 2, "sleep_ms": 2, "result": [1]}})
    assert outcome == Finished(result=b"[1]")
    assert reports == [
        Progress(progress=50, message="step 1 of 2"),
        Progress(progress=100, message="step 2 of 2"),
    ]


async def test_an_echo_fails_when_told_to() -> None:
    """L70."""
    outcome, _ = await echo({"echo": {"fail": "no luck", "retryable": False}})
    assert outcome == Failed(error="no luck", retryable=False)


async def test_an_echo_obeys_the_time_that_is_left() -> None:
    outcome, _ = await echo({"echo": {"sleep_ms": 3_600_000}}, time_left_ms=10)
    assert outcome == Failed(error="Workflow exceeded 0.01s timeout", cause="timeout")


async def test_a_stopped_echo_ends_without_a_result() -> None:
    """L74."""
    stop = StopSignal()
    wanted = order(metadata=b'{"echo":{"steps":2,"sleep_ms":10}}')
    outcome = await EchoRunner().run(wanted, lambda _: stop.set("cancel", 1000), stop)
    assert outcome == Stopped(how="cooperative", proof=Proof())


async def test_an_echo_that_was_stopped_before_it_began_does_nothing() -> None:
    stop = StopSignal()
    stop.set("revoke", 0)
    assert isinstance(await EchoRunner().run(order(), lambda _: None, stop), Stopped)


async def test_a_result_too_big_to_travel_fails_here() -> None:
    """L60."""
    outcome, _ = await echo({"echo": {"result": "x" * RESULT_BYTES_MAX}})
    assert isinstance(outcome, Failed)
    assert outcome.cause == "result_too_big"


@pytest.mark.parametrize("wish", [{"steps": -1}, {"sleep": 1}, {"steps": 10**9}, 7])
async def test_a_wish_that_is_not_understood_is_refused_by_name(wish: object) -> None:
    """L92."""
    outcome, _ = await echo({"echo": wish})
    assert isinstance(outcome, Failed)
    assert outcome.cause == "setup"
    assert not outcome.retryable


async def test_an_echo_does_not_answer_to_other_plugins() -> None:
    assert EchoRunner().accepts(order()) is None
    assert EchoRunner().accepts(order(plugin="echo")) is None
    assert EchoRunner().accepts(order(plugin="digest")) is not None
