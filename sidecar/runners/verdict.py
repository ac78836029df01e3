"""What an end means: the one outcome that follows from how a run ended and what it had said (L73).

Owns that table. A run that ended by a signal or with another code than 0 is never reported as complete,
whatever it had said before (L70), and an error names its cause (L92). Starts, stops and awaits nothing.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from protocol.limits import RESULT_BYTES_MAX
from sidecar.runners.contract import (
    ERROR_LENGTH_MAX,
    Cause,
    Failed,
    Finished,
    Outcome,
    Stopped,
    how_it_stopped,
)
from sidecar.runners.echo import result_too_big
from sidecar.runners.output import Output
from sidecar.runners.process import Ended
from sidecar.runners.reported import Said

AskedToEnd: TypeAlias = Literal["stop", "timeout", "memory"]
"""Why the sidecar wanted a run to end: it was told to · its time was up · it took too much memory."""

_encode = msgspec.json.Encoder().encode


class Verdict:
    """The reading of one run's end."""

    def __init__(self, said: Said, output: Output, time_ms: int) -> None:
        self.said = said
        self.output = output
        self.time_ms = time_ms

    def of_a_command(self, ended: Ended) -> Outcome:
        """A program that knows nothing of us: told to end it has no result, and what it prints may be one."""
        if ended.why == "stop":
            return Stopped(how=how_it_stopped(ended.proof), proof=ended.proof)
        if ended.why == "timeout" and self.said.error is None:
            return self.finished() if self.said.result_bytes else self.out_of_time(ended)
        return self.failure(ended) or self.finished()

    def of_a_crew(self, ended: Ended, asked: AskedToEnd | None, excess: str) -> Outcome:
        """A program that was written for us: its result is its last word and stands, also when it had to be
        ended after it (L71); without one there is nothing to report, whatever it printed. An error that
        follows from being told to end is not the cause of the end.
        """
        has_result = bool(self.said.result_bytes) and self.said.error is None
        if asked is None or ended.why == "refused":
            failure = self.failure(ended, of_a_code="crash")
            return failure or (self.finished() if has_result else self._wordless(ended))
        if has_result and (ended.why != "exit" or ended.exit_code == 0):
            return self.finished()
        if asked == "timeout":
            return self.out_of_time(ended)
        if asked == "memory":
            return Failed(error=excess, retryable=False, cause="memory", proof=ended.proof)
        return Stopped(how=how_it_stopped(ended.proof), proof=ended.proof)

    def _wordless(self, ended: Ended) -> Failed:
        """L70: code 0 alone is no success."""
        if self.said.stopped:
            error = "somebody else than the sidecar told the run to end (SIGTERM)"
        else:
            error = self.quoting("ended without a result and without an error")
        return Failed(error=error[:ERROR_LENGTH_MAX], cause="crash", proof=ended.proof)

    # -- the clauses

    def failure(self, ended: Ended, of_a_code: Cause = "work") -> Failed | None:
        """Whatever makes an end a bad one; None for exit code 0 without an error. A code is a command's way
        to say that its work failed; a crew has words for that, so with it a code is a crash.
        """
        if ended.why == "refused":
            return Failed(error=ended.trouble, retryable=False, cause="setup", proof=ended.proof)
        if self.said.error is not None:
            return self.failed(ended, self.said.error)
        if ended.why == "lost" or ended.signal is not None:
            return self.crashed(ended)
        if ended.exit_code != 0:
            return self.failed(ended, self.quoting(f"exited with code {ended.exit_code}"), of_a_code)
        return None

    def failed(self, ended: Ended, error: str, cause: Cause = "work") -> Failed:
        return Failed(
            error=error[:ERROR_LENGTH_MAX],
            cause=cause,
            retryable=self.said.retryable,
            retry_after_ms=self.said.retry_after_ms,
            proof=ended.proof,
        )

    def out_of_time(self, ended: Ended) -> Failed:
        seconds = self.time_ms / 1000
        shown = round(seconds, 1) if seconds >= 1 else seconds  # what a deadline has left is never even
        error = self._in_phase(f"Workflow exceeded {shown:g}s timeout")
        return Failed(error=error[:ERROR_LENGTH_MAX], cause="timeout", proof=ended.proof)

    def crashed(self, ended: Ended) -> Failed:
        if ended.why == "lost":
            error = "the guard of the run was killed, and the run with it"
        elif ended.signal == "SIGKILL":
            error = "ended by SIGKILL, which the sidecar did not send: perhaps out of memory"
        else:
            error = f"ended by {ended.signal}"
        return Failed(error=self.quoting(error)[:ERROR_LENGTH_MAX], cause="crash", proof=ended.proof)

    def finished(self) -> Outcome:
        """The result that was said, or else what was printed."""
        if self.said.result_bytes > RESULT_BYTES_MAX:
            return Failed(
                error=result_too_big(self.said.result_bytes), retryable=False, cause="result_too_big"
            )
        result = self._printed() if self.said.result is None else self.said.result
        return Finished(result=result, tokens_used=self.said.tokens)

    def _printed(self) -> bytes:
        """What was printed, as the result of a program that reports none."""
        text = bytes(self.output.kept).decode(errors="replace").replace("\0", "\ufffd")
        while True:
            cut = self.output.dropped_bytes > 0 or len(text) < len(self.output.kept) // 4
            result = _encode({"output": text, "exit_code": 0} | ({"truncated": True} if cut else {}))
            if len(result) <= RESULT_BYTES_MAX:
                return result
            text = text[: len(text) // 2]  # only control characters grow this much as JSON

    def _in_phase(self, error: str) -> str:
        return error if self.said.phase is None else f"{error} in phase: {self.said.phase}"

    def quoting(self, error: str) -> str:
        """The error with the last lines of output behind it."""
        words = self.output.last_words()
        return self._in_phase(error) + (f"; last output:\n{words}" if words else "")
