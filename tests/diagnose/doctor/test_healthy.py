"""Right code: enough of it, in many styles, and none of it made of this package."""

import ast
from collections import Counter
from pathlib import Path

import pytest
import torch

from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.doctor import healthy, kinds_of
from attention_surgeon.diagnose.doctor.healthy import alternatives

EVERY = 16
"""`surgeon doctor` tries all; here one in so many."""


def test_there_is_enough_of_every_contract():
    counted = Counter(one.contract for one in alternatives())
    assert counted.keys() == {kind.contract for kind in kinds_of(special=False)}
    assert min(counted.values()) >= 10
    assert counted.total() >= 500


def test_all_have_names_of_their_own():
    named = Counter((one.contract, one.name, *one.options.items()) for one in alternatives())
    assert [name for name, number in named.items() if number > 1] == []


def test_none_of_it_is_made_of_this_package():
    files = [*Path(healthy.__file__).parent.glob("*.py")]
    assert len(files) >= 5
    imported = {
        node.module
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("attention_surgeon")
    }
    own = "attention_surgeon.diagnose.doctor.healthy"
    assert {name for name in imported if not name.startswith(own)} == {"attention_surgeon.testing"}  # the contracts


@pytest.mark.parametrize("one", alternatives()[::EVERY], ids=lambda one: f"{one.contract}: {one.name}")
def test_it_is_accepted(one):
    assert diagnose(one.target, one.make_contract()).verdict == "right"


def test_functions_agree_with_torch():
    Q, K, V = (torch.randn(2, 3, n, d, dtype=torch.float64) for n, d in ((5, 11), (7, 11), (7, 13)))
    expected = torch.nn.functional.scaled_dot_product_attention(Q, K, V)
    functions = [one for one in alternatives() if one.contract == "attention" and one.name.startswith("torch")]
    tried = 0
    for one in functions:
        if "-D" in one.name or not one.options.get("scaled", True):
            continue
        returned = one.target(Q, K, V, None)
        place = one.options.get("returns") == "weights_first"
        torch.testing.assert_close(returned if isinstance(returned, torch.Tensor) else returned[place], expected)
        tried += 1
    assert tried > 80
