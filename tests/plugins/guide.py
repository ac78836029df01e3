"""A page of the documentation, followed step by step: its files are written and its commands are run.

Owns the marks that make a block a step. `**`path`**` before a block names its file; `sh` is run, `sh fails`
and `sh exits 7` end like that, `sh background` goes on until the end; a `text` block is what was printed.
"""

import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.waiting import until_true

STEP = re.compile(
    r"^\*\*`(?P<path>[^`]+)`\*\*|^```(?P<mark>[^\n]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
FILES = {"yaml", "json", "python"}
SHOWN = {"console"}
"""For people alone: it needs the network or a key."""

COMMAND_S = 100.0
"""To tell a step that works from one that hangs."""


@dataclass
class Reader:
    """Somebody who does what the page says, in an empty folder."""

    folder: Path
    environ: dict[str, str]
    path: str = ""
    printed: Path | None = None
    is_background: bool = False
    background: list[subprocess.Popen[bytes]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def follow(self, page: str) -> None:
        """Every step, in the order of the page."""
        for step in STEP.finditer(page):
            if step["path"]:
                self.path = step["path"]
            else:
                self.do(step["mark"], step["text"])

    def do(self, mark: str, text: str) -> None:
        kind, _, how = mark.partition(" ")
        if kind in FILES:
            self.write(text)
        elif kind == "diff":
            self.change(text)
        elif kind == "text":
            self.see(text)
        elif kind == "sh":
            self.run(text, how)
        else:
            assert kind in SHOWN, f"a reader does not know what to do with {mark!r}"
        self.done.append(kind)

    def write(self, text: str) -> None:
        place = self.folder / self.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def change(self, text: str) -> None:
        """Take out the lines with a minus, put in those with a plus."""
        lines = text.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        place = self.folder / self.path
        content = place.read_text()
        assert content.count(before) == 1, f"{self.path} does not have these lines once:\n{before}"
        place.write_text(content.replace(before, after))

    def run(self, commands: str, how: str) -> None:
        self.printed = self.folder.parent / f"printed-{len(self.done)}"
        with self.printed.open("wb") as output:
            shell = (
                "bash",
                "-euo",
                "pipefail",
                "-c",
                f"exec {commands}" if how == "background" else commands,
            )
            process = subprocess.Popen(
                shell,
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.is_background = how == "background"
        if self.is_background:
            self.background.append(process)
            return
        code = process.wait(COMMAND_S)
        wanted = {"": code == 0, "fails": code != 0}.get(how, how == f"exits {code}")
        assert wanted, f"{commands}ended with {code}:\n{self.printed.read_text()}"

    def see(self, text: str) -> None:
        """Each line was printed; what goes on in the background prints it soon."""
        printed = self.printed
        assert printed is not None, "nothing was run yet"
        patience = COMMAND_S if self.is_background else 0
        for line in text.splitlines():
            try:
                until_true(partial(is_in, printed, line), f"{line!r} is printed", timeout=patience)
            except AssertionError as error:
                raise AssertionError(f"{error}; this was:\n{printed.read_text()}") from error

    def leave(self) -> None:
        """End what is still running, the last first."""
        for process in reversed(self.background):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(COMMAND_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def is_in(file: Path, line: str) -> bool:
    return line in file.read_text()


def home_of(folder: Path, programs: Path) -> dict[str, str]:
    """The environment of a person with an empty home, in which no variable of this project is set."""
    passed_on = {name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ}
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return passed_on | {"HOME": str(folder), "PATH": path, "TMPDIR": str(folder), "HUB_PORT": "0"}
