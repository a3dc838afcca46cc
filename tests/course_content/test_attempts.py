"""Attempts by hand: none that is wrong is accepted, none that is right is refused, no error without its line."""

from pathlib import Path

import pytest

from tests.course_content.attempts import CRASHING, RIGHT, WRONG, Attempt, judged


def named(attempt: Attempt) -> str:
    return f"{attempt.exercise}, {attempt.name}"


@pytest.mark.parametrize("attempt", RIGHT, ids=named)
def test_right_in_another_style_passes(attempt: Attempt, tmp_path: Path) -> None:
    found = judged(attempt, tmp_path)
    assert found.status == "right", found


@pytest.mark.parametrize("attempt", WRONG, ids=named)
def test_what_is_not_as_the_stub_says_is_refused(attempt: Attempt, tmp_path: Path) -> None:
    found = judged(attempt, tmp_path)
    assert found.status == "wrong", found
    assert not attempt.mistake or attempt.mistake in found.names, found
    assert attempt.says in found.said


@pytest.mark.parametrize("attempt", CRASHING, ids=named)
def test_an_error_is_told_with_its_line(attempt: Attempt, tmp_path: Path) -> None:
    found = judged(attempt, tmp_path)
    assert found.status == "stopped", found
    assert found.location is not None, found
    assert found.location.text.startswith(attempt.line), found.location
    assert attempt.says in found.said


def test_there_are_enough() -> None:
    attempts = [*RIGHT, *WRONG, *CRASHING]
    assert len(attempts) >= 150
    assert len({named(attempt) for attempt in attempts}) == len(attempts)
