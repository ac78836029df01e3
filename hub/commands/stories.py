"""What the demonstration tells: six tasks, how each must end, and the program that does some of them.

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
    attempts_max: int = 1
    failures: int = 0
    is_cancelled: bool = False

    def is_true_of(self, task: dict[str, Any]) -> bool:
        """Ended in that state, after so many failures, and if cancelled, with proof that nothing is left."""
        proof = (task["ending"] or {}).get("proof") or {}
        is_proven = proof.get("reaped", 0) >= 1 and proof.get("survivors") == 0
        return (
            task["state"] == self.state
            and (task["attempt"] == self.failures or self.is_cancelled)
            and (is_proven or not self.is_cancelled)
        )


STORIES: Final = (
    Story(
        agent_id="grace",
        description="ignore the polite request to stop",
        metadata={"demo": {"stubborn": True}},
        state="cancelled",
        is_cancelled=True,
    ),
    Story(agent_id="ada", description="say hello to everybody who watches", state="completed"),
    Story(
        agent_id="ada",
        description="count to three",
        metadata={"echo": {"steps": 3, "sleep_ms": 2400}},
        state="completed",
    ),
    Story(agent_id="grace", description="count the words of this sentence", state="completed"),
    Story(
        agent_id="grace",
        description="fail once and try again",
        metadata={"demo": {"fail_once": True}},
        attempts_max=3,
        failures=1,
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
