"""How the page's files are served: at which addresses, how big, for how long, and that none is missing."""

from __future__ import annotations

import gzip
import re
from typing import Final

import pytest

from hub.core.endings import EVENT_OF
from hub.web.pages import FIRST_STYLES, PAGES, build_site, graph_of, resolved
from tests.hub.conftest import ROOT, RunningHub

FIRST_PAINT_BYTES_MAX: Final = 100_000
"""The shell and everything that it names, as sent: a second on a slow mobile line."""

MODULE_LINES_MAX: Final = 400


def text_of(name: str) -> str:
    return build_site().files[name].content.decode()


async def test_every_view_opens_at_its_own_address(running_hub: RunningHub) -> None:
    views = re.findall(r'\{ path: "([^"]+)"', text_of("views.js"))
    assert len(views) >= 10
    assert [re.sub(r":(\w+)", r"{\1}", path) for path in views] == list(PAGES)
    async with running_hub.http() as http:
        for path in views:
            answer = await http.get(path.replace(":id", "anything%20at-all"))
            assert answer.status_code == 200, path
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["cache-control"] == "no-cache"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert (await http.get("/no-such-view")).status_code == 404


async def test_everything_that_the_page_names_is_there_and_small_and_kept(running_hub: RunningHub) -> None:
    async with running_hub.http() as http:
        shell = await http.get("/", headers={"Accept-Encoding": "gzip"})
        named = re.findall(r'(?:href|src)="(/web/[^"]+)"', shell.text)
        assert len(named) > 20
        sizes = {"/": int(shell.headers["content-length"])}
        for address in named:
            answer = await http.get(address, headers={"Accept-Encoding": "gzip"})
            assert answer.status_code == 200, address
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["vary"] == "Accept-Encoding"
            sizes[address] = int(answer.headers["content-length"])
    assert sum(sizes.values()) < FIRST_PAINT_BYTES_MAX, sizes


async def test_a_file_is_sent_as_the_browser_takes_it_and_not_twice(running_hub: RunningHub) -> None:
    site = build_site()
    address = f"/web/{site.version}/main.js"
    async with running_hub.http() as http:
        for said, sent in (("gzip", "gzip"), ("br, *;q=0.1", "gzip"), ("gzip;q=0", None), ("identity", None)):
            answer = await http.get(address, headers={"Accept-Encoding": said})
            assert answer.headers.get("content-encoding") == sent, said
            assert answer.content == site.files["main.js"].content
            known = {"Accept-Encoding": said, "If-None-Match": f'"other", W/{answer.headers["etag"]}'}
            again = await http.get(address, headers=known)
            assert (again.status_code, again.content) == (304, b"")
        tags = {
            (await http.get(address, headers={"Accept-Encoding": said})).headers["etag"]
            for said in ("gzip", "identity")
        }
        assert len(tags) == 2, "they are different bytes"


@pytest.mark.parametrize(
    "path", ["/web/{version}/nothing.js", "/web/{version}/../pages.py", "/web/older0/main.js", "/web/main.js"]
)
async def test_a_file_of_another_version_or_no_file_is_not_found_and_not_kept(
    running_hub: RunningHub, path: str
) -> None:
    async with running_hub.http() as http:
        answer = await http.get(path.format(version=build_site().version), follow_redirects=True)
    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("cache-control", "")


def test_every_file_of_the_page_is_served_and_nothing_else() -> None:
    site = build_site()
    assert {"main.js", "icon.svg", *FIRST_STYLES} <= set(site.files)
    assert not [name for name in site.files if not name.endswith((".js", ".css", ".svg"))]
    for name, asset in site.files.items():
        assert gzip.decompress(asset.compressed) == asset.content, name


def test_every_import_of_the_page_leads_to_a_module() -> None:
    """And no style sheet is forgotten by the shell."""
    site = build_site()
    for name, asset in site.files.items():
        if not name.endswith(".js"):
            continue
        text = asset.content.decode()
        for target in re.findall(r'(?:from |import\(?\s?)"(\.[^"]+)"', text):
            if target.endswith(".d.ts"):
                continue  # types are for the checker only
            assert resolved(name, target) in site.files, f"{name} imports {target}"
    assert {name for name in site.files if name.endswith(".css")} <= set(site.first)


def test_a_graph_names_each_module_once_and_not_what_is_fetched_later() -> None:
    files = {
        "a.js": b'import { b } from "./lib/b.js";\nimport {\n  c,\n} from "./lib/c.js";\nimport "./d.js";',
        "lib/b.js": b'export { x } from "./c.js";\nconst late = () => import("./late.js");',
        "lib/c.js": b'import { a } from "../a.js";',
        "d.js": b"",
        "lib/late.js": b"",
    }
    assert graph_of(files, ("a.js",)) == ("a.js", "lib/b.js", "lib/c.js", "d.js")


def test_the_pages_modules_are_short_and_say_what_they_own() -> None:
    for name, asset in build_site().files.items():
        lines = asset.content.decode().splitlines()
        assert len(lines) <= MODULE_LINES_MAX, f"{name}: move one of its nouns into a module of its own"
        if name.endswith(".js"):
            assert lines[0] == "// @ts-check", name
            assert lines[1].startswith("// "), f"{name}: say what it owns"


def test_both_ways_to_a_light_page_say_the_same() -> None:
    """As the machine says, and as the person says: one list of colours, written twice."""
    lists = re.findall(r"color-scheme: light;\s*([^}]+)\}", text_of("css/tokens.css"))
    assert len(lists) == 2
    assert re.sub(r"\s+", " ", lists[0]) == re.sub(r"\s+", " ", lists[1])


def test_the_page_knows_where_a_task_stands_after_each_event_that_moves_one() -> None:
    """The counters and lanes follow the feed; an event that it does not know would leave them wrong."""
    core = "\n".join(path.read_text() for path in (ROOT / "hub" / "core").glob("*.py"))
    moving = set(re.findall(r'event="([a-z_]+)"', core)) | set(EVENT_OF.values())
    assert len(moving) > 10
    table = text_of("lib/store.js").split("STATE_AFTER = {")[1].split("};")[0]
    known = set(re.findall(r"([a-z_]+): \"", table))
    assert moving - known == {"task_done", "task_input"}, "these leave a task where it is"
