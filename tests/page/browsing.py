"""Chromium for the tests of the page: where it is, how it is started, and a visit that forgives nothing.

Owns the collector of everything that a browser complains about. A complaint fails the test that it happened
in, unless that test has said before that it will come.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)

NAMES: Final = ("chromium-headless-shell", "chromium", "google-chrome", "chromium-browser")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
)
PATIENCE_MS: Final = 60_000
"""Tells what works from what hangs, and nothing more: two cores are shared by many."""

DESKTOP: Final = (1280, 800)
PHONE: Final = (390, 844)
LOGGED_OUT: Final = r"401 \(Unauthorized\)"
"""By its one 401 the page learns that nobody is logged in; the browser logs it."""
AWAY: Final = r"net::ERR_(CONNECTION_\w+|INCOMPLETE_CHUNKED_ENCODING|NETWORK_\w+|EMPTY_RESPONSE)"
"""What a browser says of a hub that is not there."""

VIOLATION: Final = "broke the content security policy"
LISTEN: Final = f"""
addEventListener("securitypolicyviolation", (event) =>
  console.error(`{VIOLATION}: ${{event.effectiveDirective}} ${{event.blockedURI}} ${{event.sample}}`));
"""

expect.set_options(timeout=PATIENCE_MS)


def chromium() -> str:
    """`./dev test` brings it, or says how."""
    found = os.environ.get("HUB_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "there is no Chromium: apt-get install chromium-headless-shell, or HUB_TEST_CHROMIUM=…"
    return found


@asynccontextmanager
async def launched(*flags: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


class Complaints:
    """Everything that went wrong in the pages of one test, each as a sentence."""

    def __init__(self, own_address: str) -> None:
        self.heard: list[str] = []
        self.own_address = own_address
        self._forgiven = [LOGGED_OUT]

    def forgive(self, *patterns: str) -> None:
        """What fits one of these is what the test is about, from here on."""
        self._forgiven += patterns

    def take(self, pattern: str) -> list[str]:
        """The complaints that fit, taken out: the test has looked at them."""
        found = [one for one in self.heard if re.search(pattern, one)]
        self.heard = [one for one in self.heard if one not in found]
        return found

    def add(self, sentence: str) -> None:
        if not any(re.search(pattern, sentence) for pattern in self._forgiven):
            self.heard.append(sentence)

    def listen(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.add(f"uncaught: {error}"))
        page.on("crash", lambda _: self.add("the page has crashed"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            self.add(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    async def _dialog(self, dialog: Dialog) -> None:
        self.add(f"a dialog of the browser: {dialog.message}")
        await dialog.dismiss()

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.own_address, "data:", "blob:")):
            self.add(f"asked another place: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.add(f"{response.status}: {response.url}")


class Visit:
    """One person's browser, with a tab of it; whoever is in it shares cookies and storage."""

    def __init__(self, context: BrowserContext, page: Page, complaints: Complaints) -> None:
        self.context = context
        self.page = page
        self.complaints = complaints
        self.address = complaints.own_address

    @classmethod
    async def begin(
        cls, browser: Browser, complaints: Complaints, *, size: tuple[int, int] = DESKTOP, theme: str = "dark"
    ) -> Visit:
        width, height = size
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="light" if theme == "light" else "dark",
            locale="en-GB",
            timezone_id="UTC",
        )
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(LISTEN)
        return await cls._open(context, complaints)

    @classmethod
    async def _open(cls, context: BrowserContext, complaints: Complaints) -> Visit:
        page = await context.new_page()
        complaints.listen(page)
        return cls(context, page, complaints)

    async def tab(self) -> Visit:
        """Another tab of the same browser."""
        return await self._open(self.context, self.complaints)

    async def go(self, path: str = "/") -> Page:
        await self.page.goto(f"{self.address}{path}")
        return self.page

    async def wear(self, theme: str, size: tuple[int, int] | None = None) -> None:
        """Dark or light, and perhaps in a window of another size."""
        await self.page.emulate_media(color_scheme="light" if theme == "light" else "dark")
        if size is not None:
            await self.page.set_viewport_size({"width": size[0], "height": size[1]})

    async def close(self) -> None:
        await self.context.close()
