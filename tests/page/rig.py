"""The page as people meet it: a real hub in its own process, browsers of people with different rights.

Owns who is logged in where, and a restart of the hub under open pages. The sidecars beside it come from the
tests of whole systems.
"""

from __future__ import annotations

from http.cookiejar import Cookie
from typing import Final

import httpx
from playwright.async_api import Browser

from tests.hub.conftest import HubProcess
from tests.page.browsing import AWAY, DESKTOP, Complaints, Visit
from tests.system.processes import QUICK

WITH_PLUGINS: Final = {**QUICK, "HUB_PLUGINS": "shipped"}


class Rig:
    """A hub that serves, a browser, and everybody who looks at the page in this test."""

    def __init__(self, hub: HubProcess, browser: Browser) -> None:
        self.hub = hub
        self.browser = browser
        self.complaints = Complaints(hub.address)
        self.visits: list[Visit] = []

    async def stranger(self, *, size: tuple[int, int] = DESKTOP, theme: str = "dark") -> Visit:
        """Somebody who is not logged in, on no page yet."""
        visit = await Visit.begin(self.browser, self.complaints, size=size, theme=theme)
        self.visits.append(visit)
        return visit

    async def visit(
        self, role: str = "admin", *, size: tuple[int, int] = DESKTOP, theme: str = "dark", path: str = "/"
    ) -> Visit:
        """Somebody with this role, logged in, on a view."""
        visit = await self.stranger(size=size, theme=theme)
        token = self.hub.admin_token if role == "admin" else await self.hub.token(role=role)
        cookie = log_in(self.hub.address, token)
        await visit.context.add_cookies([
            {"name": cookie.name, "value": cookie.value or "", "url": self.hub.address, "httpOnly": True,
             "sameSite": "Strict"}
        ])  # fmt: skip
        await visit.go(path)
        return visit

    def restart(self, *, is_killed: bool = False) -> None:
        """The same hub once more, on the same port and ledger; browsers may complain of its absence."""
        self.stop(is_killed=is_killed)
        self.start()

    def stop(self, *, is_killed: bool = False) -> None:
        self.complaints.forgive(AWAY)
        if is_killed:
            self.hub.kill()
        else:
            assert self.hub.stop() == 0

    def start(self) -> None:
        self.hub.start(**WITH_PLUGINS)

    async def close(self) -> None:
        for visit in self.visits:
            await visit.close()
        assert not self.complaints.heard, "\n".join(self.complaints.heard)


def log_in(address: str, token: str) -> Cookie:
    """The cookie that the page's login gets for this token."""
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        answer = client.post("/api/session", json={"token": token}, headers={"x-hub-csrf": "1"})
        assert answer.status_code == 200, answer.text
        (cookie,) = client.cookies.jar
        return cookie
