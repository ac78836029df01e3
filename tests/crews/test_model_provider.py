"""A provider's model as a run has it: streamed, counted, and with its own words when it refuses.

The provider is a server of the test's own that speaks what OpenAI's chat speaks.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crews.model import NO_KEY, NO_MODEL, missing_in
from crews.order import Order
from tests.crews.rig import PATIENCE_S, Rig, order
from tests.crews.test_people import TASK
from tests.waiting import until_true

SECRET = "canary-of-a-provider"
WORDS = ("It ", "is ", "done.")


def chunk(content: str | None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content} if content else {}, "finish_reason": None}
    return {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [choice],
    } | more


class Provider:
    """`status` other than 200 refuses; an `endless` one streams words until nobody listens."""

    def __init__(self, status: int = 200, *, endless: bool = False) -> None:
        self.status = status
        self.endless = endless
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.over = threading.Event()

    def speak(self, said: Any) -> None:
        while self.endless and not self.over.wait(0.01):
            self.event(said, chunk("more "))
        for word in WORDS:
            self.event(said, chunk(word))
        self.event(said, chunk(None, choices=[], usage=USAGE))
        said.write(b"data: [DONE]\n\n")

    def event(self, said: Any, value: dict[str, Any]) -> None:
        said.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        said.flush()


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@contextmanager
def served(provider: Provider) -> Iterator[dict[str, str]]:
    """The keys of an order for this provider."""

    class Served(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["content-length"])
            provider.asked.append((str(self.headers["authorization"]), json.loads(self.rfile.read(size))))
            self.send_response(provider.status)
            if provider.status == 200:
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                with suppress(ConnectionError):  # the run has ended in the middle
                    provider.speak(self.wfile)
            else:
                self.end_headers()
                self.wfile.write(b'{"error": {"message": "we do not know you"}}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield {
            "llm_model": "openai/gpt-4o-mini",
            "llm_api_key": SECRET,
            "llm_base_url": f"http://127.0.0.1:{server.server_port}/v1",
        }
    finally:
        provider.over.set()
        server.shutdown()
        server.server_close()
        thread.join(30)


def test_a_provider_s_model_streams_and_its_tokens_are_counted_once(rig: Rig) -> None:
    """L40: its key is in the header of the call, and in nothing that the run says or prints."""
    provider = Provider()
    with served(provider) as keys:
        run = rig.run(order(keys=keys))
    assert run.ended() == 0, run.output
    assert run.result == {"output": "It is done."}
    assert run.said("usage")[-1]["usage"] == {"tokens_in": 30, "tokens_out": 15, "model": "gpt-4o-mini"}
    assert "".join(line["log"] for line in run.logged("chunk")) == 3 * "".join(WORDS)
    assert {authorization for authorization, _ in provider.asked} == {f"Bearer {SECRET}"}
    assert all(body["stream"] for _, body in provider.asked)
    assert SECRET not in json.dumps(run.lines) + run.output


def test_a_provider_that_refuses_the_key_fails_the_run_for_good(rig: Rig) -> None:
    """L92: what the provider said is the error, and another attempt is not worth it."""
    with served(Provider(401)) as keys:
        run = rig.run(order(keys=keys))
    assert run.ended() == 1
    assert "AuthenticationError: Error code: 401" in run.error
    assert "we do not know you" in run.error
    assert run.said("error")[0]["retryable"] is False


def test_a_stop_is_obeyed_at_the_next_word_of_a_provider(rig: Rig) -> None:
    """Its text is cut, and no other call is made."""
    provider = Provider(endless=True)
    with served(provider) as keys:
        run = rig.start(order(keys=keys))
        until_true(lambda: run.logged("chunk"), "the provider talks", PATIENCE_S)
        run.say(stop="cancel")
        assert run.ended() == 0, run.output
    assert run.lines[-1] == {"stopped": True}
    assert len(provider.asked) == 1


def test_a_model_without_its_key_says_where_to_give_one(rig: Rig) -> None:
    run = rig.run(order(keys={"llm_model": "openai/gpt-4o-mini"}))
    assert run.ended() == 1
    assert NO_KEY.format(model="openai/gpt-4o-mini") in run.error
    assert run.said("error")[0]["retryable"] is False


def test_a_model_that_nobody_knows_is_named(rig: Rig) -> None:
    run = rig.run(order(keys={"llm_model": "nobody/knows", "llm_api_key": SECRET}))
    assert run.ended() == 1
    assert run.error.startswith("the model nobody/knows cannot be used: ImportError: ")
    assert "no model is configured" not in run.error
    assert run.said("error")[0]["retryable"] is False


def test_what_an_order_lacked_is_said_only_when_that_is_the_trouble() -> None:
    without_model = Order(task_id=TASK, plugin="p")
    without_key = Order(task_id=TASK, plugin="p", keys={"llm_model": "a/b"})
    complete = Order(task_id=TASK, plugin="p", keys={"llm_model": "a/b", "llm_api_key": "k"})
    key = ValueError("OPENAI_API_KEY is required")
    assert missing_in(without_model, key) == NO_MODEL
    assert missing_in(without_key, key) == NO_KEY.format(model="a/b")
    assert missing_in(complete, key) == ""
    for order_ in (without_model, without_key, complete):
        assert missing_in(order_, KeyError("colour")) == ""
