"""Plugin folders: what is found in them, and their code under names of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugins.documents import EXTRA_MISSING
from plugins.loader import SHIPPED, BrokenPlugin, find, load, package_name, part_of
from tests.plugins.folder import CREW, found, make_plugin, sentence_about


def test_what_is_in_order_is_found_by_name(tmp_path: Path) -> None:
    make_plugin(tmp_path, "zebra")
    make_plugin(tmp_path, "ape")
    assert list(find([tmp_path]).plugins) == ["ape", "zebra"]
    assert find([tmp_path]).plugins["ape"].folder == tmp_path / "ape"


def test_a_bad_plugin_is_reported_and_the_others_load(tmp_path: Path) -> None:
    make_plugin(tmp_path, "good")
    make_plugin(tmp_path, "bad", manifest="name: bad")
    answer = find([tmp_path])
    assert list(answer.plugins) == ["good"]
    [trouble] = answer.troubles
    assert trouble.folder == str(tmp_path / "bad")
    assert trouble.sentence == "bad: plugin.yaml: version: is missing"


def test_a_folder_that_cannot_be_read_is_reported_and_the_others_load(tmp_path: Path) -> None:
    make_plugin(tmp_path, "good")
    (tmp_path / "closed").symlink_to("x" * 300)  # longer than any name may be: looking at it is an error
    answer = find([tmp_path])
    assert list(answer.plugins) == ["good"]
    [trouble] = answer.troubles
    assert trouble.sentence.startswith("closed: plugin.yaml: ")


def test_a_name_is_looked_up_and_never_a_path(tmp_path: Path) -> None:
    """L39: `../elsewhere` is a name that nobody has, wherever it would lead."""
    make_plugin(tmp_path / "elsewhere", "evil", crew="raise SystemExit('imported')\n")
    make_plugin(tmp_path / "plugins", "good")
    plugins = find([tmp_path / "plugins"]).plugins
    for name in (
        "../elsewhere/evil",
        "good/../../elsewhere/evil",
        str(tmp_path / "elsewhere" / "evil"),
        "",
        ".",
    ):
        assert name not in plugins
    assert list(plugins) == ["good"]


def test_the_search_imports_no_code(tmp_path: Path) -> None:
    make_plugin(tmp_path, "loud", crew="raise RuntimeError('imported')\n")
    assert list(find([tmp_path]).plugins) == ["loud"]


def test_of_two_with_one_name_the_first_is_taken(tmp_path: Path) -> None:
    first, second = make_plugin(tmp_path / "a"), make_plugin(tmp_path / "b")
    answer = find([tmp_path / "a", tmp_path / "b"])
    assert answer.plugins["brief"].folder == first
    [trouble] = answer.troubles
    assert trouble.folder == str(second)
    assert f"name: {first} has the same name and comes first" in trouble.sentence


def test_a_folder_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    make_plugin(tmp_path)
    (tmp_path.parent / "again").symlink_to(tmp_path)
    answer = find([tmp_path, tmp_path, tmp_path.parent / "again"])
    assert (list(answer.plugins), answer.troubles) == (["brief"], ())


def test_a_folder_may_be_a_plugin_itself(tmp_path: Path) -> None:
    make_plugin(tmp_path, "other")
    assert list(find([make_plugin(tmp_path)]).plugins) == ["brief"]


def test_a_missing_folder_is_a_trouble_and_the_next_is_read(tmp_path: Path) -> None:
    make_plugin(tmp_path)
    (tmp_path / "file").touch()
    answer = find([tmp_path / "nowhere", tmp_path / "file", tmp_path])
    assert list(answer.plugins) == ["brief"]
    assert [trouble.sentence for trouble in answer.troubles] == [
        f"{tmp_path / 'nowhere'}: there is no such folder",
        f"{tmp_path / 'file'}: Not a directory",
    ]


def test_a_folder_that_is_no_plugin_is_none_of_ours(tmp_path: Path) -> None:
    make_plugin(tmp_path)
    for name in ("docs", ".git", "__pycache__", "_drafts"):
        (tmp_path / name).mkdir()
    make_plugin(tmp_path, "_drafts", manifest="no manifest")
    answer = find([tmp_path])
    assert (list(answer.plugins), answer.troubles) == (["brief"], ())


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("plugin.yaml", "brief: plugin.yaml: there is no such file"),
        ("settings.schema.json", "brief: settings.schema.json: there is no such file"),
        ("crew/crew.py", "brief: crew/crew.py: there is no such file"),
    ],
)
def test_half_a_plugin_is_told_what_it_lacks(tmp_path: Path, missing: str, sentence: str) -> None:
    folder = make_plugin(tmp_path)
    (folder / missing).unlink()
    assert sentence_about(folder) == sentence


def test_the_other_spelling_of_the_manifest_is_corrected(tmp_path: Path) -> None:
    folder = make_plugin(tmp_path)
    (folder / "plugin.yaml").rename(folder / "plugin.yml")
    assert sentence_about(folder) == "brief: plugin.yml: must be called plugin.yaml"


def test_the_shipped_plugins_are_in_order() -> None:
    answer = find([SHIPPED])
    assert set(answer.plugins) == {"daily-news-digest", "release-check"}
    assert answer.troubles == ()


def test_its_crew_is_made_by_the_function_of_its_own_module(tmp_path: Path) -> None:
    plugin = found(make_plugin(tmp_path, "my-brief"))
    before = list(sys.path)
    create_crew = load(plugin)
    assert create_crew({"a": 1}) == {"a": 1}
    assert getattr(create_crew, "__module__", "") == "crewhub_plugin_my_brief.crew.crew"
    assert sys.path == before


def test_a_crew_folder_may_be_a_package(tmp_path: Path) -> None:
    crew = "from . import WORD\ndef create_crew(settings, **rest):\n    return WORD\n"
    assert load(found(make_plugin(tmp_path, crew=crew, __init__="WORD = 'package'\n")))({}) == "package"


def test_two_plugins_with_the_same_inner_names_do_not_meet(tmp_path: Path) -> None:
    crew = (
        "from .tools import WORD\ndef create_crew(settings, llm=None, search_tool=None):\n    return WORD\n"
    )
    names = ["one", "two", "on-e", "on_e"]
    assert len({package_name(name) for name in names}) == len(names)
    factories = [
        load(found(make_plugin(tmp_path, name, crew=crew, tools=f"WORD = {name!r}\n"))) for name in names
    ]
    assert [create_crew({}) for create_crew in factories] == names


def test_a_module_that_is_needed_later_is_found_later(tmp_path: Path) -> None:
    crew = "def create_crew(settings, **rest):\n    from .late import WORD\n    return WORD\n"
    create_crew = load(found(make_plugin(tmp_path, crew=crew, late="WORD = 'late'\n")))
    assert create_crew({}) == "late"


def test_loading_again_takes_what_now_lies_there(tmp_path: Path) -> None:
    assert load(found(make_plugin(tmp_path / "a"))).__module__ in sys.modules
    other = "def create_crew(settings, llm=None, search_tool=None):\n    return 'other'\n"
    assert load(found(make_plugin(tmp_path / "b", crew=other)))({}) == "other"


@pytest.mark.parametrize(
    ("crew", "sentence"),
    [
        (
            "x = 1\nimport no_such_thing\n",
            "crew/crew.py, line 2: ModuleNotFoundError: No module named 'no_such",
        ),
        (
            "import sys\nsys.exit(3)\n",
            "crew/crew.py, line 2: ended the process with code 3 when it was imported",
        ),
        ("def (:\n", "crew/crew.py, line 1: SyntaxError: "),
        ("raise BaseException('odd')\n", "crew/crew.py, line 1: BaseException: odd"),
        ("import tools\n", "No module named 'tools'; inside a plugin write `from .tools import …`"),
        ("from .tools import no\n", "ImportError: cannot import name 'no'"),
        ("from . import broken\n", "crew/broken.py, line 1: ZeroDivisionError: division by zero"),
        ("\n", "crew/crew.py: has no create_crew(settings, llm=None, search_tool=None)"),
        ("create_crew = 1\n", "crew/crew.py: create_crew is not a function"),
        (
            "def create_crew(settings): ...\n",
            "create_crew cannot be called as create_crew(settings, llm=None, se",
        ),
        ("async def create_crew(settings, llm=None, search_tool=None): ...\n", "create_crew is async"),
    ],
)
def test_code_that_breaks_is_told_by_its_real_cause(tmp_path: Path, crew: str, sentence: str) -> None:
    """L83: not everything is "not found"; and the process that imports it lives."""
    plugin = found(make_plugin(tmp_path, crew=crew, tools="", broken="1 / 0\n"))
    with pytest.raises(BrokenPlugin) as caught:
        load(plugin)
    assert caught.value.trouble.sentence.startswith("brief: ")
    assert sentence in caught.value.trouble.sentence
    assert not [name for name in sys.modules if name.startswith("crewhub_plugin_brief")]


def test_a_traceback_begins_in_the_plugin(tmp_path: Path) -> None:
    """L83: its owner sees their own lines, and none of the import machinery's."""
    plugin = found(make_plugin(tmp_path, crew="from .deep import x\n", deep="def f():\n    1 / 0\nf()\n"))
    with pytest.raises(BrokenPlugin) as caught:
        load(plugin)
    lines = [line.split(", in ")[0].strip() for line in caught.value.trouble.traceback.splitlines()]
    frames = [line for line in lines if line.startswith("File")]
    crew = plugin.folder / "crew"
    assert frames[0] == f'File "{crew / "crew.py"}", line 1'
    assert frames[-1] == f'File "{crew / "deep.py"}", line 2'
    assert "ZeroDivisionError: division by zero" in lines


def test_ctrl_c_is_no_mistake_of_a_plugin(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load(found(make_plugin(tmp_path, crew="raise KeyboardInterrupt\n")))


def test_any_keyword_will_do_that_takes_what_a_run_gives(tmp_path: Path) -> None:
    load(found(make_plugin(tmp_path, crew="def create_crew(settings, **rest): return settings\n")))


WITHOUT = """
import sys
from pathlib import Path
sys.modules[sys.argv[1]] = None
from plugins.loader import find
print([trouble.sentence for trouble in find([Path(sys.argv[2])]).troubles])
print(list(find([]).plugins))
"""


@pytest.mark.parametrize("library", ["yaml", "jsonschema"])
def test_without_the_extra_the_sentence_says_what_to_install(tmp_path: Path, library: str) -> None:
    make_plugin(tmp_path, crew=CREW)
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT, library, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert "crewhub[plugins]" in EXTRA_MISSING, "which is all that a hub needs"
    assert "crewhub[crewai]" in EXTRA_MISSING
    assert run.stdout.splitlines() == [str([f"brief: {EXTRA_MISSING}"]), "[]"]


def test_a_plugin_s_own_tests_reach_its_inner_modules(tmp_path: Path) -> None:
    plugin = found(make_plugin(tmp_path, words="WORD = 'inner'\n"))
    assert part_of(plugin, "crew.words").WORD == "inner"
