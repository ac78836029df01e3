"""What the demonstration tells: its tasks, how each must end, and the program that does some of them.

Owns the script. Never runs anything: `demo.py` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

WORKER: Final = '''\
"""The demonstration's worker: says how far it is, then what it found. Reads its task from standard input."""
import json, os, signal, sys, time

task = json.load(sys.stdin)
report = os.fdopen(int(os.environ["CREWHUB_REPORT_FD"]), "w", buffering=1)
wishes = task["metadata"].get("demo", {})

def say(**line):
    report.write(json.dumps(line) + "\\n")

if wishes.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(progress=10, message="deaf to TERM from now on")
    time.sleep(300)
if wishes.get("fail_once") and task["attempt"] == 1:
    time.sleep(0.5)
    say(error="the first attempt fails on purpose", retryable=True)
    sys.exit(1)
for step in range(1, 4):
    time.sleep(0.8)
    say(progress=100 * step // 3, message=f"step {step} of 3")
words = task["description"].split()
say(result={"words": len(words), "first": words[:3]})
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A task, and how it ends when all is well."""

    agent_id: str
    description: str
    state: str
    metadata: dict[str, Any] = field(default_factory=dict)
    plugin: str | None = None
    inputs: dict[str, Any] | None = None
    attempts_max: int = 1
    failures: int = 0
    stopped: str | None = None
    """How a cancelled run must have ended; None: this task is not cancelled."""
    answer: str | None = None
    """What the demonstration answers to the question that this task asks."""

    @property
    def is_cancelled(self) -> bool:
        return self.stopped is not None

    def is_true_of(self, task: dict[str, Any]) -> bool:
        """Ended in that state, after so many failures, and if cancelled, with proof that nothing is left."""
        ending = task["ending"] or {}
        proof = ending.get("proof") or {}
        is_proven = proof.get("reaped", 0) >= 1 and proof.get("survivors") == 0
        is_as_told = task["attempt"] == self.failures or self.is_cancelled
        if self.stopped is not None:
            is_as_told = is_proven and ending.get("stopped") == self.stopped
        return task["state"] == self.state and is_as_told


STUBBORN: Final = Story(
    agent_id="grace",
    description="ignore the polite request to stop",
    metadata={"demo": {"stubborn": True}},
    state="cancelled",
    stopped="killed",
)
COUNTED: Final = Story(agent_id="grace", description="count the words of this sentence", state="completed")
AGAIN: Final = Story(
    agent_id="grace",
    description="fail once and try again",
    metadata={"demo": {"fail_once": True}},
    attempts_max=3,
    failures=1,
    state="completed",
)
ECHOED: Final = (
    Story(agent_id="ada", description="say hello to everybody who watches", state="completed"),
    Story(
        agent_id="ada",
        description="count to three",
        metadata={"echo": {"steps": 3, "sleep_ms": 2400}},
        state="completed",
    ),
    Story(
        agent_id="ada",
        description="fail for good",
        metadata={"echo": {"fail": "nothing to be done", "retryable": False}},
        failures=1,
        state="failed",
    ),
)
DIGEST: Final = "daily-news-digest"
TOPICS: Final = {"topics": ["open source agents", "durable queues"], "summary_length": "short"}
ENDLESS: Final = "And on it goes, word by word, until somebody has heard enough of it. " * 40

CREWS: Final = (
    Story(
        agent_id="ada",
        description="three agents write today's digest",
        plugin=DIGEST,
        inputs=TOPICS,
        state="completed",
    ),
    Story(
        agent_id="ada",
        description="a crew that asks a person before it decides",
        plugin="release-check",
        inputs={"version": "1.4.0"},
        state="completed",
        answer="release",
    ),
    Story(
        agent_id="ada",
        description="a crew that talks too long is asked to stop",
        plugin=DIGEST,
        inputs=TOPICS,
        metadata={"offline": {"*": [{"say": ENDLESS, "chunks": 1200, "pause_ms": 50}]}},
        state="cancelled",
        stopped="cooperative",
    ),
    Story(
        agent_id="ada",
        description="a crew that hears nothing any more is killed",
        plugin=DIGEST,
        inputs=TOPICS,
        metadata={"offline": {"*": [{"stall": True, "deaf": True}]}},
        state="cancelled",
        stopped="killed",
    ),
)


def stories(*, with_crews: bool) -> tuple[Story, ...]:
    """All of them, in the order in which they are pushed."""
    return (STUBBORN, *(CREWS if with_crews else ECHOED), COUNTED, AGAIN)
