"""A stranger who knows nothing but what stands on the screen, and the transcript of their way.

Owns the terminals that the stranger opens in an empty folder with a home of their own, and what was typed and
read. A command may only be typed after a screen has shown it; the very first is what the README begins with.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import sys
import termios
from pathlib import Path
from typing import Final

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Locator, Page

from tests.hub.conftest import ROOT
from tests.hub.terminal import Screen
from tests.waiting import until

WRITES_TRANSCRIPT: Final = "HUB_TEST_TRANSCRIPT"
"""A file to write the transcript to; without it, it is only shown when something fails."""

PREFACE: Final = """# A stranger's walk

From `hub serve` in an empty folder to a crew's briefing on the page, by somebody who types nothing that no
screen has shown. A test is this stranger: `tests/page/test_walk.py`, which gets lost where a screen does not
say how to go on. It has written this page, with
`HUB_TEST_TRANSCRIPT=docs/walk.md ./dev test tests/page/test_walk.py`.

"""
PROGRAMS: Final = {"hub": "hub.cli", "sidecar": "sidecar.cli"}
ROWS, COLUMNS = 40, 120
TOKEN: Final = re.compile(r"\bhub[a-z]_[0-9A-Za-z]{20,}")


class Lost(AssertionError):
    """The screen does not say how to go on; the transcript so far is in the message."""


class Stranger:
    """Somebody in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "empty"
        self.home = folder / "home"
        for place in (self.folder, self.home):
            place.mkdir()
        self.told: list[str] = []
        self._seen: list[str] = []
        """All that screens have shown, the terminals' and the page's."""
        self._screens: list[Screen] = []
        self._written: dict[int, int] = {}

    # --- terminals ---

    async def begin(self, command: str) -> Screen:
        """The one command that the stranger brings along, from the first lines of the README."""
        return await self._run(command)

    async def type(self, command: str) -> Screen:
        """In another terminal, a command that some screen has shown."""
        if not any(command in shown for shown in self._seen):
            raise self.lost(f"no screen has shown the command {command!r}")
        return await self._run(command)

    async def _run(self, command: str) -> Screen:
        program, *words = shlex.split(command)
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        own = {"HOME": str(self.home), "PYTHONPATH": str(ROOT), "TERM": "xterm", "NO_COLOR": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", PROGRAMS[program], *words),
                env=kept | own,
                stdin=its,
                stdout=its,
                stderr=its,
                cwd=self.folder,
                start_new_session=True,
            )
        finally:
            os.close(its)
        screen = Screen(ours, process)
        self._screens.append(screen)
        self.told.append(f"\n$ {command}")
        return screen

    async def read(self, screen: Screen, pattern: str) -> str:
        """The part of a screen that a stranger would look for; waits until it stands there."""
        try:
            found = await until(
                lambda: re.search(pattern, "\n".join(screen.lines)), f"a terminal shows {pattern}"
            )
        except AssertionError as error:
            self.look(screen)
            raise self.lost(str(error)) from None
        self.look(screen)
        assert found is not None
        return found[1] if found.re.groups else found[0]

    def look(self, screen: Screen) -> None:
        """Write down what this terminal has shown since the last look."""
        lines = [line.rstrip() for line in screen.lines]
        self._seen.append("\n".join(lines))
        new = lines[self._written.get(id(screen), 0) :]
        self._written[id(screen)] = len(lines)
        self.told += [line for line in new if line]

    # --- the page ---

    def does(self, deed: str) -> None:
        self.told.append(f"\n[page] {deed}")

    async def sees(self, what: Locator, name: str) -> str:
        """Something on the page, once it is there; its words."""
        try:
            await what.first.wait_for()
        except PlaywrightError as error:
            raise self.lost(f"the page does not show {name}: {error}") from None
        words = " ".join((await what.first.inner_text()).split())
        self._seen.append(words)
        self.told.append(f"       {name}: {words[:300]}")
        return words

    async def command_on(self, page: Page, opening: str) -> str:
        """A command that the page shows, by how it begins."""
        shown = page.locator("code", has_text=opening)
        return await self.sees(shown, f"the command that begins with {opening!r}")

    # --- the end ---

    def lost(self, why: str) -> Lost:
        return Lost(f"{why}\n\nThe way so far:\n{self.transcript}")

    @property
    def transcript(self) -> str:
        """As it may be shown to anybody: without the token, and without this machine's folders."""
        text = "\n".join(self.told).strip() + "\n"
        text = TOKEN.sub(lambda found: found[0][:5] + "…", text)
        return text.replace(str(self.home), "~").replace(str(self.folder), ".")

    def write(self) -> None:
        if place := os.environ.get(WRITES_TRANSCRIPT):
            Path(place).write_text(f"{PREFACE}```text\n{self.transcript}```\n", encoding="utf-8")

    async def leave(self) -> None:
        """Ctrl-C in every terminal, the newest first; whatever does not go then is ended."""
        for screen in reversed(self._screens):
            if screen.process.returncode is None:
                screen.process.send_signal(signal.SIGINT)
                try:
                    async with asyncio.timeout(30):
                        await screen.process.wait()
                except TimeoutError:
                    screen.process.kill()
                    await screen.process.wait()
            screen.close()
