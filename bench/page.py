"""(f) The page, open on Live in a real Chromium while many agents work: how smooth, how late, how large.

Owns what is measured in the browser, by its own observers and by its debugger; the page itself knows of none
of it. Garbage is collected before memory is read, so that only what is kept counts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.async_api import BrowserContext, CDPSession, Page

from bench.children import Hub, hub
from bench.crowd import dial, push_for_ever
from bench.peers import client_of
from tests.page.browsing import DESKTOP, launched

PROBE_MS: Final = 20
SAMPLE_S: Final = 15
KIB, MIB = 1024, 1024 * 1024

OBSERVE: Final = """
(() => {
  const seen = window.crewhubBench = { long: [], waits: [], lags: [], gaps: 0, isOn: false };
  new PerformanceObserver((list) => {
    if (seen.isOn) for (const one of list.getEntries()) seen.long.push([one.startTime, one.duration]);
  }).observe({ type: "longtask" });
  let due = performance.now() + PROBE_MS;
  setInterval(() => {
    const now = performance.now();
    if (seen.isOn) seen.waits.push(Math.max(0, now - due));
    due = now + PROBE_MS;
  }, PROBE_MS);
})();
""".replace("PROBE_MS", str(PROBE_MS))
"""Before the page's own code: what blocks the main thread, and how long anything else has to wait for it."""

LISTEN: Final = """async () => {
  const place = document.querySelector("script[type=module]").src;
  const { listen } = await import(new URL("lib/stream.js", place));
  const seen = window.crewhubBench;
  listen((lines) => {
    if (!seen.isOn) return;
    const now = Date.now();
    for (const line of lines) {
      if (line.event === "gap" || line.event === "reset") seen.gaps += 1;
      else if (line.event !== "snapshot") seen.lags.push(Math.max(0, now - line.timestamp));
    }
  });
}"""
"""The page's own stream, as its store hears it: hub and browser have one clock here."""

TAKE: Final = """() => {
  const seen = window.crewhubBench;
  const { long, waits, lags, gaps } = seen;
  Object.assign(seen, { long: [], waits: [], lags: [], gaps: 0, isOn: false });
  return { long, waits, lags, gaps };
}"""


@dataclass(slots=True)
class Seen:
    """What one visit has shown."""

    seconds: float = 0
    long_tasks: list[tuple[float, float]] = field(default_factory=list)
    """When each began and how long it took, in ms; only those over 50 are told."""
    waits: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    gaps: int = 0
    heaps: list[float] = field(default_factory=list)
    """MiB in use after a collection, every SAMPLE_S."""
    nodes: int = 0
    busy: float = 0
    """Part of the time that the main thread worked."""

    def take(self, found: dict[str, Any]) -> None:
        """What the observers have written down since the last time."""
        self.long_tasks += [(at, took) for at, took in found["long"]]
        self.waits += found["waits"]
        self.lags += found["lags"]
        self.gaps += found["gaps"]

    def longest_of_each_second(self) -> list[float]:
        """Zero in most: what a person who looks at any one second may notice."""
        found = [0.0] * max(1, int(self.seconds))
        begin = self.long_tasks[0][0] if self.long_tasks else 0
        for at, took in self.long_tasks:
            second = min(int((at - begin) / 1000), len(found) - 1)
            found[second] = max(found[second], took)
        return found

    def growth(self) -> float:
        """KiB a minute, by the middle of the first third of the samples and that of the last."""
        third = max(1, len(self.heaps) // 3)
        first, last = sorted(self.heaps[:third])[third // 2], sorted(self.heaps[-third:])[third // 2]
        minutes = (len(self.heaps) - third) * SAMPLE_S / 60
        return (last - first) * KIB / minutes if minutes else 0.0


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


async def counters_of(session: CDPSession) -> dict[str, float]:
    found = await session.send("Performance.getMetrics")
    return {one["name"]: one["value"] for one in found["metrics"]}


async def kept(session: CDPSession) -> float:
    """MiB of the page's heap that a collection leaves."""
    await session.send("HeapProfiler.collectGarbage")
    return (await counters_of(session))["JSHeapUsedSize"] / MIB


async def logged_in(running: Hub, context: BrowserContext) -> Page:
    """Live, as the admin sees it, with the observers in place."""
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        answer = await http.post(
            "/api/session", json={"token": running.token}, headers={"x-hub-csrf": "1"}, timeout=60
        )
        assert answer.is_success, answer.text
        (cookie,) = http.cookies.jar
    await context.add_cookies([{"name": cookie.name, "value": cookie.value or "", "url": running.url}])
    await context.add_init_script(OBSERVE)
    page = await context.new_page()
    await page.goto(running.url)
    await page.locator("#lamp[data-state=live]").wait_for(timeout=60_000)
    return page


async def watch(page: Page, session: CDPSession, seconds: float) -> Seen:
    """Look on for so long. What is written down is taken out of the page, so that its memory is its own."""
    seen = Seen(seconds=seconds)
    loop = asyncio.get_running_loop()
    seen.heaps.append(await kept(session))
    before = await counters_of(session)
    begun = loop.time()
    while (left := begun + seconds - loop.time()) > 0:
        await page.evaluate("() => { crewhubBench.isOn = true; }")
        await asyncio.sleep(min(SAMPLE_S, left))
        seen.take(await page.evaluate(TAKE))
        seen.heaps.append(await kept(session))
    after = await counters_of(session)
    seen.nodes = int(after["Nodes"])
    seen.busy = (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])
    return seen


async def _live_view(running: Hub, agents: int, events_a_minute: int, seconds: float, warm_s: float) -> Seen:
    width, height = DESKTOP
    async with client_of(running) as http, launched() as browser:
        crowd = await dial(running, http, agents)
        context = await browser.new_context(viewport={"width": width, "height": height})
        page = await logged_in(running, context)
        session = await context.new_cdp_session(page)
        await session.send("Performance.enable")
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                busy = [group.create_task(agent.live()) for agent in crowd]
                busy.append(group.create_task(push_for_ever(http, events_a_minute)))
                await page.evaluate(LISTEN)
                await asyncio.sleep(warm_s)
                seen = await watch(page, session, seconds)
                for one in busy:
                    one.cancel()
        await context.close()
    return seen


def live_view(folder: Path, *, agents: int, events_a_minute: int, seconds: float, warm_s: float) -> Seen:
    """A hub, so many agents at work, and one browser on Live.

    `warm_s` passes before anything is counted: until the first tasks have ended, and as many end as begin.
    """
    with hub(folder) as running:
        return asyncio.run(_live_view(running, agents, events_a_minute, seconds, warm_s))


def figures_of(seen: Seen, add: Callable[[str, float, str], None]) -> None:
    """What docs/performance.md tells."""
    minutes = seen.seconds / 60
    add("page: events shown", len(seen.lags) / minutes, "a minute")
    add("page: gaps said", seen.gaps, "in all")
    longest = seen.longest_of_each_second()
    add("page: longest task in a second, p95", percentile(longest, 0.95), "ms (goal: at most 50)")
    add("page: longest task of all", max(longest), "ms")
    add("page: tasks over 50 ms", len(seen.long_tasks) / minutes, "a minute")
    add("page: wait for the main thread, p95", percentile(seen.waits, 0.95), "ms")
    add("page: wait for the main thread, p99", percentile(seen.waits, 0.99), "ms")
    add("page: main thread at work", 100 * seen.busy, "percent")
    add("page: event to frame, p50", percentile(seen.lags, 0.50), "ms")
    add("page: event to frame, p95", percentile(seen.lags, 0.95), "ms")
    add("page: heap at first", seen.heaps[0], "MiB")
    add("page: heap at last", seen.heaps[-1], "MiB")
    add("page: heap growth", seen.growth(), "KiB a minute")
    add("page: nodes of the document", seen.nodes, "at the end")
