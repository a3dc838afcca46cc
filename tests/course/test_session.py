"""A learner's way through an exercise: what is found, remembered and written down."""

from datetime import datetime
from pathlib import Path

import pytest

from attention_surgeon.course.client import Judge
from attention_surgeon.course.evidence import checklist
from attention_surgeon.course.journal import add_entry_once, entries, unanswered
from attention_surgeon.course.page import progress_page
from attention_surgeon.course.session import Judged, following, judge_exercise, raise_level
from attention_surgeon.course.state import Standing
from attention_surgeon.course.workspace import JOURNAL, Workspace
from attention_surgeon.errors import FileAccessError
from tests.course.hostile import RIGHT

TWO = RIGHT.replace(" / Q.shape[-1] ** 0.5", "").replace("dim=-1", "dim=-2")
ONE = RIGHT.replace(" / Q.shape[-1] ** 0.5", "")


def save(workspace: Workspace, judge: Judge, text: str, name: str = "basics.attention") -> Judged:
    exercise = workspace.course.exercise(name)
    workspace.file(exercise).write_text(text, encoding="utf-8")
    return judge_exercise(workspace, judge, exercise)


def test_from_the_stub_to_the_journal(workspace: Workspace, judge: Judge):
    exercise = workspace.course.exercise("basics.attention")
    begun = judge_exercise(workspace, judge, exercise)
    assert (begun.verdict.status, begun.standing.attempts) == ("untouched", 0)
    first = save(workspace, judge, TWO)
    assert first.verdict.names == ("scale_missing", "softmax_over_queries")
    assert (first.level, first.since) == ("question", "")
    raise_level(workspace, exercise)
    second = save(workspace, judge, ONE)
    assert second.since == "the softmax is right now; the scale remains"
    assert second.level == "pointer"
    again = save(workspace, judge, ONE + "\n\n# the same\n")
    assert (again.since, again.level) == ("nothing has changed in what it does", "pointer")
    third = save(workspace, judge, RIGHT)
    assert third.is_new
    assert third.notes == (
        "an entry was added to learning_journal.md",
        "a solution to compare with yours is open now: problems/01-basics/solution/problem.py",
    )
    assert third.standing.beaten == ["softmax_over_queries", "scale_missing"]
    assert not save(workspace, judge, RIGHT + "\n").is_new
    entry = entries(workspace.root / JOURNAL)["basics.attention"]
    assert "Mistakes beaten: `softmax_over_queries`, `scale_missing`." in entry
    assert f"{datetime.now():%Y-%m-%d}" in entry
    kept = [workspace.objects.get(event.sha256).decode() for event in workspace.history.events(str(exercise.path))]
    assert kept[1:4] == [TWO, ONE, ONE + "\n\n# the same\n"]


def test_the_stub_with_other_comments_is_still_the_stub(workspace: Workspace, judge: Judge):
    stub = workspace.file(workspace.course.exercise("basics.attention")).read_text()
    assert save(workspace, judge, f"# mine\n{stub}\nprint('hello')\n").verdict.status == "untouched"
    assert save(workspace, judge, stub.replace("scores = ...", "scores = Q @ K.mT")).verdict.status == "unfinished"


def test_tests_that_were_changed_are_noticed(workspace: Workspace, judge: Judge):
    tests = workspace.root / "problems/01-basics/test_problem.py"
    tests.write_text("def test_all():\n    pass\n")
    judged = save(workspace, judge, ONE)
    assert judged.verdict.status == "mistake"
    assert judged.notes == (
        "problems/01-basics/test_problem.py was changed. The verdict does not use it; "
        "`surgeon reset problems/01-basics/test_problem.py` brings the course's one back.",
    )
    tests.unlink()
    assert "is gone" in save(workspace, judge, TWO).notes[0]


def test_a_check_of_the_unit(workspace: Workspace, judge: Judge):
    same = save(workspace, judge, "def turn(matrix):\n    return matrix\n", "basics.turn")
    assert same.verdict.names == ("not_turned",)
    assert same.verdict.mistakes[0].symptom == "It comes back as it was."
    wrong = save(workspace, judge, "def turn(matrix):\n    return matrix.T + 1\n", "basics.turn")
    assert wrong.verdict.found.unnamed == ("Row 0 must be what was column 0.",)
    own = "def turn(matrix):\n    assert matrix is None, 'mine'\n"
    assert "AssertionError: mine" in save(workspace, judge, own, "basics.turn").verdict.sentence
    assert save(workspace, judge, "def turn(m):\n    return m.T\n", "basics.turn").verdict.status == "passed"


def test_a_verdict_that_cannot_be_remembered_is_still_given(
    workspace: Workspace, judge: Judge, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> None:
        raise FileAccessError("cannot write state.json: the disk is full; free some space and try again.")

    monkeypatch.setattr("attention_surgeon.course.state.write_file", full)
    judged = save(workspace, judge, ONE)
    assert judged.verdict.names == ("scale_missing",)
    assert judged.notes[-1].startswith("this verdict is not remembered: cannot write state.json: the disk is full")


def test_a_file_that_is_gone(workspace: Workspace, judge: Judge):
    exercise = workspace.course.exercise("end.layer")
    workspace.file(exercise).unlink()
    with pytest.raises(FileAccessError, match=r"`surgeon reset end\.layer` brings it back"):
        judge_exercise(workspace, judge, exercise)


def test_the_checklist_ticks_itself_only_from_evidence(workspace: Workspace, judge: Judge):
    unit = workspace.course.unit("end")

    def done() -> list[bool]:
        return [point.is_done for point in checklist(workspace, unit.folder, unit.evidence)]

    assert done() == [False] * 4
    (workspace.root / "end/pictures").mkdir()
    (workspace.root / "end/pictures/empty.png").touch()
    assert done() == [False] * 4
    (workspace.root / "end/pictures/map.png").write_bytes(b"png")
    save(workspace, judge, "def turn(m):\n    return m.T\n", "basics.turn")
    assert done() == [True, True, False, False]
    journal = workspace.root / JOURNAL
    assert unanswered(entries(journal)["basics"]) == 2
    journal.write_text(journal.read_text().replace("Your answer:", "Your answer: whom it asks", 1))
    assert done()[2] is False
    journal.write_text(journal.read_text().replace("Your answer:\n", "Your answer:\n\n   who is asked\n", 1))
    run = workspace.root / "end/runs/2026-scaling"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"experiment": "scaling"}')
    assert done() == [True, True, True, False]
    (run / "verdict.txt").write_text("found")
    assert done() == [True] * 4
    assert checklist(workspace, unit.folder, unit.evidence)[0].found == "end/pictures/map.png"


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        ("", False),
        ("TODO", False),
        ("...", False),
        ("?", False),
        ("-", False),
        ("<!-- later -->", False),
        ("n_k", True),
        ("42", True),
        ("it looks nothing up", True),
        ("three things:\n\n1. one\n2. two", True),
        ("\n\n1. because", True),
    ],
)
def test_only_an_answer_counts(answer: str, counts: bool):
    first, second = f"1. Why?\n\n   Your answer: {answer}\n\n", f"2. What?\n\n   Your answer: {answer}\n\n"
    entry = f"{first}{second}## Something else\n\nnot mine\n"
    assert unanswered(entry) == (0 if counts else 2)


def test_passing_the_last_exercise_tests_out_of_the_unit(workspace: Workspace, judge: Judge):
    save(workspace, judge, "def turn(m):\n    return m.T\n", "basics.turn")
    assert "basics" in entries(workspace.root / JOURNAL)


def test_what_the_learner_wrote_stays(tmp_path: Path):
    journal = tmp_path / "learning_journal.md"
    journal.write_bytes(b"mine \xff, no newline")
    add_entry_once(journal, "<!-- surgeon: a.b -->\n\n## A\n")
    add_entry_once(journal, "<!-- surgeon: a.b -->\n\n## again\n")
    assert journal.read_bytes() == b"mine \xff, no newline\n\n<!-- surgeon: a.b -->\n\n## A\n"


def test_the_page_needs_nothing_from_elsewhere(workspace: Workspace, judge: Judge):
    save(workspace, judge, ONE)
    save(workspace, judge, RIGHT)
    page = progress_page(workspace, datetime(2026, 1, 2, 3, 4))
    assert "1 of 3 exercises passed · 2026-01-02 03:04" in page
    assert "<code>scale_missing</code>" in page
    assert "answered</summary>" not in page
    journal = workspace.root / JOURNAL
    save(workspace, judge, "def turn(m):\n    return m.T\n", "basics.turn")
    journal.write_text(journal.read_text().replace("Your answer:\n", "Your answer: its <own> choices\n", 1))
    (workspace.root / "end/map.png").write_bytes(b"png")
    page = progress_page(workspace, datetime(2026, 1, 2, 3, 4))
    assert "1 answered</summary><dl><dt>What does a row say?</dt><dd>its &lt;own&gt; choices</dd></dl>" in page
    assert '<img src="data:image/png;base64,cG5n" alt="end/map.png">' in page
    assert "http" not in page
    assert "<script" not in page


def test_the_last_exercise_tests_out_of_its_unit(workspace: Workspace):
    exercises = workspace.course.exercises
    first, *_ = exercises
    unit = workspace.course.unit(first.unit)
    assert following(exercises, first, {}) == exercises[1]
    tested_out = {unit.exercises[-1].name: Standing(passed="2026-11-03T14:02:07+00:00")}
    assert unit.exercises[0].name not in tested_out
    beyond = following(exercises, first, tested_out)
    assert beyond is not None
    assert beyond.unit != unit.name
    everything = {other.unit: other.name for other in exercises}.values()
    assert following(exercises, first, {name: Standing(passed="now") for name in everything}) is None
