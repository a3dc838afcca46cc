"""The commands of the course, one after the other, as a learner and a teacher give them."""

import contextlib
import csv
import io
import json
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

import pytest

from attention_surgeon.course.client import Judge
from attention_surgeon.course.generate import main as generate
from attention_surgeon.course.start import start_workspace
from tests.cli.conftest import Surgeon, surgeon
from tests.course.hostile import HEAD, RIGHT
from tests.course.tiny import REGISTRY

__all__ = ["surgeon"]
NO_SCALE = RIGHT.replace(" / Q.shape[-1] ** 0.5", "")
PROBLEM = "problems/01-basics/problem.py"


@pytest.fixture
def lab(content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    start_workspace(tmp_path / "lab", (content,), alone=True)
    monkeypatch.chdir(tmp_path / "lab")
    return tmp_path / "lab"


@pytest.fixture
def warm(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands ask the judge of all tests, where it is not the point that each starts one and ends it."""
    for command in ("check", "course"):
        monkeypatch.setattr(f"attention_surgeon.cli.{command}.Judge", lambda: contextlib.nullcontext(judge))


def test_start_says_what_it_made(surgeon: Surgeon, content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done = surgeon("start", "lab", "--only", content)
    assert done.code == 0
    assert "made: 15 files" in done.out
    assert "problems/01-basics/  Basics: 2 exercises, 30 min" in done.out
    assert done.out.endswith("  cd lab && surgeon watch\n")
    again = surgeon("start", "lab")
    assert "everything was there already; nothing was touched" in again.out


def test_without_a_workspace(surgeon: Surgeon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for command in (
        ["check"],
        ["list"],
        ["hint"],
        ["reset"],
        ["undo"],
        ["journal"],
        ["progress"],
        ["update"],
        ["watch"],
    ):
        done = surgeon(*command)
        assert (done.code, done.out) == (2, "")
        assert "there is no workspace in" in done.err


def test_the_way_of_a_learner(surgeon: Surgeon, lab: Path):
    assert "▸ ○ basics.attention" in surgeon("list").out
    (lab / PROBLEM).write_text(NO_SCALE)
    found = surgeon("check")
    assert found.code == 1
    assert "✗ Not yet. The weights are too sharp" in found.out
    assert "scale_missing" not in found.out
    assert "scale_missing  (scale)" in surgeon("hint").out
    assert "scores = scores / math.sqrt(query.shape[-1])" in surgeon("hint", "attention").out
    (lab / PROBLEM).write_text(RIGHT)
    passed = surgeon("check", PROBLEM, "--json")
    assert passed.code == 0
    verdict = json.loads(passed.out)["verdicts"][0]
    assert (verdict["status"], verdict["first_pass"], verdict["since"]) == ("passed", True, "the scale is right now")
    history = surgeon("history").out
    assert f"{PROBLEM}: 2 versions" in history
    assert history.count("scale_missing") == 1
    assert "is version" in surgeon("undo").out
    assert (lab / PROBLEM).read_text() == NO_SCALE
    assert "is as the course gave it; your version is kept as" in " ".join(surgeon("reset").out.split())
    assert "YOUR CODE HERE" in (lab / PROBLEM).read_text()
    assert "learning_journal.md: 1 entry" in surgeon("journal").out
    assert "[ ] a heat map: no end/pictures/*.png" in surgeon("journal").out
    assert "0 of 3 passed" in surgeon("progress").out
    assert "0 of 3 exercises passed" in (lab / "progress.html").read_text()
    assert surgeon("update").out == "the workspace is up to date; nothing was touched\n"


@pytest.mark.usefixtures("warm")
def test_check_all(surgeon: Surgeon, lab: Path, content: Path):
    shutil.copy(content / "end/solution/layer.py", lab / "end/layer.py")
    (lab / PROBLEM).unlink()
    done = surgeon("check", "--all")
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[0].startswith("? basics.attention: there is no problems/01-basics/problem.py here")
    assert any(line.startswith("○ basics.turn") and "not begun" in line for line in lines)
    assert any(line.startswith("✓ end.layer") and "right" in line for line in lines)
    assert lines[-1].startswith("1 of 3 passed, 2 open")


def test_an_exercise_that_is_not_there(surgeon: Surgeon, lab: Path):
    done = surgeon("check", "basics.atention")
    assert (done.code, done.out) == (2, "")
    assert "there is no exercise 'basics.atention'; Did you mean basics.attention?" in done.err


def test_hints_of_an_exercise_before_there_is_a_mistake(surgeon: Surgeon, lab: Path):
    assert "ask   Which axis holds the keys?" in surgeon("hint").out
    assert "look  The softmax runs over the keys." in surgeon("hint").out
    assert "fix   weights = torch.softmax(scores, dim=-1)" in surgeon("hint").out


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_patch_comes_after_the_last_hint_where_the_course_allows_it(
    surgeon: Surgeon, own_content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_allowed: bool
):
    registry = own_content / "course.toml"
    if is_allowed:
        registry.write_text(registry.read_text().replace("[course]\n", "[course]\nallow_patch = true\n"))
    start_workspace(tmp_path / "lab", (own_content,), alone=True)
    monkeypatch.chdir(tmp_path / "lab")
    Path(PROBLEM).write_text(NO_SCALE)
    surgeon("check", "basics.attention")
    told = [surgeon("hint").out for _ in range(3)]
    assert not any("@@" in each for each in told[:2])
    assert ("+    " in told[2] and "@@" in told[2]) == is_allowed
    assert Path(PROBLEM).read_text() == NO_SCALE


def test_a_damaged_state_is_told_once(surgeon: Surgeon, lab: Path):
    surgeon("hint")
    (lab / ".surgeon/state.json").write_text("{")
    first = surgeon("list")
    assert first.code == 0
    assert "note: state.json was damaged" in first.err
    assert surgeon("list").err == ""


@pytest.mark.usefixtures("warm")
def test_a_unit_from_somebody_else(surgeon: Surgeon, lab: Path, tmp_path: Path, content: Path):
    theirs = tmp_path / "theirs"
    shutil.copytree(content, theirs)
    own = (
        REGISTRY.replace('"basics', '"extra')
        .replace("problems/01-basics", "extra")
        .replace("passed:basics", "passed:extra")
    )
    registry = own[: own.index('[[unit]]\nname = "end"')]
    (theirs / "course.toml").write_text(registry)
    shutil.move(theirs / "problems/01-basics", theirs / "extra")
    assert surgeon("start", ".", "--add", theirs).code == 0
    shutil.copy(theirs / "extra/solution/turn.py", lab / "extra/turn.py")
    assert surgeon("check", "extra.turn").code == 0
    assert "✓ extra.turn" in surgeon("list").out
    checked = surgeon("course", "check", theirs, "--quick")
    assert (checked.code, checked.out.splitlines()[-1].strip()) == (0, "✓ all in order")


def test_a_class_with_a_hostile_submission(
    surgeon: Surgeon, content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    temporary = tmp_path / "temporary"  # what it deletes there is nobody else's, not even another test's
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    hostile = (
        f"import glob, os, shutil\nfor folder in glob.glob('{temporary}/*') + glob.glob('../../*/../../../b'):\n"
        f"    shutil.rmtree(folder, ignore_errors=True)\nos.kill(os.getppid(), 9)\n{RIGHT}"
    )
    texts = {"a": RIGHT, "b": NO_SCALE, "c": hostile, "=d": HEAD + "    return V\n", "e": None}
    for name, text in texts.items():
        folder = tmp_path / name / "problems/01-basics"
        folder.mkdir(parents=True)
        if text is not None:
            (folder / "problem.py").write_text(text)
    alone = shutil.move(tmp_path / "b/problems/01-basics/problem.py", tmp_path / "b")  # without its folders
    os.utime(alone, (0, datetime.fromisoformat("2026-12-02T01:30:00").timestamp()))
    folders = [tmp_path / name for name in texts]
    usual = ("--course", content, "--exercise", "basics.attention", "--sandbox", "off")
    done = surgeon("grade", *folders, *usual, "--format", "csv", "--jobs", "2", "--due", "2026-12-02T00:00")
    assert done.code == 0
    table = list(csv.DictReader(io.StringIO(done.out)))
    rows = {row["student"].lstrip("'"): row for row in table if row["exercise"] != "total"}
    totals = {row["student"].lstrip("'"): row["points"] for row in table if row["exercise"] == "total"}
    statuses = {name: row["status"] for name, row in rows.items()}
    assert statuses == {"a": "passed", "b": "mistake", "c": "stopped", "=d": "mistake", "e": "missing"}
    assert totals == {"a": "1", "b": "0", "c": "0", "=d": "0", "e": "0"}
    assert all(row["sentence"] for row in table)
    assert rows["b"]["mistakes"] == "scale_missing"
    assert [rows[name]["late_hours"] for name in "be"] == ["1.5", "0.0"]
    assert "ended the process that judges it" in rows["c"]["sentence"]
    folder = tmp_path / "results"
    one_each = surgeon("grade", *folders[:2], *usual, "--jobs", "1", "--format", "gradescope", "--out", folder)
    assert (one_each.code, sorted(file.name for file in folder.iterdir())) == (0, ["a.json", "b.json"])
    assert json.loads((folder / "a.json").read_text())["score"] == 1
    missing = surgeon("grade", tmp_path / "nobody", "--course", content)
    assert (missing.code, "there is no such folder" in missing.err) == (2, True)


@pytest.mark.usefixtures("warm")
def test_what_an_author_is_told(surgeon: Surgeon, own_content: Path):
    basics, end = own_content / "problems/01-basics", own_content / "end"
    (end / "README.md").unlink()
    (end / "notes.py.orig").touch()
    (basics / "solution/unused.py").touch()
    checks = basics / "checks.py"
    checks.write_text(
        checks.read_text().replace("matrix.T + 1]}", "matrix.T]}").replace("matrix.transpose(0, 1)", "matrix")
    )
    (end / "layer.py").write_text("")
    source = basics / "sources/problem.py"
    source.write_text(source.read_text().replace("dim=-1", "dim=-2"))
    (basics / "test_turn.py").write_text("def test_all():\n    pass\n")
    done = surgeon("course", "check", own_content, "--json", "--quick")
    assert done.code == 1
    problems = "\n".join(json.loads(done.out.splitlines()[-1])["problems"])
    assert "layer.py is not what its source makes" in problems
    assert "unit end: there is no page" in problems
    assert "notes.py.orig is a stray file" in problems
    assert "unused.py is a stray file" in problems
    assert "basics.turn: <lambda> is wrong and passes" in problems
    assert "basics.turn: <lambda> is valid and rejected: It comes back as it was." in problems
    assert "end.layer: the stub is stopped, expected untouched." in problems
    assert generate([str(own_content)]) == 0
    done = surgeon("course", "check", own_content, "--json", "--quick")
    problems = "\n".join(json.loads(done.out.splitlines()[-1])["problems"])
    assert "basics.attention: the solution is mistake: softmax_over_queries" in problems


@pytest.mark.usefixtures("warm")
def test_a_course_in_order_with_its_tests_and_its_catalogue(surgeon: Surgeon, own_content: Path):
    registry = own_content / "course.toml"
    cut = registry.read_text()
    registry.write_text(
        cut[: cut.index('[[unit]]\nname = "end"')].replace('contract = "attention"', 'contract = "softmax"')
    )
    source = own_content / "problems/01-basics/sources/problem.py"
    source.write_text(
        "import torch\n\n\ndef attention(x, dim=-1):\n    # BEGIN SOLUTION\n    return torch.softmax(x, dim)\n"
        "    # END SOLUTION\n"
    )
    assert generate([str(own_content)]) == 0
    done = surgeon("course", "check", own_content, "--jobs", "1")
    counted = {line[11:].strip(): line[:11].strip() for line in done.out.splitlines()}
    assert (done.code, done.out.splitlines()[-1].strip()) == (0, "✓ all in order")
    assert counted["stubs fail"] == counted["solutions pass"] == counted["stubs seen as not begun"] == "2"
    assert int(counted["faults rejected and named"]) > 3
    assert int(counted["valid alternatives pass"]) > 3
    assert counted["checks: wrong ones rejected"] == "2"
