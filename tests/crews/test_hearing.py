"""What the sidecar says to a run: every line of it is taken, whatever its neighbours are."""

import json
import os
import signal
import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crews import hearing
from crews.hearing import Hearing
from crews.order import BadOrder, Order, read_order
from crews.people import People
from protocol.ids import question_id
from tests.crews.test_people import TASK, Noted, people
from tests.waiting import until_true


class Ear:
    """A hearing at the end of a pipe."""

    def __init__(self) -> None:
        self.somebody: People
        self.somebody, self.line, self.stopping = people()
        reading, self.writing = os.pipe()
        Hearing(self.line, self.stopping, self.somebody, reading).start()

    def say(self, raw: bytes) -> None:
        os.write(self.writing, raw)

    def close(self) -> None:
        """Its thread goes on until the process ends, as in a run."""
        os.close(self.writing)


@pytest.fixture
def ear() -> Iterator[Ear]:
    earlier = signal.getsignal(signal.SIGTERM)
    made = Ear()
    yield made
    made.close()
    signal.signal(signal.SIGTERM, earlier)


def complaints(line: Noted) -> list[str]:
    return [one["log"] for one in line.lines if one.get("kind") == "warning"]


def test_an_answer_in_pieces_is_one_answer(ear: Ear) -> None:
    request_id = question_id(TASK, 1, "Which?")
    raw = json.dumps({"request_id": request_id, "value": "grün"}, ensure_ascii=False).encode()
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(ear.somebody.ask("Which?")))
    thread.start()
    for byte in raw:
        ear.say(bytes([byte]))
    ear.say(b"\n")
    thread.join(30)
    assert got == ["grün"]


def test_a_line_that_is_none_is_named_and_the_next_one_counts(ear: Ear) -> None:
    ear.say(b'nonsense\n\n{"request_id": 7}\n[]\n{"later": true}\n{"stop": "cancel"}\n')
    until_true(lambda: ear.stopping.asked, "the stop is heard")
    assert ear.stopping.why == "cancel"
    assert len(complaints(ear.line)) == 3


def test_a_line_without_end_is_left_out_and_the_next_one_counts(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "LINE_BYTES_MAX", 100)
    known = question_id(TASK, 1, "Which?")
    fits = json.dumps({"request_id": known, "value": ""}).encode()
    fits = fits[:-2] + b"x" * (100 - len(fits)) + fits[-2:]
    long = b'{"request_id": "' + b"x" * 200
    ear.say(long + b'"}\n' + fits + b'\n{"stop": "cancel"}\n')
    until_true(lambda: ear.stopping.asked, "the stop is heard")
    assert complaints(ear.line) == ["a line of more than 100 bytes came as an answer and was left out"]
    assert ear.somebody._answers[known].startswith("x"), "a line at the bound is taken"


def test_an_order_is_read_to_the_end_of_its_pipe() -> None:
    reading, writing = os.pipe()
    wanted = {"task_id": TASK, "plugin": "p", "settings": {"n": 1}, "unknown": "later versions may say more"}
    os.write(writing, json.dumps(wanted).encode())
    os.close(writing)
    assert read_order(reading) == Order(task_id=TASK, plugin="p", settings={"n": 1})
    os.close(reading)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"task_id": 7}', b'{"task_id": "t", "plugin": "\xff"}'])
def test_what_is_no_order_says_what_is_wrong_with_it(raw: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, raw)
    os.close(writing)
    with pytest.raises(BadOrder, match="the order on standard input is unreadable"):
        read_order(reading)
    os.close(reading)


def test_an_unreadable_order_never_quotes_itself() -> None:
    """L40: there are credentials in it, and the sentence goes into a log."""
    reading, writing = os.pipe()
    os.write(writing, b'{"task_id": "t", "plugin": "p", "keys": {"llm_api_key": "canary-77"}, "done": 5}')
    os.close(writing)
    with pytest.raises(BadOrder) as bad:
        read_order(reading)
    os.close(reading)
    assert "canary" not in str(bad.value)
