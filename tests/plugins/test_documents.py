"""Documents that would hurt the process that reads them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.documents import DEPTH_MAX, DOCUMENT_BYTES_MAX, UnfitDocument, read_json, read_yaml


def test_a_document_at_its_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    text = "a: b\n#"
    (tmp_path / "a.yaml").write_text(text + "x" * (DOCUMENT_BYTES_MAX - len(text)))
    assert read_yaml(tmp_path, "a.yaml") == {"a": "b"}
    (tmp_path / "a.yaml").write_text(text + "x" * (DOCUMENT_BYTES_MAX - len(text) + 1))
    with pytest.raises(UnfitDocument, match=r"a\.yaml: is larger than 256 KiB"):
        read_yaml(tmp_path, "a.yaml")


Read = Callable[[Path, str], dict[str, Any]]


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("read", [read_yaml, read_json])
def test_nesting_has_a_limit_that_is_said(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.json").write_text(nested(DEPTH_MAX - 1))
    read(tmp_path, "a.json")
    for levels in (DEPTH_MAX, 20_000):
        (tmp_path / "a.json").write_text(nested(levels))
        with pytest.raises(UnfitDocument, match=f"a.json: is nested deeper than {DEPTH_MAX}"):
            read(tmp_path, "a.json")


def test_a_bomb_of_aliases_is_refused_before_it_grows(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    rows += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "bomb.yaml").write_text("\n".join(rows))
    with pytest.raises(UnfitDocument, match=r"bomb\.yaml, line 2: has an alias"):
        read_yaml(tmp_path, "bomb.yaml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": 1, "a": 2}', "a.json: the key a stands there twice"),
        ('{"a": {"b": 1, "b": 1}}', "a.json: the key b stands there twice"),
        ('{"a": NaN}', "a.json: NaN is not JSON"),
        ('{"a": 1e999}', "a.json: a is not a finite number"),
        ('{"a": 1,\n}', "a.json, line 2: "),
        ("[1]", "a.json: is a list, and must be a mapping"),
        ("", "a.json, line 1: "),
    ],
)
def test_json_is_taken_at_its_word(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UnfitDocument) as caught:
        read_json(tmp_path, "a.json")
    assert str(caught.value).startswith(sentence)


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(UnfitDocument, match=r"a\.yaml: is not UTF-8 text"):
        read_yaml(tmp_path, "a.yaml")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())
    assert read_json(tmp_path, "a.json") == {"a": 1}


def test_a_file_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    """L39: neither by its name nor by a symbolic link."""
    (tmp_path / "outside.json").write_text("{}")
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "link.json").symlink_to(tmp_path / "outside.json")
    for name in ("../outside.json", str(tmp_path / "outside.json"), "link.json"):
        with pytest.raises(UnfitDocument, match="lies outside the plugin's folder"):
            read_json(folder, name)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UnfitDocument, match=r"a\.json: there is no such file"):
        read_json(tmp_path, "a.json")


def test_reading_leaves_the_limit_of_recursion_alone(tmp_path: Path) -> None:
    before = sys.getrecursionlimit()
    (tmp_path / "a.yaml").write_text("[" * 50_000)
    with pytest.raises(UnfitDocument):
        read_yaml(tmp_path, "a.yaml")
    assert sys.getrecursionlimit() == before


def test_links_in_a_circle_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to(tmp_path / "b.json")
    (tmp_path / "b.json").symlink_to(tmp_path / "a.json")
    with pytest.raises(UnfitDocument, match=r"a\.json: "):
        read_json(tmp_path, "a.json")
