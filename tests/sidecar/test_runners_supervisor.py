"""The supervisor alone, spoken to in its own frames over a real socket, as the sidecar speaks to it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.runners.descendants import wrapped_around
from sidecar.runners.guard import ROOT, start_supervisor
from tests.waiting import TIMEOUT_S


class Talk:
    """A conversation with one supervisor."""

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(TIMEOUT_S)
        self.null = os.open(os.devnull, os.O_RDWR)
        self.process = start_supervisor(theirs.fileno(), [self.null])
        theirs.close()
        self.heard = self.ours.makefile("rb")

    def tell(self, **frame: object) -> None:
        body = json.dumps(frame).encode()
        self.ours.sendall(len(body).to_bytes(4, "big") + body)

    def start(self, source: str, **members: object) -> None:
        order = {
            "argv": [sys.executable, "-I", "-S", "-c", source],
            "env": {},
            "cwd": "/",
            "descriptors": {"0": self.null, "1": self.null, "2": self.null},
            "limits": {"core": 0},
            "new_privileges": False,
        }
        self.tell(start=order | members)

    def hear(self) -> Any:
        """The next frame; None at the end."""
        size = self.heard.read(4)
        return json.loads(self.heard.read(int.from_bytes(size, "big"))) if size else None

    def rest(self) -> list[Any]:
        frames = []
        while (frame := self.hear()) is not None:
            frames.append(frame)
        return frames

    def close(self) -> None:
        self.heard.close()
        self.ours.close()
        os.close(self.null)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def talk() -> Iterator[Talk]:
    conversation = Talk()
    yield conversation
    conversation.close()


def test_a_run_is_told_from_start_to_proof(talk: Talk) -> None:
    talk.start("raise SystemExit(7)")
    started, *rest = talk.rest()
    assert list(started) == ["started"]
    assert rest == [{"exited": {"code": 7}}, {"gone": {"signals": [], "reaped": 1}}]
    assert talk.process.wait() == 0


def test_what_cannot_be_started_is_refused_with_its_reason(talk: Talk) -> None:
    """L92."""
    talk.start("", argv=["/nonexistent"])
    assert talk.hear() == {"refused": "cannot run /nonexistent: No such file or directory"}
    assert talk.rest()[-1] == {"gone": {"signals": [], "reaped": 1}}


def test_a_supervisor_without_an_order_leaves_with_its_sidecar(talk: Talk) -> None:
    talk.ours.shutdown(socket.SHUT_WR)
    assert talk.process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_meant_for_everybody_does_not_take_the_guard_away(
    talk: Talk, number: signal.Signals
) -> None:
    """A service manager that stops a sidecar signals all its processes; the drain is guarded all the same."""
    talk.start("import time; time.sleep(600)")
    assert "started" in talk.hear()
    talk.process.send_signal(number)
    talk.tell(stop={"grace_ms": 60_000})
    assert talk.rest()[-1] == {"gone": {"signals": ["TERM"], "reaped": 1}}


def test_the_programs_signals_are_as_new(talk: Talk) -> None:
    """Ignored signals are inherited by exec: a shell's pipeline would never end by SIGPIPE."""
    source = (
        "import signal as s\n"
        "bad = [n for n in (s.SIGTERM, s.SIGHUP, s.SIGQUIT, s.SIGCHLD) if s.getsignal(n) != s.SIG_DFL]\n"
        "ignored = open('/proc/self/status').read().split('SigIgn:')[1].split()[0]\n"
        "ours = 1 << (s.SIGPIPE - 1) | 1 << (s.SIGXFSZ - 1)  # the interpreter itself ignores these two\n"
        "raise SystemExit(1 if bad or int(ignored, 16) & ~ours else 0)\n"
    )
    talk.start(source)
    assert {"exited": {"code": 0}} in talk.rest()


def test_the_death_of_the_sidecar_ends_everything(talk: Talk) -> None:
    """L75: the end of the socket is enough, whatever signals said or did not say."""
    talk.start("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)")
    program = talk.hear()["started"]
    talk.ours.shutdown(socket.SHUT_WR)
    assert {"exited": {"signal": "SIGKILL"}} in talk.rest()
    assert not os.path.exists(f"/proc/{program}")


def test_a_frame_that_is_too_long_is_as_bad_as_a_dead_sidecar(talk: Talk) -> None:
    talk.start("import time; time.sleep(600)")
    assert "started" in talk.hear()
    talk.ours.sendall((1 << 31).to_bytes(4, "big"))
    assert talk.rest()[-1]["gone"]["signals"] == ["KILL"]


def test_a_supervisor_costs_no_memory_to_speak_of_and_has_one_thread(talk: Talk) -> None:
    talk.start("import time; time.sleep(600)")
    assert "started" in talk.hear()
    status = Path(f"/proc/{talk.process.pid}/status").read_text()
    values = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert values["Threads"].strip() == "1"
    assert int(values["RssAnon"].split()[0]) < 16 * 1024


def test_children_with_lower_numbers_than_their_parents_are_found() -> None:
    """Process numbers start again at the end of their range."""
    later = {3: ("S", 5, 3), 4: ("S", 9, 4), 5: ("S", 7, 5)}
    assert dict(wrapped_around(later, {7})) == {5: ("S", 7, 5), 3: ("S", 5, 3)}
    assert set(later) == {4}


def test_the_supervisor_needs_nothing_but_the_standard_library() -> None:
    """It starts for every run: no site-packages, and of ours only itself."""
    source = (
        "import sys; sys.path.append(sys.argv[1]); import sidecar.runners.supervisor; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source, ROOT], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("sidecar")}
    assert ours == {
        "sidecar",
        "sidecar.runners",
        "sidecar.runners.descendants",
        "sidecar.runners.supervisor",
    }
    assert {name.partition(".")[0] for name in loaded - ours} <= set(sys.stdlib_module_names) | {"__main__"}
