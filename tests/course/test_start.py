"""Making a workspace and updating it: nothing of the learner's is ever lost."""

from pathlib import Path

import pytest

from attention_surgeon.course.generate import main as generate
from attention_surgeon.course.merge import merge
from attention_surgeon.course.solutions import ask_for_solution
from attention_surgeon.course.start import start_workspace, update_workspace
from attention_surgeon.course.versions import reset, restore, undo
from attention_surgeon.course.workspace import Workspace, find_workspace
from attention_surgeon.errors import FileAccessError, OptionError
from tests.course.tiny import ATTENTION

PROBLEM = "problems/01-basics/problem.py"
GIVEN = [
    "README.md",
    "end/README.md",
    "end/layer.py",
    "end/solution/layer.py",
    "end/test_layer.py",
    "problems/01-basics/README.md",
    "problems/01-basics/docs/01_scores.md",
    PROBLEM,
    "problems/01-basics/solution/problem.py",
    "problems/01-basics/solution/turn.py",
    "problems/01-basics/test_problem.py",
    "problems/01-basics/test_turn.py",
    "problems/01-basics/turn.py",
    "pyproject.toml",
    "pytest.ini",
]


def files_of(root: Path) -> list[str]:
    found = (file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
    return sorted(name for name in found if not name.startswith(".surgeon"))


def generate_with(content: Path, before: str, after: str) -> None:
    source = content / "problems/01-basics/sources/problem.py"
    assert before in ATTENTION
    source.write_text(source.read_text().replace(before, after))
    assert generate([str(content)]) == 0


def test_no_source_no_open_solution_and_no_check_is_given(workspace: Workspace):
    assert files_of(workspace.root) == GIVEN
    closed = (workspace.root / "end/solution/layer.py").read_text()
    assert "surgeon solution end.layer" in closed
    assert "nn.Linear" not in closed


def test_a_solution_that_is_asked_for_is_opened_and_written_down(workspace: Workspace):
    exercise = workspace.course.exercise("end.layer")
    path = ask_for_solution(workspace, exercise)
    assert (workspace.root / path).read_bytes() == (exercise.content / exercise.solution).read_bytes()
    assert workspace.state.read().of("end.layer").solution
    assert [(e.what, e.status) for e in workspace.history.events(str(path))][-1] == ("opened", "asked")
    before = workspace.history.events(str(path))
    ask_for_solution(workspace, exercise)
    assert workspace.history.events(str(path)) == before
    assert update_workspace(workspace).updated == []


def test_what_lies_beside_a_solution_is_not_given_either(own_content: Path, tmp_path: Path):
    for name in ("solution/notes.md", "sources/draft.py", ".hidden", "__pycache__/x.pyc"):
        file = own_content / "problems/01-basics" / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    start_workspace(tmp_path / "lab", (own_content,), alone=True)
    assert files_of(tmp_path / "lab") == GIVEN


def test_a_workspace_says_what_it_is(workspace: Workspace):
    text = (workspace.root / "README.md").read_text()
    assert text.startswith("# Tiny\n")
    assert "| [Basics](problems/01-basics/README.md) | 2 | 30 min |" in text
    assert "surgeon watch" in text


def test_what_exists_is_left_alone(content: Path, tmp_path: Path):
    mine = tmp_path / "lab" / PROBLEM
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    made = start_workspace(tmp_path / "lab", (content,), alone=True)
    assert mine.read_text() == "mine"
    assert made.kept == [PROBLEM]
    assert sorted([*made.made, PROBLEM]) == GIVEN


def test_starting_twice_touches_nothing(workspace: Workspace):
    (workspace.root / PROBLEM).write_text("mine")
    (workspace.root / "end/layer.py").unlink()
    made = start_workspace(workspace.root)
    assert (made.made, made.kept) == ([], [])
    assert (workspace.root / PROBLEM).read_text() == "mine"
    assert not (workspace.root / "end/layer.py").exists()


def test_a_folder_that_cannot_be_made(content: Path, tmp_path: Path):
    (tmp_path / "lab").write_text("a file")
    with pytest.raises(FileAccessError, match=r"cannot make .*lab"):
        start_workspace(tmp_path / "lab", (content,), alone=True)


def test_the_workspace_is_found_from_below(workspace: Workspace, tmp_path: Path):
    assert find_workspace(workspace.root / "end").root == workspace.root
    with pytest.raises(FileAccessError, match=r"there is no workspace in .*`surgeon start` makes one here"):
        find_workspace(tmp_path)


def test_an_update_merges_three_ways(own_content: Path, tmp_path: Path):
    start_workspace(tmp_path / "lab", (own_content,), alone=True)
    workspace = Workspace(tmp_path / "lab")
    assert not any(vars(update_workspace(workspace))[name] for name in ("made", "updated", "merged", "beside"))
    mine = workspace.root / PROBLEM
    mine.write_text(mine.read_text().replace("scores = ...", "scores = Q @ K.T  # mine"))
    page = workspace.root / "problems/01-basics/README.md"
    (own_content / "problems/01-basics/README.md").write_text("# Basics, better\n")
    (own_content / "end/README.md").write_text("# The end, other\n")
    (workspace.root / "end/README.md").write_text("# The end, mine\n")
    (own_content / "end/new.py").write_text("NEW = 1\n")
    generate_with(own_content, '"""Attention."""', '"""Attention, explained."""')
    made = update_workspace(workspace)
    assert (made.made, made.updated) == (["end/new.py"], ["problems/01-basics/README.md"])
    assert (made.merged, made.beside) == ([PROBLEM], ["end/README.md"])
    assert '"""Attention, explained."""' in mine.read_text()
    assert "# mine" in mine.read_text()
    assert page.read_text() == "# Basics, better\n"
    assert (workspace.root / "end/README.md").read_text() == "# The end, mine\n"
    assert (workspace.root / "end/README.md.new").read_text() == "# The end, other\n"
    undo(workspace, PROBLEM)
    assert '"""Attention."""' in mine.read_text()
    assert "# mine" in mine.read_text()


def test_a_file_that_the_course_dropped_stays(own_content: Path, tmp_path: Path):
    (own_content / "end/old.py").write_text("OLD = 1\n")
    start_workspace(tmp_path / "lab", (own_content,), alone=True)
    (own_content / "end/old.py").unlink()
    made = update_workspace(Workspace(tmp_path / "lab"))
    assert made.dropped == ["end/old.py"]
    assert (tmp_path / "lab/end/old.py").exists()


@pytest.mark.parametrize(
    ("base", "theirs", "yours", "merged"),
    [
        ("a\nb\nc\n", "a\nb\nc\n", "a\nX\nc\n", "a\nX\nc\n"),
        ("a\nb\nc\n", "a\nX\nc\n", "a\nX\nc\n", "a\nX\nc\n"),
        ("a\nb\nc\nd\ne\n", "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\nF\n", "A\nb\nc\nd\nE\nF\n"),
        ("a\nb\nc\nd\ne\n", "b\nc\nd\ne\n", "a\nb\nc\ne\n", "b\nc\ne\n"),
        ("a\nb\nc\n", "a\nX\nc\n", "a\nY\nc\n", None),
        ("a\nb\nc\n", "a\nX\nc\n", "a\nb\nY\n", None),
        ("", "x\n", "y\n", None),
    ],
)
def test_merging(base: str, theirs: str, yours: str, merged: str | None):
    assert merge(base, theirs, yours) == merged


def test_reset_and_undo_keep_everything(workspace: Workspace):
    mine = workspace.root / PROBLEM
    stub = mine.read_text()
    mine.write_text("first")
    first = reset(workspace, PROBLEM)
    assert mine.read_text() == stub
    assert workspace.objects.get(first) == b"first"
    undo(workspace, PROBLEM)
    assert mine.read_text() == "first"
    mine.write_text("second")
    undo(workspace, PROBLEM)
    assert mine.read_text() == "first"
    with pytest.raises(OptionError, match=r"there is no version of .* before this one"):
        undo(workspace, PROBLEM)
    restored = [event.sha256 for event in workspace.history.events(PROBLEM)]
    second = next(sha for sha in restored if workspace.objects.get(sha) == b"second")
    restore(workspace, PROBLEM, second[:10])
    assert mine.read_text() == "second"
    with pytest.raises(OptionError, match="no version begins with 'zz'"):
        restore(workspace, PROBLEM, "zz")
    with pytest.raises(OptionError, match=r"the course gives no file nothing\.py"):
        reset(workspace, "nothing.py")


def test_reset_brings_a_deleted_file_back(workspace: Workspace):
    (workspace.root / PROBLEM).unlink()
    assert reset(workspace, PROBLEM) == ""
    assert "YOUR CODE HERE" in (workspace.root / PROBLEM).read_text()
