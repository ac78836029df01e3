"""What a question is called: the same by whoever asks it again, and another for every other one."""

from __future__ import annotations

from protocol.ids import QUESTION_MARK_LENGTH, TASK_ID_PATTERN, TaskId, question_id

TASK = TaskId("task-0123456789abcdef")


def test_the_same_question_of_a_later_attempt_has_the_same_id() -> None:
    assert question_id(TASK, 1, "Which colour?") == question_id(TASK, 1, "Which colour?")


def test_another_text_another_time_or_another_task_is_another_question() -> None:
    one = question_id(TASK, 1, "Which colour?")
    others = {
        question_id(TASK, 1, "Which size?"),
        question_id(TASK, 2, "Which colour?"),
        question_id(TaskId("task-fedcba9876543210"), 1, "Which colour?"),
    }
    assert len(others | {one}) == 4


def test_an_id_begins_with_its_task_and_stays_short_whatever_is_asked() -> None:
    """Half of a surrogate pair is nothing that UTF-8 knows; a program may print it all the same."""
    said = question_id(TASK, 7, "\ud800" + "ü" * 100_000)
    assert TASK_ID_PATTERN.match(said)
    assert len(said) == len(TASK) + len("-7-") + QUESTION_MARK_LENGTH
