"""Files that are mended, and files that cannot be: whatever happens, no file changes that nobody asked to change."""

import subprocess
from pathlib import Path

import pytest

from attention_surgeon.errors import FileAccessError, OptionError
from attention_surgeon.repair import fix_file

ATTENTION = """import math
import torch


def attention(Q, K, V, mask=None):  # a comment that stays
    scores = Q @ K.transpose(-2, -1) / math.sqrt(Q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return torch.softmax(scores, dim=-1) @ V
"""

BROKEN = {
    "scale missing": ("/ math.sqrt(Q.shape[-1])", ""),
    "wrong axis": ("dim=-1", "dim=-2"),
    "mask upside down": ("mask == 0", "mask == 1"),
    "fill too small": ("-1e9", "-1"),
    "not assigned": ("scores = scores.masked_fill", "scores.masked_fill"),
    "keys as values": ("@ V", "@ K"),
}


def write(folder: Path, text: str) -> Path:
    file = folder / "mine.py"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", BROKEN)
def test_one_mistake_is_mended_in_one_line(tmp_path, name):
    text = ATTENTION.replace(*BROKEN[name])
    assert text != ATTENTION
    file = write(tmp_path, text)
    found = fix_file(f"{file}:attention", "attention")
    assert (found.result, found.num_lines) == ("fixed", 1)
    assert "a comment that stays" in found.text
    assert file.read_text() == text


def test_two_mistakes_are_mended_together(tmp_path):
    text = ATTENTION.replace("dim=-1", "dim=-2").replace("mask == 0", "mask == 1")
    found = fix_file(f"{write(tmp_path, text)}:attention", "attention")
    assert (found.result, found.num_lines) == ("fixed", 2)


def test_the_patch_is_one_that_git_takes(tmp_path):
    file = write(tmp_path, ATTENTION.replace("dim=-1", "dim=-2"))
    found = fix_file(f"{file}:attention", "attention")
    (tmp_path / "it.patch").write_text(found.diff)
    subprocess.run(["git", "apply", "it.patch"], cwd=tmp_path, check=True)
    assert file.read_text() == found.text


def test_what_is_applied_is_right_afterwards(tmp_path):
    file = write(tmp_path, ATTENTION.replace("@ V", "@ K"))
    found = fix_file(f"{file}:attention", "attention")
    assert found.apply().read_text().endswith("@ K\n")
    assert fix_file(f"{file}:attention", "attention").result == "right"
    with pytest.raises(FileAccessError, match="changed since"):
        found.apply()


CANNOT: dict[str, tuple[str, str]] = {
    "no python": (
        "def attention(Q, K, V:\n    return V\n",
        "cannot be read as Python at line 1",
    ),
    "raises when loaded": (
        "raise RuntimeError('no')\ndef attention(Q, K, V):\n    return V\n",
        "raised an error at line 1",
    ),
    "no such name": (
        "def other(Q, K, V):\n    return V\n",
        "has no attention; the file defines other",
    ),
    "no function": (
        "attention = 3\n",
        "is of type int and cannot be called",
    ),
    "needs what nobody knows": (
        "def attention(Q, K, V, table, model):\n    return table[model]\n",
        "needs the argument 'table'",
    ),
    "ends the program": (
        "import os\nos._exit(3)\ndef attention(Q, K, V):\n    return V\n",
        "ended the whole program with exit code 3",
    ),
    "asks": (
        "input()\ndef attention(Q, K, V):\n    return V\n",
        "waits for input at line 1",
    ),
    "one argument": (
        "def attention(x):\n    return None\n",
        "answers no call",
    ),
    "nothing comes back": (
        "def attention(Q, K, V, mask=None):\n    pass\n",
        "three axes it returned NoneType",
    ),
    "a constant": (
        "def attention(Q, K, V, mask=None):\n    return 1\n",
        "three axes it returned int",
    ),
    "a string": (
        "def attention(Q, K, V, mask=None):\n    return 'weights'\n",
        "three axes it returned str",
    ),
    "zeros": (
        "import torch\ndef attention(Q, K, V, mask=None):\n    return torch.zeros(3)\n",
        "no patch of at most 6 lines was found",
    ),
    "the values": (
        "def attention(Q, K, V, mask=None):\n    return V\n",
        "no patch of at most 6 lines was found",
    ),
    "chance": (
        "import torch\ndef attention(Q, K, V, mask=None):\n    return torch.rand(2, 3)\n",
        "no patch of at most 6 lines was found",
    ),
    "a mean": (
        "def attention(Q, K, V, mask=None):\n    return V.mean(-2, keepdim=True) + 0 * Q.sum()\n",
        "no two products of tokens",
    ),
    "missing package": (
        "import a_package_that_nobody_has\ndef attention(Q, K, V):\n    return V\n",
        "imports a_package_that_nobody_has at line 1",
    ),
    "compiled": (
        "from math import sqrt as attention\n",
        "does not define attention itself",
    ),
    "from elsewhere": (
        "from torch.nn.functional import softmin as attention\n",
        "does not define attention itself",
    ),
    "linear attention": (
        "def attention(Q, K, V):\n    return Q.exp() @ (K.exp().mT @ V) / 7\n",
        "not joined by a softmax",
    ),
    "an empty file": (
        "",
        "defines no public function and no class",
    ),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_mended_is_said_and_not_touched(tmp_path, name):
    text, words = CANNOT[name]
    file = write(tmp_path, text)
    found = fix_file(f"{file}:attention", seconds=10)
    assert found.result == ("not_found" if words.startswith("no patch") else "unjudged")
    assert words in found.reason
    assert not found.diff
    with pytest.raises(FileAccessError, match="there is no patch for it"):
        found.apply()
    assert file.read_text() == text
    assert [one.name for one in tmp_path.iterdir() if one.name != "__pycache__"] == ["mine.py"]


def test_a_wrong_call_says_the_way_out(tmp_path):
    with pytest.raises(OptionError, match="there is no contract 'atention'"):
        fix_file(f"{write(tmp_path, ATTENTION)}:attention", "atention")
    with pytest.raises(FileAccessError, match="no such file"):
        fix_file(f"{tmp_path / 'none.py'}:attention")
