"""What the pages of `surgeon watch` are made of."""

from dataclasses import replace

import numpy as np

from attention_surgeon.cli.watch_pages import asked, differing_lines, markdown_lines, readings, solution_lines
from attention_surgeon.course import Course, load_course
from attention_surgeon.verdict import Difference, Verdict
from tests.course.frames import BASE

PAGE = """# A unit

Of everything.

## First

Nothing here.

## Second

Write `attention(Q, K, V)`.

```bash
pytest
```
"""


def plain(lines: object) -> str:
    return "\n".join(line.plain.rstrip() for line in lines)  # type: ignore[attr-defined]


def test_what_there_is_to_read(course: Course):
    unit = course.unit("basics")
    root = course.folders[0]
    found = [str(page) for page in readings(root, unit, unit.exercises[0])]
    assert found == ["problems/01-basics/README.md", "problems/01-basics/docs/01_scores.md"]


def test_a_page_beside_the_file_comes_first():
    shipped = load_course()
    unit = shipped.unit("chapter01")
    found = [str(page) for page in readings(shipped.folders[0], unit, unit.exercises[0])]
    assert found[:3] == [
        "chapter01_attention/lab01_dot_product/README.md",
        "chapter01_attention/README.md",
        "chapter01_attention/docs/01_attention_intuition.md",
    ]


def test_the_part_of_a_page_that_asks(course: Course):
    exercise = course.exercises[0]
    assert asked(PAGE, exercise, is_own=False) == "## Second\n\nWrite `attention(Q, K, V)`."
    assert asked(PAGE, exercise, is_own=True).startswith("Of everything.")
    assert asked(PAGE, course.exercise("basics.turn"), is_own=False) == ""


def test_every_exercise_of_the_course_has_such_a_part():
    shipped = load_course()
    root = shipped.folders[0]
    for exercise in shipped.exercises:
        unit = shipped.unit(exercise.unit)
        pages = readings(root, unit, exercise)
        assert pages, exercise.name
        texts = [
            asked((root / page).read_text(), exercise, is_own=page != unit.folder / unit.page) for page in pages[:2]
        ]
        assert any(texts), exercise.name


def test_markdown_with_a_figure():
    text = plain(markdown_lines("# Title\n\nsome **bold** text\n\n![a map](../map.png)\n", 40))
    assert "some bold text" in text
    assert "figure: a map (../map.png)" in " ".join(text.split())
    assert all(len(line) <= 40 for line in text.splitlines())


def test_the_solution_beside_or_below():
    own, theirs = "def f(x):\n    return x\n", "def f(x):\n    return 2 * x\n"
    beside, below = (plain(solution_lines(own, theirs, width)) for width in (120, 80))
    row = next(line for line in beside.splitlines() if "2 * x" in line)
    assert [cell.strip() for cell in row.split("│")] == ["return x", "return 2 * x"]
    assert "-    return x\n+    return 2 * x" in below
    assert plain(solution_lines(own, own, 80)) == "Your file is the course's solution, line by line."


def test_only_the_rows_that_differ():
    right = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    yours = right.copy()
    yours[1] = 0.9, 0.1
    difference = Difference("weights", (), "Q (1, 3, 2)", yours, right)
    verdict = replace(BASE, found=replace(BASE.found, difference=difference))
    text = plain(differing_lines(verdict, 80))
    assert "problem.py (sha 3f9a1c22): weights, the row that differs: 1" in text
    assert "0.25" in text
    assert "0.50" not in text
    assert plain(differing_lines(replace(BASE, found=Verdict("wrong")), 80)) == ""
