"""The process of a crew: its imports, its environment, its ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytest.importorskip("crewai", reason="crewai is not installed")

from crews import child, environment, probing
from plugins.quiet import CLEAN
from sidecar.runners.importing import START_MS
from tests.crews.rig import PATIENCE_S, PLUGINS, ROOT, Rig, order
from tests.waiting import until_true

SCHEMA = '{"type": "object"}'


def write_plugin(folder: Path, name: str, code: str) -> None:
    place = folder / name
    (place / "crew").mkdir(parents=True)
    (place / "plugin.yaml").write_text(f"name: {name}\nversion: 1.0.0\n", encoding="utf-8")
    (place / "settings.schema.json").write_text(SCHEMA, encoding="utf-8")
    (place / "crew" / "crew.py").write_text(f'"""A plugin."""\n{code}\n', encoding="utf-8")


FINE = "def create_crew(settings, llm=None, search_tool=None):\n    return None"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process as a sidecar starts it cold; its variables are the test's own."""
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "LANG": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_after_preparing_there_is_one_thread_and_forking_is_safe(rig: Rig) -> None:
    """L75: a fork takes one thread along, and whatever another one held stays held for ever."""
    assert rig.report["threads"] == [1, 1]
    assert [one["name"] for one in rig.report["plugins"]] == ["bench_briefing", "bench_crew"]
    assert rig.report["troubles"] == []
    assert rig.report["crewai"].startswith("1.15.")


def test_a_broken_plugin_is_reported_with_its_cause_and_the_others_load(tmp_path: Path) -> None:
    """L83: the traceback says what is wrong, and nobody calls it not found."""
    write_plugin(tmp_path, "fine", f'print("printed at import")\n{FINE}')
    write_plugin(tmp_path, "leaver", "import sys\nsys.exit(3)")
    write_plugin(tmp_path, "buggy", "colour = {}['colour']")
    write_plugin(tmp_path, "gone", "import os\nos._exit(3)")
    write_plugin(tmp_path, "crasher", "import os\nos.abort()")
    write_plugin(tmp_path, "threaded", f"import threading\nthreading.Timer(3600, print).start()\n{FINE}")
    asked = python("-m", "crews.child", "--prepare", str(tmp_path))
    report = json.loads(asked.stdout)
    assert [plugin["name"] for plugin in report["plugins"]] == ["fine"]
    sentences = {Path(trouble["folder"]).name: trouble["sentence"] for trouble in report["troubles"]}
    assert "ended the process with code 3" in sentences["leaver"]
    assert "ends the process with exit code 3" in sentences["gone"]
    assert "ends the process by SIGABRT" in sentences["crasher"]
    assert "KeyError: 'colour'" in sentences["buggy"]
    assert "starts a thread" in sentences["threaded"]
    tracebacks = {Path(trouble["folder"]).name: trouble["traceback"] for trouble in report["troubles"]}
    assert "colour = {}['colour']" in tracebacks["buggy"]
    assert asked.stderr.count("printed at import") == 1


def test_a_plugin_that_hangs_at_import_does_not_keep_the_others_out(tmp_path: Path) -> None:
    write_plugin(tmp_path, "fine", FINE)
    write_plugin(tmp_path, "hanging", "import threading\nthreading.Event().wait()")
    program = (
        "import json, sys; from crews import child; child.IMPORT_S_MAX = 0.2; "
        "print(json.dumps(child.prepare(sys.argv[1:])))"
    )
    report = json.loads(python("-c", program, str(tmp_path)).stdout)
    assert [plugin["name"] for plugin in report["plugins"]] == ["fine"]
    assert "was not imported within 0.2 s" in report["troubles"][0]["sentence"]


def test_several_plugins_that_hang_do_not_outlast_the_patience_with_the_whole_import(tmp_path: Path) -> None:
    """Each gets half of what is left, so that the good one behind them is offered."""
    for name in ("a", "b", "c"):
        write_plugin(tmp_path, name, "import threading\nthreading.Event().wait()")
    write_plugin(tmp_path, "z", FINE)
    program = (
        "import json, sys; from crews import child; child.HANGING_S_MAX = 8; child.IMPORT_S_LEAST = 0.1; "
        "print(json.dumps(child.prepare(sys.argv[1:])))"
    )
    report = json.loads(python("-c", program, str(tmp_path)).stdout)
    assert [plugin["name"] for plugin in report["plugins"]] == ["z"]
    first, second, third = (float(one["sentence"].split()[-2]) for one in report["troubles"])
    assert first == 4
    assert first > second > third
    assert (child.HANGING_S_MAX + 5 * child.PROBE_MARGIN_S) * 1000 < START_MS


def test_a_plugin_that_is_deaf_at_import_is_thrown_away_with_what_it_started(tmp_path: Path) -> None:
    """It ignores the alarm and has a child: the probe is killed from outside, and its session with it."""
    assert probing.is_possible()
    deaf = "import signal, subprocess, threading\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
    started = "child = subprocess.Popen(['sleep', '600'])\nprint(child.pid, flush=True)\n"
    keeps = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\nthreading.Event().wait()"
    write_plugin(tmp_path / "plugins", "deaf", deaf + started + keeps)
    program = (
        "import json, sys; from crews import child; child.IMPORT_S_MAX = 1; child.PROBE_MARGIN_S = 1; "
        "print(json.dumps(child.prepare(sys.argv[1:])))"
    )
    report = json.loads(python("-c", program, str(tmp_path / "plugins")).stdout)
    assert report["plugins"] == []
    assert "was not imported within 2 s" in report["troubles"][0]["sentence"]
    pid = int((tmp_path / "pid").read_text())
    until_true(lambda: not psutil.pid_exists(pid), "what it started is gone")


def test_a_broken_plugin_is_never_called_not_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """L83: only what really is not there is not found."""
    write_plugin(tmp_path, "buggy", "1 / 0")
    monkeypatch.setattr(child, "_loaded", {})
    monkeypatch.setattr(child, "_troubles", {})
    monkeypatch.setattr(os, "environ", dict(os.environ))
    child.prepare([str(tmp_path)])
    assert "ZeroDivisionError" in child.why_missing("buggy")
    assert child.why_missing("other") == "Plugin crew not found: other"
    assert set(child.WARMED) <= set(sys.modules), "a name of another version warms nothing"


def test_a_plugin_is_looked_up_by_name_and_never_as_a_path(rig: Rig) -> None:
    """L39: a name that is a way through folders is just a name that nobody has."""
    for name in ("../bench_crew", str(PLUGINS / "bench_crew"), "bench_crew/../bench_crew"):
        run = rig.run(order(plugin=name))
        assert run.error == f"Plugin crew not found: {name}"
        assert run.said("error")[0]["retryable"] is False
        assert run.ended() == 1


def test_an_order_that_is_none_is_an_error_and_not_a_hang(rig: Rig) -> None:
    run = rig.run({"colour": "blue"})
    assert "the order on standard input is unreadable" in run.error
    assert run.ended() == 1


def test_keys_of_an_order_are_in_no_variable_no_line_and_no_output_of_its_run(rig: Rig) -> None:
    """L40: they go to the model and the search, and to nobody else."""
    script = {"*": [{"tool": "look_around"}, {"say": "Done."}]}
    secret = "canary-6f1a9d20c7"
    keys = {"llm_model": "offline", "llm_api_key": secret, "search_key": secret, "other": secret}
    run = rig.run(order(script, keys=keys))
    assert run.ended() == 0, run.output
    assert "ENVIRONMENT" in run.output, "the tool looked at the variables"
    assert "CREWHUB_WORKSPACE" in run.output
    assert "BYTECODE off" in run.output, "nothing is compiled into a folder of others"
    assert secret not in run.output
    assert secret not in json.dumps(run.lines)
    assert not [
        path for path in run.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ]


def test_a_whole_run_opens_no_connection_and_writes_only_in_its_own_folder(rig: Rig) -> None:
    run = rig.run(order(), tripwire=True)
    assert run.ended() == 0, run.output
    assert "TRIPPED" not in run.output
    assert list((run.folder / "workspace").rglob("*.db")), "crewai's own tables are kept in the run's folder"


def test_the_tripwire_sees_a_connection_and_a_file_elsewhere(rig: Rig, tmp_path: Path) -> None:
    script = {"Researcher": [{"tool": "mischief"}, {"say": "Done."}], "*": [{"say": "Done."}]}
    outside = tmp_path / "outside.txt"
    run = rig.run(order(script, settings={"outside": str(outside)}), tripwire=True)
    assert "TRIPPED socket.__new__" in run.output
    assert f"TRIPPED open {outside}" in run.output


def test_a_crash_in_native_code_leaves_its_traceback_in_the_output(rig: Rig) -> None:
    run = rig.run(order({"*": [{"crash": "SEGV"}]}))
    assert run.ended() == -signal.SIGSEGV
    assert "Segmentation fault" in run.output
    assert not run.said("result")


def test_a_cold_start_does_the_same_as_a_forked_one(tmp_path: Path) -> None:
    """Where there is no fork, the same module is a program: descriptors 3 and 4 as ever."""
    report_end, report_fd = os.pipe()
    answers_fd, answers_end = os.pipe()
    place = (
        "import fcntl, os, sys; a, b = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 64) for n in sys.argv[1:3]); "
        "os.dup2(a, 3); os.dup2(b, 4); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[3:]])"
    )
    with (tmp_path / "output.log").open("wb") as output, os.fdopen(report_end, "rb") as report:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path),
            "REDIS_URL": "redis://nowhere.invalid:1",
        }
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", place, str(report_fd), str(answers_fd)),
                *("-m", "crews.child", str(PLUGINS)),
            ],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=(report_fd, answers_fd),
        )
        for fd in (report_fd, answers_fd):
            os.close(fd)
        assert process.stdin is not None
        process.stdin.write(json.dumps(order()).encode())
        process.stdin.close()
        lines = [json.loads(line) for line in report]
        os.close(answers_end)
        assert process.wait(PATIENCE_S) == 0, (tmp_path / "output.log").read_text(encoding="utf-8")
    assert lines[-1]["result"] == {"output": "The text is good."}


def test_the_environment_is_cleansed_of_what_crewai_would_dial(tmp_path: Path) -> None:
    variables = {"REDIS_URL": "redis://somewhere", "CREWAI_TRACING_ENABLED": "true", "MINE": "kept"}
    environment.cleanse(variables)
    assert "REDIS_URL" not in variables
    assert variables["MINE"] == "kept"
    assert {**variables, **CLEAN} == variables
    variables["TMPDIR"] = str(tmp_path)
    environment.settle(variables)
    assert Path(variables["CREWAI_STORAGE_DIR"]).is_relative_to(tmp_path)
    assert Path(variables["CREWAI_STORAGE_DIR"]).is_dir()
