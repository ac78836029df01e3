"""How the end of a crew's run is read, with real processes that stand in for the crew's own."""

from pathlib import Path

import pytest

from protocol.limits import RESULT_BYTES_MAX
from sidecar.runners.contract import Finished, Logged, Progress, StepDone, Used
from sidecar.runners.crew import OUTPUT_BYTES_MAX
from tests.sidecar.crewbench import crew, failure_of, result_of


async def test_a_crew_that_ends_with_its_result_is_complete(tmp_path: Path) -> None:
    source = (
        "say(progress=40, message='Task 1/2: x')\n"
        "say(usage={'tokens_in': 3, 'tokens_out': 4, 'model': 'm'})\n"
        "say(log='x', kind='agent', data={'id': 1, 'parent': None}); say(step=0, output={'raw': 'a'})\n"
        "say(result={'summary': 's', 'sections': []}); os._exit(0)"
    )
    bench = crew(tmp_path, source)
    outcome = await bench.run()
    assert result_of(outcome) == {"summary": "s", "sections": []}
    assert isinstance(outcome, Finished)
    assert outcome.tokens_used == 7
    assert bench.reports == [
        Progress(progress=40, message="Task 1/2: x"),
        Used(tokens_in=3, tokens_out=4, model="m"),
        Logged(text="x", kind="agent", data=b'{"id": 1, "parent": null}'),
        StepDone(index=0, output=b'{"raw": "a"}'),
    ]


@pytest.mark.parametrize(
    ("source", "error", "cause"),
    [
        ("say(result=1); say(error='the reviewer gave up')", "the reviewer gave up", "work"),
        ("say(result=1); os._exit(3)", "exited with code 3", "crash"),
        ("say(result=1); os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV", "crash"),
        ("print('all is well')", "ended without a result", "crash"),
        ("say(stopped=True)", "somebody else", "crash"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "perhaps out of memory", "crash"),
    ],
)
async def test_a_failed_run_is_never_reported_as_complete(
    tmp_path: Path, source: str, error: str, cause: str
) -> None:
    """L70, L92: an error, a code, a signal or silence; a result before it does not count."""
    failed = failure_of(await crew(tmp_path, source).run())
    assert error in failed.error
    assert failed.cause == cause
    assert failed.retryable


async def test_a_crash_quotes_the_code_and_the_last_output(tmp_path: Path) -> None:
    """L92."""
    source = "print('loading', flush=True); raise RuntimeError('no such model')"
    failed = failure_of(await crew(tmp_path, source).run())
    assert failed.error.startswith("exited with code 1; last output:\nloading\nTraceback")
    assert failed.error.endswith("RuntimeError: no such model")
    assert failed.cause == "crash"


async def test_an_interpreter_that_falls_is_quoted_from_its_first_line(tmp_path: Path) -> None:
    """L92: what was called last stands at the top, and thirty lines of who called it below."""
    source = """
import ctypes, faulthandler
faulthandler.enable()
def fall(depth): return fall(depth - 1) if depth else ctypes.string_at(0)
fall(30)
"""
    failed = failure_of(await crew(tmp_path, source).run())
    first, fatal, *rest = failed.error.splitlines()
    assert first == "ended by SIGSEGV; last output:"
    assert fatal == "Fatal Python error: Segmentation fault"
    assert any(line.endswith("in string_at") for line in rest)


async def test_what_a_crew_prints_is_kept_up_to_a_limit_and_the_rest_is_counted(tmp_path: Path) -> None:
    """L62, L110."""
    lines = OUTPUT_BYTES_MAX // 1024 + 2
    source = f"for _ in range({lines}): print('x' * 1023, flush=True)\nsay(result=1)"
    bench = crew(tmp_path, source)
    assert result_of(await bench.run()) == 1
    said = bench.texts("output")
    assert sum(len(text) + 1 for text in said[:-1]) == OUTPUT_BYTES_MAX
    assert said[-1] == "2048 bytes of output in 2 lines were dropped"


@pytest.mark.parametrize("size", [RESULT_BYTES_MAX + 1, 4 * RESULT_BYTES_MAX])
async def test_an_oversized_result_fails_that_task_alone(tmp_path: Path, size: int) -> None:
    """L60."""
    source = f"os.write(1, b'x'); open(3, 'w').write(json.dumps({{'result': 'x' * {size}}}))"
    failed = failure_of(await crew(tmp_path, source).run())
    assert (failed.cause, failed.retryable) == ("result_too_big", False)
