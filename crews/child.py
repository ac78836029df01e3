"""The process of a crew: what a zygote has imported before it forks, and what the fork does then.

Owns `prepare` and `main`, the two names that a sidecar knows, and the plugins that were loaded. A broken
plugin never takes another one with it. The process ends by `os._exit`: nothing is flushed to anybody.
`python -m crews.child [--prepare] FOLDER…` does the same without a zygote.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.metadata
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from crews import clock, environment, probing
from plugins.contract import Plugin, Trouble
from plugins.loader import BrokenPlugin, find, load, trouble_of

if TYPE_CHECKING:
    from crews.work import Loaded

IMPORT_S_MAX: Final = 30.0
"""For the import of one plugin: one that waits for something must not keep the others from being offered."""

HANGING_S_MAX: Final = 60.0
"""For all plugins that are not imported in time: each gets half of what the earlier ones have left of it, so
that several together do not outlast the sidecar's own patience with the whole import (two minutes).
"""

IMPORT_S_LEAST: Final = 2.0
"""What every plugin gets, whatever stands before it: an import takes a tenth of that."""

PROBE_MARGIN_S: Final = 5.0
"""Beyond it, for a plugin that does not even hear that its time is up."""

PREPARE: Final = "--prepare"

WARMED: Final = ("openai.resources.chat.completions", "httpcore", "h11")
"""What the first call of a provider's model imports: 500 modules, a second of work, in every run anew."""

_loaded: dict[str, Loaded] = {}
_troubles: dict[str, Trouble] = {}


# ---- before the fork --------------------------------------------------------------------------------------


def prepare(
    folders: Sequence[str], *, warmed: Sequence[str] = WARMED, is_probed: bool = True
) -> dict[str, Any]:
    """Import crewai and every plugin in these folders, each tried in a fork first, which a plugin may crash.
    Leaves one thread, so that forking is safe.
    """
    environment.cleanse(os.environ)
    importlib.import_module("crewai")
    work = importlib.import_module("crews.work")
    for name in warmed:
        with suppress(ImportError):  # of another version; whoever needs it imports it then
            importlib.import_module(name)
    found = find([Path(folder) for folder in folders])
    troubles = list(found.troubles)
    _loaded.clear()
    _troubles.clear()
    patience_s = HANGING_S_MAX
    for plugin in found.plugins.values():
        seconds = min(IMPORT_S_MAX, max(IMPORT_S_LEAST, patience_s / 2))
        begun_s = clock.monotonic_s()
        try:
            if is_probed and probing.is_possible():
                probing.probe(plugin, partial(imported, seconds=seconds), seconds + PROBE_MARGIN_S)
            _loaded[plugin.name] = work.Loaded(plugin=plugin, create=imported(plugin, seconds))
        except BrokenPlugin as broken:
            patience_s -= clock.monotonic_s() - begun_s
            _troubles[plugin.name] = broken.trouble
            troubles.append(broken.trouble)
    return {
        "plugins": [{"name": name, "version": one.plugin.manifest.version} for name, one in _loaded.items()],
        "troubles": [
            {"folder": one.folder, "sentence": one.sentence, "traceback": one.traceback} for one in troubles
        ],
        "crewai": importlib.metadata.version("crewai"),
    }


def imported(plugin: Plugin, seconds: float) -> Any:
    """The plugin's `create_crew`. `BrokenPlugin` also when it hangs, or leaves a thread behind."""
    before = threading.active_count()
    with limited_to(seconds):
        create = load(plugin)
    if threading.active_count() > before:
        started = RuntimeError("starts a thread when it is imported; do that in create_crew")
        raise BrokenPlugin(trouble_of(plugin, started))
    return create


@contextmanager
def limited_to(seconds: float) -> Iterator[None]:
    """Raise inside this block when it lasts longer. Only the main thread can be told."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"was not imported within {seconds:g} s")

    earlier = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


# ---- the run ----------------------------------------------------------------------------------------------


def main() -> None:
    """Do the order on standard input and end the process: 0 after a result or an obeyed stop, else 1."""
    code = 1
    try:
        faulthandler.enable()  # a crash in native code leaves its traceback in the output
        sys.dont_write_bytecode = True  # a run writes in its own folder only
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python expects: a lost connection is an exception
        environment.cleanse(os.environ)
        environment.settle(os.environ)
        code = run_once()
    except BaseException:  # noqa: BLE001  the outermost edge of the process: whatever it is, it ends here
        traceback.print_exc()
    finally:
        leave(code)


def run_once() -> int:
    """Read the order, and run the crew of its plugin. Returns the exit code."""
    # Imported late: in a cold start the environment must be clean before crewai is there.
    from crews.hearing import Hearing  # noqa: PLC0415  see above
    from crews.line import Line  # noqa: PLC0415  see above
    from crews.order import BadOrder, read_order  # noqa: PLC0415  see above
    from crews.people import People  # noqa: PLC0415  see above
    from crews.stopping import Stopping  # noqa: PLC0415  see above
    from crews.work import Work, fail  # noqa: PLC0415  see above

    line = Line()
    try:
        order = read_order()
    except BadOrder as trouble:
        return fail(line, str(trouble))
    stopping = Stopping()
    people = People(line, stopping, order.task_id, order.answers or ())
    Hearing(line, stopping, people).start()
    loaded = _loaded.get(order.plugin)
    if loaded is None:
        return fail(line, why_missing(order.plugin))
    return Work(order, line, stopping, people).perform(loaded)


def leave(code: int) -> NoReturn:
    """End without asking anybody: a thread or an exit hook of a library could wait for ever."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def why_missing(name: str) -> str:
    """Not there, or there and broken: the second is never called the first (L83)."""
    trouble = _troubles.get(name)
    return f"Plugin crew not found: {name}" if trouble is None else trouble.sentence


def cold(arguments: Sequence[str]) -> None:
    """The same in a process of its own: report what was loaded, or do the order on standard input."""
    if not arguments or arguments[0] != PREPARE:
        prepare(arguments, warmed=(), is_probed=False)  # probed when it was offered; here it hurts one run
        main()
        return
    told = os.dup(1)
    os.dup2(2, 1)  # what a plugin prints while it is imported is none of the report
    report = json.dumps(prepare(arguments[1:], warmed=())).encode() + b"\n"
    while report:
        report = report[os.write(told, report) :]
    leave(0)


if __name__ == "__main__":
    cold(sys.argv[1:])
