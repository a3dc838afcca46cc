"""The window of `surgeon watch`: word for word where it is usual, and never too wide or too high."""

import pytest
from rich.cells import cell_len

from attention_surgeon.cli.watch_screen import frame
from attention_surgeon.course import Course
from tests.course.frames import FRAMES, drawn, golden, view_of

WHAT = sorted({what for _, _, what in FRAMES.values()})


@pytest.mark.parametrize("name", FRAMES)
def test_word_for_word(name: str, course: Course):
    assert drawn(course, name) == golden(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize(("width", "height"), [(20, 8), (33, 12), (61, 17), (80, 24), (120, 40), (300, 100)])
def test_it_fits_the_window(what: str, width: int, height: int, course: Course):
    lines = frame(view_of(course, what, width), width, height)
    assert len(lines) == height
    assert max(cell_len(line.plain.rstrip()) for line in lines) <= width


def test_a_window_that_is_too_small(course: Course):
    assert [line.plain for line in frame(view_of(course, "question"), 18, 30)] == ["make the window l…"]
    assert [line.plain for line in frame(view_of(course, "question"), 80, 7)] == ["make the window larger"]


def test_the_name_comes_with_the_pointer_and_the_code_with_the_fix(course: Course):
    name, code = "softmax_over_queries", "weights = torch.softmax(scores, dim=-1)"
    told = {what: drawn(course, f"{what}_80x24") for what in ("question", "pointer", "fix")}
    assert [name in told[what] for what in told] == [False, True, True]
    assert [code in told[what] for what in told] == [False, False, True]
    assert all("Along which axis should one query's choices add up?" in text for text in told.values())
