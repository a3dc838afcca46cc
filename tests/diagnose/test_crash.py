"""Errors of somebody's file: the line, Python's message with what was meant, one plain sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attention_surgeon.diagnose.crash import Crash, crash_in_call, crash_of, last_line_of
from attention_surgeon.errors import LoadError

QKV = [np.ones((5, 3)), np.ones((7, 3)), np.ones((7, 2))]


def written(folder: Path, text: str) -> dict[str, Any]:
    file = folder / "mine.py"
    file.write_text(text)
    names: dict[str, Any] = {}
    exec(compile(text, str(file), "exec"), names)
    return names


def crash(folder: Path, text: str, *arguments: Any) -> Crash:
    function = written(folder, text)["f"]
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001  whatever it raises is looked at
        found = crash_of(error, "f")
        assert found is not None
        return found
    raise AssertionError("it did not stop")


def test_file_line_text_message_and_call(tmp_path: Path):
    found = crash(
        tmp_path, "import numpy as np\ndef f(Q, K, V):\n    d_k = 3\n    return Q @ K.T / np.sqr(d_k)\n", *QKV
    )
    assert found.sentence.startswith(
        "mine.py, line 4: AttributeError: module 'numpy' has no attribute 'sqr'. Did you mean: 'sqrt'?"
    )
    assert str(found).splitlines()[1] == "    return Q @ K.T / np.sqr(d_k)"
    assert found.reason.splitlines()[-1] == "This happened in the call f."


@pytest.mark.parametrize(
    ("body", "arguments", "said"),
    [
        ("return Q / sume", (1,), "Nothing is called `sume` where this line runs."),
        ("return Q['b']", ({"a": 1},), "The dictionary has no key 'b'; it has 'a'."),
        ("return Q / Q.sum(-1)", (np.ones((2, 3)),), "add `keepdims=True`"),
        ("s = Q.sum(-1)\n    return Q / s", (torch.ones(2, 3),), "add `keepdim=True`"),
        ("return Q @ Q.T", (np.ones((2, 3, 5)),), "`Q` has 3 axes, and `.T` turns all of them around"),
        ("return Q @ Q", (np.ones((2, 3)),), "Turn the last two axes of `Q`."),
        ("return Q + Q[:, :2]", (np.ones((2, 3)),), "counted from the last, their axes must be alike, or 1"),
        ("return Q.unsqueeze(0)", (np.ones(3),), "`unsqueeze` is a method of PyTorch's tensors"),
        ("if Q: return 1", (torch.ones(3),), "write `is not None`"),
        ("return ~Q", (torch.ones(3),), "A boolean mask is wanted here"),
        ("Q += 1", (torch.ones(3, requires_grad=True),), "may not be changed in place"),
        ("return Q.numpy()", (torch.ones(3, requires_grad=True),), "write `.detach()` first"),
        ("return Q.mT.view(-1)", (torch.ones(3, 2),), "`reshape` copies them"),
        ("a, b = Q.shape", (torch.ones(3),), "2 values are expected on the left"),
        ("return Q.double() @ Q.mT", (torch.ones(3, 2),), "different dtypes"),
        ("return Q.chunk(3)", (None,), "`Q` is None here"),
    ],
)
def test_what_it_means(tmp_path: Path, body: str, arguments: tuple[Any, ...], said: str):
    assert said in crash(tmp_path, f"def f(Q):\n    {body}\n", *arguments).meaning


def test_an_error_of_nobody_and_one_of_ours_have_no_line(tmp_path: Path):
    assert crash_of(LoadError("ours")) is None
    with pytest.raises(TypeError) as raised:
        len(3)  # type: ignore[arg-type]
    found = crash_of(raised.value)
    assert found is None or found.location.file == __file__


def test_a_call_that_does_not_even_begin_has_the_line_of_the_definition(tmp_path: Path):
    function = written(tmp_path, "def f(Q):\n    return Q\n")["f"]
    with pytest.raises(TypeError) as raised:
        function(1, 2)
    found = crash_in_call(raised.value, function, "f(1, 2)")
    assert found is not None
    assert (found.location.line, found.location.text) == (1, "def f(Q):")
    assert found.meaning == "The arguments must stay as the text of the exercise gives them."


def test_the_cause_of_an_error_of_ours_is_told(tmp_path: Path):
    function = written(tmp_path, "def f():\n    return undefined\n")["f"]
    with pytest.raises(LoadError) as raised:
        raise_from(function)
    found = crash_of(raised.value)
    assert found is not None
    assert (found.location.line, found.location.text) == (2, "return undefined")


def raise_from(function: Callable[[], Any]) -> None:
    try:
        function()
    except NameError as error:
        raise LoadError("it cannot be called") from error


def test_where_a_return_is_missing(tmp_path: Path):
    where = last_line_of(written(tmp_path, "def f(x):\n    y = x\n    y + 1\n")["f"])
    assert where is not None
    assert (where.line, where.text) == (3, "y + 1")
