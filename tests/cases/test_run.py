"""What a first line says, what is counted, and one case through the real command."""

import json
from pathlib import Path

import pytest

from tests.cases.run import HERE, Case, Judged, count, find_cases, main, read_case


def case_of(folder: Path, line: str) -> Case | None:
    file = folder / "one.py"
    file.write_text(f"{line}\nimport torch\n", encoding="utf-8")
    return read_case(file)


@pytest.mark.parametrize(
    ("line", "verdicts", "kinds"),
    [
        ("# RIGHT: plain. Object: attention", ("right",), ()),
        ("# RIGHT (NaN rows, as in PyTorch). Object: attention", ("right",), ()),
        ("# RIGHT: kernel; it is not softmax attention. Object: attention", ("unjudged", "right"), ()),
        ("# WRONG rope: halves and pairs: mixed. Object: attention", ("wrong",), ("rope",)),
        ("# WRONG rope + scale_missing: both. Object: attention", ("wrong",), ("rope", "scale_missing")),
    ],
)
def test_a_first_line_is_read(tmp_path: Path, line: str, verdicts: tuple[str, ...], kinds: tuple[str, ...]):
    case = case_of(tmp_path, line)
    assert case is not None
    assert (case.verdicts, case.kinds, case.target) == (verdicts, kinds, f"{tmp_path}/one.py:attention")


@pytest.mark.parametrize("line", ["import torch", "# RIGHT: no object", "# MAYBE: what. Object: attention"])
def test_any_other_file_is_no_case(tmp_path: Path, line: str):
    assert case_of(tmp_path, line) is None


def test_every_copied_case_is_found():
    names = {case.name for case in find_cases([])}
    own = {file.name for file in HERE.glob("*.py") if file.name.startswith(("right_", "wrong_"))}
    assert own <= names
    assert {"project_root/models/attention.py", "reports/b01_rope_mixed.py"} <= names
    assert not any(name.startswith(("run", "calls", "test_")) for name in names)


def test_a_word_chooses_cases():
    assert {case.name for case in find_cases(["valid_lens.py"])} == {"right_valid_lens.py"}


def test_a_reading_counts_where_it_belongs(tmp_path: Path):
    right, wrong = Case(tmp_path, "", tmp_path, ("right",), ()), Case(tmp_path, "", tmp_path, ("wrong",), ("rope",))
    double = wrong._replace(kinds=("rope", "cache"))
    found = [
        Judged(right, "wrong", ("rope",), "", 1.0),
        Judged(right, "unjudged", (), "it was stopped after 60 s", 1.0),
        Judged(right, "right", (), "", 1.0),
        Judged(wrong, "right", (), "", 1.0),
        Judged(wrong, "wrong", ("rope",), "", 1.0),
        Judged(wrong, "crashed", (), "", 1.0),
        Judged(double, "wrong", ("rope",), "", 1.0),
        Judged(double, "wrong", ("rope", "cache"), "", 1.0),
    ]
    assert count(found) == {
        "right cases": 3,
        "right accepted": 1,
        "false WRONG": 1,
        "right unjudged": 1,
        "wrong cases": 5,
        "wrong rejected": 3,
        "single faults": 3,
        "single faults named": 1,
        "double faults": 2,
        "double faults named": 1,
        "wrong accepted": 1,
        "wrong unjudged": 1,
        "out of time": 1,
    }


def test_the_command_is_called_and_the_exit_code_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    case = read_case(HERE / "wrong_masked_fill_not_assigned.py")
    assert case is not None
    says_right = case.file.read_text(encoding="utf-8").replace("# WRONG mask_ignored:", "# RIGHT:")
    liar = tmp_path / "liar.py"
    liar.write_text(says_right, encoding="utf-8")
    written = tmp_path / "found.json"
    assert main([str(case.file), "--json", str(written)]) == 0
    (found,) = json.loads(written.read_text(encoding="utf-8"))["cases"]
    assert (found["verdict"], found["names"]) == ("wrong", ["mask_ignored"])
    assert main([str(liar), "--json", str(written)]) == 1
    assert '"false WRONG": 1' in written.read_text(encoding="utf-8")
    assert "NOT EXPECTED" in capsys.readouterr().out


def test_no_case_is_said(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["no such word"])
    assert "no case in no such word" in capsys.readouterr().err
