"""Lines of a run: whole, in order, bounded, and JSON whatever is said."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import msgspec

from crews.line import LINE_BYTES_MAX, Line, encoded, sayable
from protocol.limits import RESULT_BYTES_MAX
from protocol.rawjson import judge
from sidecar.runners import reported
from tests.waiting import until_true


@contextmanager
def pipe() -> Iterator[tuple[Line, IO[bytes], int]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as heard:
        try:
            yield Line(writing), heard, writing
        finally:
            os.close(writing)


def test_lines_of_many_threads_never_mix() -> None:
    """Each is longer than a pipe takes at once, so every writer is interrupted by the others."""
    count, size = 8, 100_000
    lines: list[dict[str, Any]] = []
    with pipe() as (line, heard, _):

        def read() -> None:
            for _ in range(count):
                lines.append(json.loads(heard.readline()))

        def speak(who: int) -> None:
            line.say(log=str(who) * size)

        threads = [
            threading.Thread(target=read),
            *(threading.Thread(target=speak, args=(n,)) for n in range(count)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert sorted(one["log"] for one in lines) == [str(who) * size for who in range(count)]


def test_a_line_as_long_as_may_be_is_said_and_a_longer_one_is_named() -> None:
    around = len(encoded({"log": ""}))
    said: list[bool] = []
    with pipe() as (line, heard, _):
        edge = "x" * (LINE_BYTES_MAX - around)
        speaker = threading.Thread(target=lambda: said.extend([line.say(log=edge), line.say(log=edge + "x")]))
        speaker.start()
        assert json.loads(heard.readline())["log"] == edge
        warning = json.loads(heard.readline())
        speaker.join(30)
    assert said == [True, False]
    assert warning["level"] == "warning"
    assert f"{LINE_BYTES_MAX + 1} bytes was left out (log)" in warning["log"]


def test_the_sidecar_takes_the_longest_line_that_a_run_says() -> None:
    assert RESULT_BYTES_MAX < LINE_BYTES_MAX <= reported.LINE_BYTES_MAX


def test_what_json_cannot_say_is_said_as_text() -> None:
    """L88: a line is always JSON, also with half a character, strange keys, or a value that holds itself."""
    loop: dict[str, Any] = {}
    loop["self"] = loop
    for value in (
        "half \ud83d",
        {1: "one", ("a", "b"): 2},
        loop,
        object(),
        {"set": {1}},
        float("nan"),
        b"raw",
    ):
        json.loads(encoded({"value": value}))
    assert json.loads(encoded({"value": "half \ud83d"})) == {"value": "half ?"}
    assert sayable({1: [object]}) == {"1": ["<class 'object'>"]}


def test_what_no_hub_takes_is_said_otherwise() -> None:
    """L88: one U+0000 of a model would cost the whole result. A text that only names it stays as it is."""
    said = encoded({"result": {"a\0": ["x\0y", 1.5, None, 2**70]}, "named": "\\u0000"})
    assert isinstance(judge(said, bytes_max=1_000), msgspec.Raw)
    assert json.loads(said) == {
        "result": {"a\ufffd": ["x\ufffdy", 1.5, None, 2**70]},
        "named": "\\u0000",
    }


def test_a_run_whose_sidecar_is_gone_goes_on_speaking_to_nobody() -> None:
    """Its guard ends it; a broken pipe must not look like a failure of the crew."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert Line(writing).say(log="anybody there?")
    finally:
        os.close(writing)


def test_a_full_pipe_makes_the_speaker_wait_and_loses_nothing() -> None:
    with pipe() as (line, heard, writing):
        count = 200
        spoken: list[int] = []
        done = threading.Event()

        def speak() -> None:
            for number in range(count):
                line.say(log="x" * 1000, n=number)
                spoken.append(number)
            done.set()

        thread = threading.Thread(target=speak)
        thread.start()
        assert os.get_blocking(writing)
        until_true(lambda: spoken, "something was said")
        assert not done.is_set(), "200 KB do not fit into a pipe"
        numbers = [json.loads(heard.readline())["n"] for _ in range(count)]
        thread.join(30)
    assert numbers == list(range(count))
