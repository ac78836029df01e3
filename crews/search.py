"""A search of the web for crews: with a key at Tavily, without one in the news that GDELT lists.

Owns the two requests, their limits, and the stand-in of the offline model. Nothing that a search meets ends a
crew: trouble comes back as a sentence that the agent can go on with. Never puts a key into a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import httpx
from crewai.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr, SecretStr

from crews import clock
from crews.model import OFFLINE
from crews.order import Order

TAVILY: Final = "https://api.tavily.com/search"
GDELT: Final = "https://api.gdeltproject.org/api/v2/doc/doc"

STEP_S: Final = 10.0
"""For connecting, and for each piece of an answer."""

WHOLE_S: Final = 20.0
"""For one answer in all: a server that sends a byte now and then holds nobody longer."""

ANSWER_BYTES_MAX: Final = 2 * 1024 * 1024
"""Ten results have some kilobytes each; this is far above, and far below what hurts."""

RESULTS_MAX: Final = 10
QUERY_LENGTH_MAX: Final = 400
TEXT_LENGTH_MAX: Final = 600
"""Of what one result says: ten of them fit into a prompt."""

SPAN: Final = "1week"
"""GDELT looks for news; older than a week is none."""


class Found(BaseModel):
    """One result."""

    title: str = ""
    url: str = ""
    text: str = ""

    def line(self) -> str:
        parts = (clipped(self.title), self.url[:TEXT_LENGTH_MAX], clipped(self.text))
        return " | ".join(part for part in parts if part)


class SearchTrouble(Exception):
    """Why a search engine gave no answer."""


class Query(BaseModel):
    """What the agent fills in."""

    query: str = Field(description="What to look for: a few words, as for a search engine.")


class WebSearch(BaseTool):
    """The search tool that plugins are given."""

    name: str = "web_search"
    description: str = "Search the web for recent articles. Returns a list of titles, addresses and texts."
    args_schema: type[BaseModel] = Query
    key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    tavily_url: str = TAVILY
    gdelt_url: str = GDELT
    step_s: float = STEP_S
    whole_s: float = WHOLE_S

    def _run(self, query: str) -> str:
        wanted = " ".join(str(query).split())[:QUERY_LENGTH_MAX]
        if not wanted:
            return "The query was empty. Say in a few words what to look for."
        troubles = []
        for name, ask in self._engines():
            try:
                found = ask(wanted)
            except SearchTrouble as trouble:
                troubles.append(f"{name}: {trouble}")
            else:
                return listed(wanted, found)
        return (
            f"The search did not work ({'; '.join(troubles)}). Go on with what you know, and say that it "
            "could not be looked up."
        )

    def _engines(self) -> list[tuple[str, Callable[[str], list[Found]]]]:
        keyless = ("GDELT", self._gdelt)
        return [keyless] if self.key is None else [("Tavily", self._tavily), keyless]

    def _tavily(self, query: str) -> list[Found]:
        assert self.key is not None, "asked only with a key"
        answer = self._fetch(
            "POST",
            self.tavily_url,
            headers={"Authorization": f"Bearer {self.key.get_secret_value()}"},
            json={"query": query, "max_results": RESULTS_MAX},
        )
        return [
            Found(title=str_of(one, "title"), url=str_of(one, "url"), text=str_of(one, "content"))
            for one in members(answer, "results")
        ]

    def _gdelt(self, query: str) -> list[Found]:
        words = {"query": query, "mode": "ArtList", "format": "json", "sort": "DateDesc", "timespan": SPAN}
        answer = self._fetch("GET", self.gdelt_url, params=words | {"maxrecords": str(RESULTS_MAX)})
        return [
            Found(
                title=str_of(one, "title"),
                url=str_of(one, "url"),
                text=f"{str_of(one, 'domain')} {str_of(one, 'seendate')}",
            )
            for one in members(answer, "articles")
        ]

    def _fetch(self, method: str, url: str, **members: Any) -> Any:
        """The JSON of one answer, or the trouble in a few words: never the request, which has the key."""
        until = clock.monotonic_s() + self.whole_s
        try:
            with httpx.stream(method, url, timeout=self.step_s, **members) as answer:
                if answer.status_code != 200:
                    raise SearchTrouble(f"HTTP {answer.status_code}")
                raw = bytearray()
                for piece in answer.iter_bytes():
                    raw += piece
                    refuse_too_much(len(raw), clock.monotonic_s() - until)
            return json.loads(raw)
        except httpx.TimeoutException:
            raise SearchTrouble("no answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL) as trouble:
            raise SearchTrouble(f"not reachable ({type(trouble).__name__})") from None
        except (ValueError, RecursionError):
            raise SearchTrouble("the answer was no JSON") from None


class OfflineSearch(BaseTool):
    """The same tool without a network: what it finds depends on the query alone."""

    name: str = "web_search"
    description: str = WebSearch.model_fields["description"].default
    args_schema: type[BaseModel] = Query
    _asked: list[str] = PrivateAttr(default_factory=list)

    def _run(self, query: str) -> str:
        wanted = " ".join(str(query).split())[:QUERY_LENGTH_MAX]
        self._asked.append(wanted)
        return listed(
            wanted,
            [
                Found(title=f"{wanted}: {what}", url=f"https://example.com/{number}", text=f"About {wanted}.")
                for number, what in enumerate(("what is new", "the background", "what comes next"), 1)
            ],
        )


def search_for(order: Order) -> BaseTool:
    """The search tool of this order."""
    if order.keys.get("llm_model") == OFFLINE:
        return OfflineSearch()
    key = order.keys.get("search_key")
    return WebSearch(key=SecretStr(str(key)) if key else None)


def refuse_too_much(size: int, late_s: float) -> None:
    if size > ANSWER_BYTES_MAX:
        raise SearchTrouble(f"the answer was longer than {ANSWER_BYTES_MAX} bytes")
    if late_s > 0:
        raise SearchTrouble("no answer in time")


def members(answer: Any, name: str) -> list[Any]:
    """The results in an answer, whatever a server sends."""
    found = answer.get(name) if isinstance(answer, dict) else None
    return [one for one in found if isinstance(one, dict)][:RESULTS_MAX] if isinstance(found, list) else []


def str_of(one: dict[str, Any], name: str) -> str:
    value = one.get(name)
    return value if isinstance(value, str) else ""


def clipped(text: str) -> str:
    """One line, and not too long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= TEXT_LENGTH_MAX else flat[: TEXT_LENGTH_MAX - 1] + "…"


def listed(query: str, found: list[Found]) -> str:
    """The results as an agent reads them."""
    lines = [f"{number}. {line}" for number, line in enumerate(filter(None, map(Found.line, found)), 1)]
    return "\n".join(lines) if lines else f"Nothing was found for: {query}"
