"""Plugin folders: what lies in them, and the code of one of them on request.

Owns the search (documents only) and the import under a module name of the plugin's own, so that no two
plugins meet. Never looks a name up as a path (L39), and never leaves anything on `sys.path`.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, cast

from plugins.contract import CreateCrew, Found, Plugin, Trouble
from plugins.documents import UnfitDocument, inside
from plugins.manifest import MANIFEST, read_manifest
from plugins.schema import read_schema

SHIPPED: Final = Path(__file__).resolve().parent
"""The folder of the plugins that come with Crewhub: beside this package's own modules."""

CREW: Final = "crew/crew.py"
FACTORY: Final = "create_crew"
OTHER_SPELLING: Final = "plugin.yml"

SIGNS: Final = (MANIFEST, OTHER_SPELLING, "settings.schema.json")
"""A folder with one of these, or with a crew, is meant to be a plugin; any other is none of ours."""

TRACEBACK_LENGTH_MAX: Final = 16_000
"""The end of a traceback says what happened; it travels to a log and a terminal."""


class BrokenPlugin(Exception):
    """The code of a plugin cannot be used; `trouble` says why, with the traceback (L83)."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.sentence)
        self.trouble = trouble


# --- the search --------------------------------------------------------------------------------------------


def find(folders: Sequence[Path]) -> Found:
    """The plugins in these folders, in their order; what is unfit is named, and the others are found.

    A folder may also be a plugin itself. Imports no plugin's code.
    """
    plugins: dict[str, Plugin] = {}
    troubles: list[Trouble] = []
    for folder in dict.fromkeys(path.absolute() for path in folders):
        try:
            candidates = list(candidates_in(folder))
        except OSError as error:
            reason = "there is no such folder" if isinstance(error, FileNotFoundError) else error.strerror
            troubles.append(Trouble(folder=str(folder), sentence=f"{folder}: {reason}"))
            continue
        for candidate in candidates:
            try:
                plugin = read(candidate)
                refuse_second(plugin, plugins)
            except UnfitDocument as error:
                troubles.append(Trouble(folder=str(candidate), sentence=f"{candidate.name}: {error}"))
            else:
                plugins.setdefault(plugin.name, plugin)
    return Found(plugins=plugins, troubles=tuple(troubles))


def candidates_in(folder: Path) -> Iterator[Path]:
    if (folder / MANIFEST).is_file():
        yield folder
        return
    for entry in sorted(folder.iterdir()):
        if entry.name[0] not in "._" and is_meant(entry):
            yield entry


def is_meant(entry: Path) -> bool:
    """Whether it looks like a plugin; what cannot be looked at does, so that somebody is told."""
    try:
        names = set(os.listdir(entry))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return not names.isdisjoint(SIGNS) or (entry / CREW).exists()


def read(folder: Path) -> Plugin:
    """The plugin whose documents lie in this folder, or `UnfitDocument`."""
    if is_misspelt(folder):
        raise UnfitDocument(f"{OTHER_SPELLING}: must be called {MANIFEST}")
    manifest = read_manifest(folder)
    schema = read_schema(folder, manifest)
    inside(folder, CREW)
    return Plugin(manifest=manifest, folder=folder, schema=schema)


def is_misspelt(folder: Path) -> bool:
    try:
        return not (folder / MANIFEST).exists() and (folder / OTHER_SPELLING).exists()
    except OSError:
        return False  # reading the manifest says what is wrong


def refuse_second(plugin: Plugin, plugins: dict[str, Plugin]) -> None:
    first = plugins.get(plugin.name)
    if first is not None and first.folder.resolve() != plugin.folder.resolve():
        raise UnfitDocument(f"{MANIFEST}: name: {first.folder} has the same name and comes first")


# --- the code ----------------------------------------------------------------------------------------------


def load(plugin: Plugin) -> CreateCrew:
    """Import the plugin's `crew/crew.py` as it now lies on disk, and return its `create_crew`.

    Its module is `crewhub_plugin_<name>.crew.crew`, so that `from .briefing import …` works inside.
    """
    package = package_name(plugin.name)
    forget(package)
    try:
        sys.modules[package] = make_package(package, plugin.folder)
        importlib.invalidate_caches()
        module = importlib.import_module(f"{package}.crew.crew")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Somebody else's code may raise anything, also SystemExit, and the other plugins still load.
        forget(package)
        raise BrokenPlugin(trouble_of(plugin, error)) from error
    create_crew = getattr(module, FACTORY, None)
    problem = misfit(create_crew)
    if problem:
        forget(package)
        sentence = f"{plugin.name}: {CREW}: {problem}"
        raise BrokenPlugin(Trouble(folder=str(plugin.folder), sentence=sentence))
    return cast("CreateCrew", create_crew)


def part_of(plugin: Plugin, module: str) -> ModuleType:
    """A module of the plugin's own, such as `crew.briefing`: for the plugin's tests."""
    load(plugin)
    return importlib.import_module(f"{package_name(plugin.name)}.{module}")


def package_name(name: str) -> str:
    """`my-plugin` is `crewhub_plugin_my_plugin`; a name with `_` gets another one than its twin with `-`."""
    return "crewhub_plugin_" + name.replace("_", "_U").replace("-", "_")


def make_package(package: str, folder: Path) -> ModuleType:
    spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return importlib.util.module_from_spec(spec)


def forget(package: str) -> None:
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]


def misfit(create_crew: object) -> str:
    """Why this is no factory of crews; empty when it is one."""
    wanted = f"{FACTORY}(settings, llm=None, search_tool=None)"
    if create_crew is None:
        return f"has no {wanted}"
    if not callable(create_crew):
        return f"{FACTORY} is not a function; it must be {wanted}"
    try:
        signature = inspect.signature(create_crew)
        signature.bind({}, llm=None, search_tool=None)
    except TypeError:
        return f"{FACTORY} cannot be called as {wanted}"
    except ValueError:
        return ""  # A callable from C says nothing of its arguments, and may be fine.
    return f"{FACTORY} is async, and must not be" if inspect.iscoroutinefunction(create_crew) else ""


def trouble_of(plugin: Plugin, error: BaseException) -> Trouble:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(plugin.folder)]
    text = traceback_text(error, plugin.folder)
    return Trouble(
        folder=str(plugin.folder),
        sentence=f"{plugin.name}: {place(plugin.folder, error, own)}: {what_happened(error, plugin.folder)}",
        traceback=text[-TRACEBACK_LENGTH_MAX:],
    )


def place(folder: Path, error: BaseException, own: list[traceback.FrameSummary]) -> str:
    """Where in the plugin's own files it happened: the last line of them that ran, or that could not."""
    file, line = (own[-1].filename, own[-1].lineno) if own else (str(folder / CREW), None)
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(folder):
        file, line = error.filename, error.lineno
    relative = Path(file).relative_to(folder)
    return f"{relative}, line {line}" if line else str(relative)


def what_happened(error: BaseException, folder: Path) -> str:
    if isinstance(error, SystemExit):
        return f"ended the process with code {error.code} when it was imported"
    summary = traceback.format_exception_only(error)[-1].strip()
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if name and (folder / "crew" / f"{name.partition('.')[0]}.py").exists():
        return f"{summary}; inside a plugin write `from .{name} import …`"
    return summary


def traceback_text(error: BaseException, folder: Path) -> str:
    """The traceback from the plugin's first line on: the frames before it are the import machinery's."""
    trace = error.__traceback__
    while trace is not None and not Path(trace.tb_frame.f_code.co_filename).is_relative_to(folder):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
