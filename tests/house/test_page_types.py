"""The page is checked against the API: types made from the hub's own, and a checker that reads them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hub.api.documents import openapi
from hub.api.routes import DOCUMENTED
from hub.api.typings import PLACE, UnknownForm, comment, declarations, type_of
from tests.page.checking import STATIC, check

MODULE = """\
/** @import {{ Api, TaskView }} from "./types.d.ts" */

/** @param {{TaskView}} task @returns {{string}} */
export const title = (task) => {expression};

/** @type {{keyof Api}} */
export const route = "{route}";
"""
LIST, ONE = "GET /api/tasks", "GET /api/tasks/{task_id}"
RIGHT = (
    ('task.state === "queued" ? task.description : (task.plugin ?? "")', LIST),
    ('task.ending?.how ?? ""', ONE),
)
WRONG = (
    ("task.descripton", LIST, "Did you mean 'description'?"),
    ('task.state === "canceled" ? "" : ""', LIST, "have no overlap"),
    ("task.plugin", LIST, "Type 'string | null' is not assignable to type 'string'"),
    ("task.generation", LIST, "Type 'number' is not assignable to type 'string'"),
    ("task.metadata.title", LIST, "does not exist on type"),
    ("task.description", "GET /api/task", "not assignable to type 'keyof Api'"),
    ("whatever", LIST, "Cannot find name 'whatever'"),
)

ASKING = """\
/** @import {{ Body, Path, Query, Reply }} from "./types.d.ts" */

/** @template {{Path<"GET">}} P @param {{P}} path @param {{Query<"GET", P>}} [query]
 *  @returns {{Reply<"GET", P>}} */
const get = (path, query) => /** @type {{any}} */ ([path, query]);
/** @template {{Path<"POST">}} P @param {{P}} path @param {{Body<"POST", P>}} [body]
 *  @returns {{Reply<"POST", P>}} */
const post = (path, body) => /** @type {{any}} */ ([path, body]);

export const asked = {asked};
"""
ASKED_RIGHT = (
    'get("/api/tasks", {{ limit: 5 }}).tasks[0]?.plugin',
    'get("/api/session").role',
    'post("/api/tasks", {{ description: "x", inputs: {{ a: [1] }} }}).task_id',
    'post("/api/tasks/{{task_id}}/retry").task_id',
)
ASKED_WRONG = (
    ('get("/api/task")', "is not assignable to parameter of type"),
    ('post("/api/agents")', "is not assignable to parameter of type"),
    ('get("/api/tasks", {{ limits: 5 }})', "'limits' does not exist"),
    ('get("/api/session", {{ limit: 5 }})', "is not assignable to type"),
    ('get("/api/tasks").task', "Did you mean 'tasks'?"),
    ('post("/api/tasks", {{ descriptoin: "x" }})', "does not exist in type 'TaskBody'"),
    ('post("/api/tasks/{{task_id}}/retry", {{ again: true }})', "is not assignable to type"),
)


def write(folder: Path, expression: str, route: str) -> None:
    """A module of the page, in a folder of its own beside the types."""
    folder.mkdir()
    shutil.copy(PLACE, folder)
    (folder / "title.js").write_text(MODULE.format(expression=expression, route=route))


def faults_of(said: str) -> list[str]:
    return re.split(r"^TS\d+ \[ERROR\]: ", said, flags=re.MULTILINE)[1:]


def test_the_types_of_the_page_are_those_of_the_api() -> None:
    stale = declarations(openapi(DOCUMENTED, "")) != PLACE.read_text(encoding="utf-8")
    assert not stale, "run ./dev fmt: it writes hub/web/static/types.d.ts anew"
    assert PLACE.parent == STATIC


def test_a_module_that_names_what_the_api_has_passes(tmp_path: Path) -> None:
    for number, (expression, route) in enumerate(RIGHT):
        write(tmp_path / str(number), expression, route)
    run = check(tmp_path)
    assert run.returncode == 0, run.stderr


def test_a_name_that_the_api_does_not_have_is_found(tmp_path: Path) -> None:
    """Each in a module of its own: one that was missed would not be covered by another's fault."""
    for number, (expression, route, _) in enumerate(WRONG):
        write(tmp_path / str(number), expression, route)
    run = check(tmp_path)
    assert run.returncode != 0
    faults = faults_of(run.stderr)
    for number, (expression, _, said) in enumerate(WRONG):
        mine = [fault for fault in faults if f"/{number}/title.js" in fault]
        assert any(said in fault for fault in mine), f"{expression}: {mine}"


def test_a_question_that_the_api_does_not_answer_is_found(tmp_path: Path) -> None:
    shutil.copy(PLACE, tmp_path)
    for number, asked in enumerate(ASKED_RIGHT):
        (tmp_path / f"right{number}.js").write_text(ASKING.format(asked=asked.format()))
    for number, (asked, _) in enumerate(ASKED_WRONG):
        (tmp_path / f"wrong{number}.js").write_text(ASKING.format(asked=asked.format()))
    faults = faults_of(check(tmp_path).stderr)
    assert not [fault for fault in faults if "/right" in fault]
    for number, (asked, said) in enumerate(ASKED_WRONG):
        mine = [fault for fault in faults if f"/wrong{number}.js" in fault]
        assert any(said in fault for fault in mine), f"{asked}: {mine}"


def test_a_module_knows_the_types_of_what_it_imports(tmp_path: Path) -> None:
    folder = tmp_path / "lib"
    folder.mkdir()
    (tmp_path / "one.js").write_text("export const one = 1;\n")
    (folder / "two.js").write_text(
        'import { one } from "../one.js";\n/** @type {string} */\nexport const two = one;\n'
    )
    assert "Type 'number' is not assignable to type 'string'" in check(tmp_path).stderr


def test_the_checker_fetches_nothing(tmp_path: Path) -> None:
    (tmp_path / "far.js").write_text('import "https://127.0.0.1:9/x.js";\n')
    run = check(tmp_path)
    assert run.returncode != 0
    assert "127.0.0.1:9" in run.stderr


def test_a_form_of_schema_that_nobody_translates_is_an_error() -> None:
    unknown: tuple[dict[str, Any], ...] = (
        {"type": "file"},
        {"oneOf": [{"type": "string"}]},
        {"allOf": []},
        {"enum": ['"']},
    )
    for form in unknown:
        with pytest.raises(UnknownForm):
            type_of(form)


def test_schemas_are_translated_as_they_are_meant() -> None:
    assert type_of({"anyOf": [{}, {"type": "null"}]}) == "Json"
    assert type_of({"type": "array", "items": {"enum": ["a", "b"]}}) == '("a" | "b")[]'
    assert type_of({"type": "object", "additionalProperties": {"type": "integer"}}) == (
        "{ [name: string]: number }"
    )
    inner = {"type": "object", "properties": {"a-b": {"type": "null"}}, "required": ["a-b"]}
    assert type_of(inner) == '{ "a-b": null; }'
    assert comment("a */ b\n\nmore", "") == "/** a * / b */\n"
