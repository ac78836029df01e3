"""No secret leaves in anything that a run says: exact values first, then the shapes of well-known keys."""

import json

import msgspec
import pytest

from protocol.ids import RequestId
from sidecar.redaction import REDACTED, Redactor, guarded
from sidecar.runners.contract import (
    Answers,
    AnswersAtOnce,
    Asked,
    Failed,
    Finished,
    Logged,
    Order,
    Outcome,
    Progress,
    Proof,
    Rejection,
    Report,
    Reporter,
    StepDone,
    Stopped,
    StopSignal,
    Used,
)
from sidecar.runners.echo import EchoRunner
from tests.sidecar.runs import order

SECRET = 'pa"ss\\wörd/9'
KEYS = [
    "hubs_" + "a1B2c3D4e5" * 4 + "xyz" + "CRC32x",
    "huba_" + "Z9" * 24 + "0",
    "sk-" + "proj-abcdefghijklmnop1234",
    "ghp_" + "a" * 36,
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIabc+/=\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_a_known_shape_is_taken_out(key: str) -> None:
    """X5."""
    assert Redactor().text(f"see {key}, ok") == f"see {REDACTED}, ok"
    assert Redactor().json(json.dumps({"a": [f"see {key}, ok"]}).encode()) == b'{"a":["see [redacted], ok"]}'


def test_a_listed_value_is_taken_out_wherever_it_stands() -> None:
    """L40: however JSON has escaped it, as a name or a value."""
    redactor = Redactor([SECRET])
    assert redactor.text(f"x{SECRET}y") == "x[redacted]y"
    for ascii_only in (True, False):
        raw = json.dumps({SECRET: ["a", {"b": SECRET}]}, ensure_ascii=ascii_only).encode()
        assert json.loads(redactor.json(raw)) == {REDACTED: ["a", {"b": REDACTED}]}


def test_a_longer_secret_hides_the_shorter_one_inside_it() -> None:
    assert Redactor(["abcdef", "abcdefghij"]).text("abcdefghij") == REDACTED


def test_an_empty_or_short_value_hides_nothing() -> None:
    assert Redactor(["", "dev"]).text("the device is in dev") == "the device is in dev"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1.50,"b":12345678901234567890123}',
        b'"a\\nb"',
        b'{"risk-":"task-0123456789abcdef"}',
        b"not json",
    ],
)
def test_what_holds_no_secret_stays_the_same_to_the_byte(raw: bytes) -> None:
    assert Redactor([SECRET]).json(raw) == raw


def test_text_that_is_no_json_is_redacted_as_text() -> None:
    assert Redactor().json(b'{"a": sk-abcdefghijklmnopqrst') == b'{"a": [redacted]'


def test_a_private_key_printed_line_by_line_is_hidden_from_its_first_line_to_its_last() -> None:
    redactor = Redactor()
    lines = [
        "before",
        "x -----BEGIN " + "PRIVATE KEY-----",
        "MIIsecret",
        "-----END PRIVATE KEY----- y",
        "after",
    ]
    stdout = [Logged(kind="output", text=line, data=b'{"stream":"stdout"}') for line in lines]
    stderr = Logged(kind="output", text="elsewhere", data=b'{"stream":"stderr"}')
    said = [redactor.report(report) for report in (*stdout[:2], stderr, *stdout[2:])]
    assert [report.text for report in said if isinstance(report, Logged)] == [
        *("before", "x [redacted]", "elsewhere", REDACTED, "[redacted] y", "after"),
    ]


class Blabber:
    """A runner that says its secret in every way there is."""

    name = "blabber"

    def accepts(self, order: Order) -> Rejection | None:
        return Rejection(reason="policy") if order.plugin else None

    async def run(
        self, order: Order, report: Reporter, stop: StopSignal, answers: Answers | None = None
    ) -> Outcome:
        secret, raw = order.description, json.dumps({"k": order.description}).encode()
        report(Logged(text=secret, data=raw))
        report(Progress(message=secret, execution_event=raw))
        report(Used(model=secret))
        report(StepDone(index=0, output=raw))
        report(Asked(request_id=RequestId("r"), prompt=secret, schema=raw))
        return Failed(error=secret) if order.attempt > 1 else Finished(result=raw)


async def test_a_guarded_runner_cannot_say_its_secret() -> None:
    """X5: every member of every report and of every outcome."""
    runner = guarded(Blabber(), [SECRET])
    reports: list[Report] = []
    stop = StopSignal()
    outcomes = [await runner.run(order(SECRET, attempt=n), reports.append, stop) for n in (1, 2)]
    heard = msgspec.json.encode([reports, outcomes]).decode()
    texts = repr((reports, outcomes)) + heard
    assert SECRET not in texts
    assert json.dumps(SECRET)[1:-1] not in texts
    assert texts.count(REDACTED) >= 16
    assert runner.name == "blabber"
    assert runner.accepts(order()) is None
    assert runner.accepts(order(plugin="x")) == Rejection(reason="policy")


async def test_a_guarded_echo_still_answers_at_once() -> None:
    echo = guarded(EchoRunner(), [SECRET])
    assert isinstance(echo, AnswersAtOnce)
    assert echo.at_once(order(f"a {SECRET}")) == Finished(result=b'{"echo":"a [redacted]"}')
    assert echo.at_once(order(metadata=b'{"echo":{}}')) is None


def test_a_runner_that_takes_its_time_says_nothing_at_once() -> None:
    blabber = guarded(Blabber(), [])
    assert isinstance(blabber, AnswersAtOnce)
    assert blabber.at_once(order()) is None


class Bringer(Blabber):
    """A runner whose orders bring a secret each."""

    def secrets_of(self, order: Order) -> list[str]:
        return [order.description]


async def test_the_secret_of_one_order_is_taken_out_of_its_own_run_and_of_no_other() -> None:
    """L40: the second run may say the word that was the first one's secret."""
    runner = guarded(Bringer(), [])
    outcomes = [
        await runner.run(order(word, attempt=2), lambda _: None, StopSignal()) for word in ("canary", "x")
    ]
    plain = guarded(Blabber(), [])
    outcomes.append(await plain.run(order("canary", attempt=2), lambda _: None, StopSignal()))
    assert outcomes == [Failed(error=REDACTED), Failed(error="x"), Failed(error="canary")]


def test_a_proof_passes_as_it_is() -> None:
    stopped = Stopped(how="killed", proof=Proof(signals=("TERM", "KILL"), reaped=3))
    assert Redactor().outcome(stopped) is stopped
