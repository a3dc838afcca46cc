"""What is told first: errors, then the numbers, then what else the text promises; to pytest as to the judge."""

from pathlib import Path
from typing import Any

import pytest

from attention_surgeon.course import check_exercise
from attention_surgeon.course.asked import verdict_on
from attention_surgeon.course.exercises import CrashError, ExplainedError, promises_of
from attention_surgeon.verdict import verdict_from_dict
from tests.course_content.exercises import CONTENT

SOFTMAX = "import numpy as np\n\n\ndef softmax(scores):\n    e = np.exp(scores - scores.max(-1, keepdims=True))\n"


def written(folder: Path, text: str, name: str) -> Any:
    file = folder / "mine.py"
    file.write_text(text)
    names: dict[str, Any] = {}
    exec(compile(text, str(file), "exec"), names)
    return names[name]


def test_pytest_reads_file_line_text_message_and_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONTENT)
    softmax = written(tmp_path, SOFTMAX + "    return e / e.sum(-1)\n", "softmax")
    with pytest.raises(CrashError) as raised:
        check_exercise("chapter01.softmax", softmax)
    first, text, meaning, call = str(raised.value).splitlines()
    assert first.startswith("mine.py, line 6: ValueError: operands could not be broadcast")
    assert text == "    return e / e.sum(-1)"
    assert (
        meaning
        == "`sum` takes the axis away, so one number a row no longer stands beside its row; add `keepdims=True`."
    )
    assert call == "This happened in the call softmax(numbers of shape (5, 7))."


def test_the_verdict_has_the_line_and_no_smallest_case(tmp_path: Path) -> None:
    softmax = written(tmp_path, SOFTMAX + "    return e / e.summ(-1)\n", "softmax")
    promises = promises_of("chapter01")["chapter01.softmax"]
    found = verdict_on(softmax, None, "softmax", promises, {"takes": "matrices"})
    assert found.status == "unjudged"
    assert found.counterexample is None
    assert verdict_from_dict(found.as_dict()).location == found.location
    assert found.location is not None
    assert (found.location.line, found.location.text) == (6, "return e / e.summ(-1)")
    assert found.reason.startswith(
        "AttributeError: 'numpy.ndarray' object has no attribute 'summ'. Did you mean: 'sum'?"
    )


def test_print_for_return_is_said_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONTENT)
    softmax = written(tmp_path, SOFTMAX + "    print(e / e.sum(-1, keepdims=True))\n", "softmax")
    with pytest.raises(ExplainedError, match="it prints what it should return") as raised:
        check_exercise("chapter01.softmax", softmax)
    assert raised.value.location is not None
    assert raised.value.location.line == 6


def test_of_two_mistakes_nothing_untrue_is_said(tmp_path: Path) -> None:
    """The shape misses an axis, too, which one row alone shows: the axis is named, and no part called right."""
    text = SOFTMAX + "    return (e / e.sum(-2, keepdims=True)).squeeze()\n"
    promises = promises_of("chapter01")["chapter01.softmax"]
    found = verdict_on(written(tmp_path, text, "softmax"), None, "softmax", promises, {"takes": "matrices"})
    assert (found.status, found.names) == ("wrong", ("softmax_over_queries",))
    assert found.difference is not None
    assert found.difference.right_before == ()
