"""The page that shows the life of a task is drawn from the table, and is current."""

from docs.draw_lifecycle import HAPPENINGS, PAGE, draw
from hub.core.happenings import Happening
from hub.core.lifecycle import MOVES


def test_the_page_of_the_lifecycle_is_drawn_from_the_table() -> None:
    """The remedy: `python -m docs.draw_lifecycle`."""
    assert PAGE.read_text(encoding="utf-8") == draw(), "run python -m docs.draw_lifecycle and commit the page"


def test_everything_that_can_happen_is_in_the_table_and_on_the_page() -> None:
    kinds = set(Happening.__subclasses__())
    assert kinds == set(HAPPENINGS)
    assert kinds == {kind for moves in MOVES.values() for kind in moves}
