"""A question of a run, and a person at the terminal who answers it.

Owns how a question is shown, how typed text becomes the value its schema asks for, and the listening to
standard input. Never sends an answer: it hands over what was typed.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from console.output import Output

LINE_BYTES_MAX: Final = 64 * 1024
"""A longer line was not typed by a person; what is beyond is cut off."""

CHOICES_SHOWN_MAX: Final = 20


def choices_of(schema: Any) -> tuple[str, ...]:
    """The words that a question allows, if it names them."""
    allowed = schema.get("enum") if isinstance(schema, Mapping) else None
    return tuple(one for one in allowed if isinstance(one, str)) if isinstance(allowed, list) else ()


def value_for(text: str, schema: Any) -> Any:
    """What was typed, as JSON where it is JSON, unless the question asks for text: then `42` is text too."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    wants_text = text in choices_of(schema) or (
        isinstance(schema, Mapping) and schema.get("type") == "string"
    )
    return text if wants_text and not isinstance(value, str) else value


def say_prompt(output: Output, prompt: str, schema: Any) -> None:
    """The question, and the words that are allowed. On standard error: it is no data."""
    output.note(f"It asks: {prompt}")
    choices = choices_of(schema)
    if choices:
        more = ", …" if len(choices) > CHOICES_SHOWN_MAX else ""
        output.note(f"One of: {', '.join(choices[:CHOICES_SHOWN_MAX])}{more}")


def can_ask(output: Output) -> bool:
    """Somebody sits there who sees the question and can type."""
    return sys.stdin.isatty() and output.err.isatty() and not output.is_json and not output.quiet


@contextmanager
def typed_lines(hear: Callable[[str | None], None], descriptor: int = 0) -> Iterator[None]:
    """Call `hear` with each line that is typed meanwhile, from a thread of its own; None: no more will come.

    It reads the descriptor and not `sys.stdin`, whose lock a waiting reader would keep to the very end.
    """
    wake_out, wake_in = os.pipe()
    listener = threading.Thread(target=_listen, args=(descriptor, wake_out, hear), daemon=True)
    listener.start()
    try:
        yield
    finally:
        os.close(wake_in)
        listener.join()
        os.close(wake_out)


def _listen(descriptor: int, wake: int, hear: Callable[[str | None], None]) -> None:
    open_line = b""
    while True:
        ready, _, _ = select.select([descriptor, wake], [], [])
        if wake in ready:
            return
        try:
            piece = os.read(descriptor, LINE_BYTES_MAX)
        except OSError:
            piece = b""  # a terminal that was hung up
        if not piece:
            hear(None)
            return
        *whole, open_line = (open_line + piece).split(b"\n")
        open_line = open_line[:LINE_BYTES_MAX]
        for line in whole:
            hear(line[:LINE_BYTES_MAX].decode(errors="replace").removesuffix("\r"))
