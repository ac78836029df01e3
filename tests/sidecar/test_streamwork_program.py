"""`sidecar work` before any run: what it needs, what it refuses, whose folder it takes, when it is ready."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from console.options import choose
from sidecar.commands.work import command
from sidecar.errors import SettingsError, StateError
from sidecar.settings import SHIPPED, Settings, with_kept_names
from sidecar.streamwork.program import FOLDERS_MAX, LOADING, NO_REDIS, StreamSidecar, open_streams, own_folder
from tests.sidecar.pluginyard import CHILD
from tests.sidecar.process import ROOT


def chosen(environ: dict[str, str], **flags: str) -> Settings:
    return choose(
        Settings, prefix="SIDECAR_", flags=flags, files=(), environ=with_kept_names(environ)
    ).settings


def work(*words: str, **environ: str) -> tuple[int, str]:
    """The command in a process of its own; its code and what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIDECAR_", "REDIS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "sidecar.cli", "work", *words],
        env={**kept, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def test_the_variable_of_existing_deployments_names_the_redis() -> None:
    assert chosen({"REDIS_URL": "redis://old"}).redis == "redis://old"
    assert chosen({"REDIS_URL": "redis://old", "SIDECAR_REDIS": "redis://new"}).redis == "redis://new"
    assert chosen({"REDIS_URL": "redis://old"}, redis="redis://flag").redis == "redis://flag"
    assert chosen({}).redis == ""


def test_an_address_may_come_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    """L40: it may hold a password."""
    file = tmp_path / "redis"
    file.write_text("redis://user:a-password@host:6379\n")
    found = chosen({"REDIS_URL": "redis://old", "SIDECAR_REDIS_FILE": str(file)})
    assert found.redis == "redis://user:a-password@host:6379"
    assert "a-password" not in repr(found)


def test_without_a_redis_it_says_what_to_do() -> None:
    code, said = work()
    assert (code, NO_REDIS in said) == (2, True)


@pytest.mark.parametrize("url", ["http://user:a-password@host", "redis://:a-password@host/nine"])
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    code, said = work("--redis", url)
    assert code == 2
    assert "Redis URL" in said or "database" in said
    assert "a-password" not in said
    assert "Traceback" not in said


def test_a_limit_that_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError, match="slots is 0"):
        Settings(slots=0)


def test_its_help_names_what_may_be_given() -> None:
    said = CliRunner().invoke(command, ["--help"]).output
    assert all(word in said for word in ("--redis", "--plugins", "--model", "--slots", "--health-port"))


def test_no_address_means_no_link() -> None:
    with pytest.raises(SettingsError, match="no Redis is named"):
        open_streams("")


def test_each_worker_of_a_user_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Also many on one machine; the one after the last is refused with a sentence."""
    folders = [own_folder(tmp_path / "work") for _ in range(FOLDERS_MAX)]
    assert len({folder.path for folder in folders}) == FOLDERS_MAX
    with pytest.raises(StateError, match=f"{FOLDERS_MAX} workers already"):
        own_folder(tmp_path / "work")
    folders[3].unlock()
    again = own_folder(tmp_path / "work")
    assert again.path == folders[3].path, "a folder that is free is taken again"
    for folder in (*folders, again):
        folder.unlock()


async def test_it_offers_the_shipped_plugins_and_is_not_ready_before_they_are_loaded() -> None:
    sidecar = StreamSidecar(Settings(redis="redis://127.0.0.1:1"), lambda sentence: None, CHILD)
    assert sidecar.settings.plugins == (SHIPPED,)
    streams = open_streams(sidecar.settings.redis)
    assert sidecar.readiness(streams) == (False, {"error": LOADING})
    await streams.close()
