"""The search of the web: what it asks, what it makes of an answer, and that no trouble ends a crew."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from pydantic import SecretStr

from crews import search
from crews.order import Order
from crews.search import OfflineSearch, WebSearch, search_for
from tests.crews.test_people import TASK

SECRET = "canary-search"


class Engine:
    """Both engines on one local server; `answers` is what each path gives."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.patience = threading.Event()

    def tool(self, url: str, **more: Any) -> WebSearch:
        return WebSearch(tavily_url=f"{url}/tavily", gdelt_url=f"{url}/gdelt", **more)


@contextmanager
def served(engine: Engine) -> Iterator[str]:
    class Served(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", 0))
            self._answer(json.loads(self.rfile.read(size)))

        def do_GET(self) -> None:
            self._answer(parse_qs(urlsplit(self.path).query))

        def _answer(self, asked: Any) -> None:
            path = urlsplit(self.path).path
            engine.asked.append((path, dict(self.headers), asked))
            if path not in engine.answers:
                engine.patience.wait(60)  # a server that never answers
                return
            status, body = engine.answers[path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        engine.patience.set()
        server.shutdown()
        server.server_close()
        thread.join(30)


def as_json(value: Any) -> tuple[int, bytes]:
    return 200, json.dumps(value).encode()


FOUND = {"results": [{"title": "A", "url": "https://a.example", "content": "About\n a.", "score": 1}, "odd"]}
NEWS = {"articles": [{"title": "B", "url": "https://b.example", "domain": "b.example", "seendate": "2026"}]}


def test_with_a_key_tavily_is_asked_and_the_key_is_only_in_its_header() -> None:
    engine = Engine()
    engine.answers["/tavily"] = as_json(FOUND)
    with served(engine) as url:
        text = engine.tool(url, key=SecretStr(SECRET)).run(query="  cats \n and dogs ")
    assert text == "1. A | https://a.example | About a."
    path, headers, asked = engine.asked[0]
    assert path == "/tavily"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert asked["query"] == "cats and dogs"
    assert SECRET not in json.dumps(asked)
    assert SECRET not in repr(engine.tool(url, key=SecretStr(SECRET)))


def test_without_a_key_the_news_are_searched() -> None:
    engine = Engine()
    engine.answers["/gdelt"] = as_json(NEWS)
    with served(engine) as url:
        assert engine.tool(url).run(query="cats") == "1. B | https://b.example | b.example 2026"
    path, headers, asked = engine.asked[0]
    assert (path, asked["query"], asked["format"]) == ("/gdelt", ["cats"], ["json"])
    assert "Authorization" not in headers


def test_a_key_that_is_refused_falls_back_to_the_news() -> None:
    engine = Engine()
    engine.answers |= {"/tavily": (401, b"no"), "/gdelt": as_json(NEWS)}
    with served(engine) as url:
        text = engine.tool(url, key=SecretStr(SECRET)).run(query="cats")
    assert text.startswith("1. B |")
    assert [path for path, _, _ in engine.asked] == ["/tavily", "/gdelt"]


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        ((500, b"oops"), "GDELT: HTTP 500"),
        ((302, b""), "GDELT: HTTP 302"),
        ((200, b"Your query was too short."), "GDELT: the answer was no JSON"),
        ((200, b"[" * 100_000), "GDELT: the answer was no JSON"),
        ((200, b"\xff\xfe"), "GDELT: the answer was no JSON"),
    ],
)
def test_a_search_that_fails_is_a_sentence_to_go_on_with(answer: tuple[int, bytes], trouble: str) -> None:
    engine = Engine()
    engine.answers |= {"/tavily": (429, b"slow down"), "/gdelt": answer}
    with served(engine) as url:
        text = engine.tool(url, key=SecretStr(SECRET)).run(query="cats")
    assert f"(Tavily: HTTP 429; {trouble})" in text
    assert "Go on with what you know" in text
    assert SECRET not in text


@pytest.mark.parametrize("answer", [{}, [], {"articles": None}, {"articles": ["a", 7, {"title": 5}]}, None])
def test_an_answer_of_another_shape_finds_nothing_and_breaks_nothing(answer: Any) -> None:
    engine = Engine()
    engine.answers["/gdelt"] = as_json(answer)
    with served(engine) as url:
        text = engine.tool(url).run(query="cats")
    assert text == "Nothing was found for: cats"


def test_a_server_that_never_answers_holds_nobody() -> None:
    engine = Engine()
    with served(engine) as url:
        assert "GDELT: no answer in time" in engine.tool(url, step_s=0.2).run(query="cats")


def test_a_server_that_cannot_be_reached_is_said_without_its_address() -> None:
    with served(Engine()) as url:
        pass
    text = Engine().tool(url, key=SecretStr(SECRET)).run(query="cats")
    assert "Tavily: not reachable (ConnectError)" in text
    assert url not in text


def test_an_answer_at_the_bound_is_read_and_a_longer_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(NEWS).encode()
    engine = Engine()
    engine.answers["/gdelt"] = (200, body)
    with served(engine) as url:
        monkeypatch.setattr(search, "ANSWER_BYTES_MAX", len(body))
        assert engine.tool(url).run(query="cats").startswith("1. B |")
        monkeypatch.setattr(search, "ANSWER_BYTES_MAX", len(body) - 1)
        assert "the answer was longer than" in engine.tool(url).run(query="cats")
    with pytest.raises(search.SearchTrouble, match="no answer in time"):
        search.refuse_too_much(0, 0.1)


def test_long_queries_and_long_results_are_cut() -> None:
    engine = Engine()
    engine.answers["/gdelt"] = as_json({"articles": [{"title": "x" * 10_000, "url": "u" * 10_000}] * 50})
    with served(engine) as url:
        text = engine.tool(url).run(query="q" * 10_000)
    assert len(engine.asked[0][2]["query"][0]) == search.QUERY_LENGTH_MAX
    assert len(text.splitlines()) == search.RESULTS_MAX
    assert len(text) < search.RESULTS_MAX * 2 * (search.TEXT_LENGTH_MAX + 10)
    assert "was empty" in engine.tool("http://127.0.0.1:9").run(query="  ")


def test_the_offline_model_searches_offline_and_others_with_their_key() -> None:
    def tool(**keys: str) -> Any:
        return search_for(Order(task_id=TASK, plugin="p", keys=keys))

    assert isinstance(tool(llm_model="offline", search_key=SECRET), OfflineSearch)
    assert tool(llm_model="openai/x", search_key=SECRET).key.get_secret_value() == SECRET
    assert tool(llm_model="openai/x").key is None
    first, second = (OfflineSearch().run(query="cats") for _ in range(2))
    assert first == second
    assert first.splitlines()[0] == "1. cats: what is new | https://example.com/1 | About cats."
