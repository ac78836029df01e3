"""Streamed text: few lines of many pieces, nothing lost that is not counted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from crews.chunks import (
    EVERY_S,
    EVERY_S_MAX,
    LINE_CHARACTERS_MAX,
    LINE_COST,
    LINES_AT_A_PACE,
    RUN_COST_MAX,
    Chunks,
    Piece,
)


def texts(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_the_first_piece_is_said_at_once_and_the_next_wait() -> None:
    chunks = Chunks()
    assert texts(chunks.add("1", "Writer", "Once ", 0.0)) == "Once "
    assert chunks.add("1", "Writer", "upon ", 0.01) == []
    assert chunks.add("1", "Writer", "a ", EVERY_S - 0.001) == []
    assert chunks.add("1", "Writer", "time", EVERY_S) == [Piece("1", "Writer", "upon a time")]


def test_twenty_thousand_pieces_in_two_seconds_are_some_twenty_lines() -> None:
    chunks = Chunks()
    lines = []
    for number in range(20_000):
        lines += chunks.add("1", "Writer", "word ", number / 10_000)
    lines += chunks.end("1", 2.0)
    assert len(lines) <= 2 / EVERY_S + 2
    kept = sum(len(line.text) for line in lines)
    assert kept + sum(line.left_out for line in lines) == 20_000 * len("word ")
    assert all(len(line.text) <= LINE_CHARACTERS_MAX for line in lines)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.text(max_size=30), st.floats(0, 0.2), st.booleans()), max_size=60
    )
)
def test_what_was_streamed_comes_out_whole_and_in_order(steps: list[tuple[str, str, float, bool]]) -> None:
    chunks, said, now_s = Chunks(), [], 0.0
    for call, text, pause_s, is_thought in steps:
        now_s += pause_s
        said += chunks.add(call, "Writer", text, now_s, is_thought=is_thought)
    said += chunks.close(now_s)
    for call in "abc":
        for is_thought in (True, False):
            streamed = "".join(
                text for one, text, _, thought in steps if (one, thought) == (call, is_thought)
            )
            told = texts([piece for piece in said if (piece.call, piece.is_thought) == (call, is_thought)])
            assert told == streamed


def test_several_calls_share_the_pace_and_each_gets_its_turn() -> None:
    chunks = Chunks()
    said = []
    for number in range(1000):
        for call in ("a", "b", "c"):
            said += chunks.add(call, call, "x", number / 100)
    assert len(said) <= 10 / EVERY_S + 1
    assert {call: sum(piece.call == call for piece in said) > 20 for call in "abc"} == dict.fromkeys(
        "abc", True
    )


def test_a_line_is_full_at_its_bound_and_not_before() -> None:
    chunks = Chunks()
    chunks.add("1", "Writer", "", 0.0)
    chunks.add("1", "Writer", "first", 0.0)
    chunks.add("1", "Writer", "x" * LINE_CHARACTERS_MAX, 0.01)
    (full,) = chunks.end("1", 0.02)
    assert (len(full.text), full.left_out) == (LINE_CHARACTERS_MAX, 0)
    chunks.add("1", "Writer", "x" * (LINE_CHARACTERS_MAX + 1), 0.03)
    (overfull,) = chunks.end("1", 0.04)
    assert (len(overfull.text), overfull.left_out) == (LINE_CHARACTERS_MAX, 1)


def test_a_run_streams_up_to_its_bound_and_then_counts() -> None:
    chunks = Chunks()
    said = []
    for number in range(RUN_COST_MAX // LINE_CHARACTERS_MAX + 1):
        said += chunks.add("1", "Writer", "x" * LINE_CHARACTERS_MAX, 10.0 * number)
    said += chunks.end("1", 1000.0)
    told = sum(len(piece.text) + LINE_COST for piece in said if piece.text)
    assert RUN_COST_MAX - LINE_COST <= told <= RUN_COST_MAX
    assert sum(len(piece.text) + piece.left_out for piece in said) == RUN_COST_MAX + LINE_CHARACTERS_MAX


def test_an_hour_of_text_is_at_most_some_two_thousand_lines_that_come_ever_more_rarely() -> None:
    """L110: what is said of a run does not grow with its length without end."""
    chunks, at_s, every_s = Chunks(), [], []
    for number in range(20 * 3600):
        if chunks.add("1", "Writer", "x", number / 20):
            at_s.append(number / 20)
            every_s.append(chunks.every_s)
    assert LINES_AT_A_PACE < len(at_s) < 2_000
    assert at_s[LINES_AT_A_PACE - 1] < 2 * LINES_AT_A_PACE * EVERY_S
    assert at_s[-1] - at_s[-2] > 3
    assert every_s == sorted(every_s)
    assert max(every_s) <= EVERY_S_MAX


def test_thoughts_come_before_the_answer_and_apart_from_it() -> None:
    chunks = Chunks()
    chunks.add("0", "Writer", "x", 0.0)
    chunks.add("1", "Writer", "answer", 0.01)
    chunks.add("1", "Writer", "thought", 0.02, is_thought=True)
    assert [(piece.text, piece.is_thought) for piece in chunks.end("1", 0.03)] == [
        ("thought", True),
        ("answer", False),
    ]


def test_the_end_of_a_call_says_only_that_call() -> None:
    chunks = Chunks()
    chunks.add("0", "Writer", "x", 0.0)
    chunks.add("1", "Writer", "one", 0.01)
    chunks.add("2", "Writer", "two", 0.02)
    assert texts(chunks.end("1", 0.03)) == "one"
    assert texts(chunks.close(0.04)) == "two"
    assert chunks.close(0.05) == []
