"""A course of three exercises, as an author would write it, in a folder of its own."""

from pathlib import Path

from attention_surgeon.course.generate import main as generate

REGISTRY = """
[course]
title = "Tiny"
version = 1

[[unit]]
name = "basics"
folder = "problems/01-basics"
title = "Basics"
minutes = 30
difficulty = 1
reflect = ["What does a row say?", "What does a column say?"]

[[unit.exercise]]
name = "basics.attention"
title = "Attention"
file = "problem.py"
object = "attention"
contract = "attention"
tests = "test_problem.py"
solution = "solution/problem.py"
source = "sources/problem.py"
minutes = 10
difficulty = 1
shapes = "Q (batch, n_q, d_k) -> output (batch, n_q, d_v)"
hints = ["Which axis holds the keys?", "The softmax runs over the keys.", "weights = torch.softmax(scores, dim=-1)"]
passed = "Each output is an average of the values."
predict = { question = "How many weights?", choices = ["n_q", "n_q x n_k"], answer = 1, why = "One for each pair." }

[[unit.exercise]]
name = "basics.turn"
title = "Turn a matrix"
file = "turn.py"
object = "turn"
contract = "checks:check_turn"
tests = "test_turn.py"
solution = "solution/turn.py"
source = "sources/turn.py"
minutes = 5
difficulty = 1
shapes = "(n, m) -> (m, n)"
hints = ["What is a row afterwards?", "Rows become columns.", "return matrix.T"]
passed = "Rows and columns can change places."

[[unit]]
name = "end"
folder = "end"
title = "The end"
minutes = 20
difficulty = 2
builds_on = ["basics"]
evidence = [
    "pictures/*.png = a heat map",
    "passed:basics.turn = the matrix is turned",
    "answered:basics",
    "experiment:scaling",
]

[[unit.exercise]]
name = "end.layer"
title = "A layer"
file = "layer.py"
object = "SelfAttention"
contract = "self"
tests = "test_layer.py"
solution = "solution/layer.py"
source = "sources/layer.py"
minutes = 10
difficulty = 2
shapes = "x (batch, n, d) -> (batch, n, d)"
hints = ["What is projected?", "Three linear layers.", "self.query = nn.Linear(size, size)"]
passed = "A layer is attention with parameters."
"""

ATTENTION = '''"""Attention."""

import torch


def attention(Q, K, V, mask=None):
    """Return the average of the values."""
    # BEGIN SOLUTION
    # STUB: scores = ...
    scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    return torch.softmax(scores, dim=-1) @ V
    # END SOLUTION
'''

TURN = '''"""Turn a matrix."""


def turn(matrix):
    """Return it with rows and columns changed."""
    # BEGIN SOLUTION
    return matrix.T
    # END SOLUTION
'''

LAYER = '''"""A layer."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    """One head."""

    def __init__(self, embed_dim):
        super().__init__()
        # BEGIN SOLUTION
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        # END SOLUTION

    def forward(self, x):
        # BEGIN SOLUTION
        query, key, value = self.query(x), self.key(x), self.value(x)
        scores = query @ key.transpose(-2, -1) / x.shape[-1] ** 0.5
        weights = torch.softmax(scores, dim=-1)
        return weights @ value, weights
        # END SOLUTION
'''

DOC = "# Scores\n\na score is a dot product\n" + "\n\nmore" * 8 + "\n\nthe last line of the page\n"

CHECKS = '''"""Hidden."""

import torch

from attention_surgeon.course.exercises import ExplainedError


def check_turn(turn):
    given = torch.arange(6.0).reshape(2, 3)
    found = turn(given)
    if torch.equal(found, given):
        raise ExplainedError("not_turned", "It comes back as it was.", question="What is its shape afterwards?")
    assert torch.equal(found, given.T), "Row 0 must be what was column 0."


WRONG = {"check_turn": [lambda matrix: matrix, lambda matrix: matrix.T + 1]}
RIGHT = {"check_turn": [lambda matrix: matrix.transpose(0, 1)]}
'''

TEST = """from {module} import {name}

from attention_surgeon.course import check_exercise


def test_{name}():
    check_exercise("{exercise}", {name})
"""


def write_course(folder: Path) -> Path:
    """Write the course into a folder and return it."""
    basics, end = folder / "problems/01-basics", folder / "end"
    files = {
        folder / "course.toml": REGISTRY,
        basics / "README.md": "# Basics\n\nWrite `attention`.\n",
        basics / "docs/01_scores.md": DOC,
        basics / "checks.py": CHECKS,
        basics / "sources/problem.py": ATTENTION,
        basics / "sources/turn.py": TURN,
        basics / "test_problem.py": TEST.format(module="problem", name="attention", exercise="basics.attention"),
        basics / "test_turn.py": TEST.format(module="turn", name="turn", exercise="basics.turn"),
        end / "README.md": "# The end\n",
        end / "sources/layer.py": LAYER,
        end / "test_layer.py": TEST.format(module="layer", name="SelfAttention", exercise="end.layer"),
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert generate([str(folder)]) == 0
    return folder
