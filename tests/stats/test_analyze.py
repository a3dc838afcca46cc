import math

import pytest
import torch

from attention_surgeon.ops import MEASURES, measure_weights
from attention_surgeon.stats import analyze_attention_patterns, head_statistics
from attention_surgeon.testing import check_attention
from tests.stats.drawn import drawn_weights


def test_it_keeps_the_contract_of_statistics():
    check_attention(analyze_attention_patterns, "statistics")


def test_four_python_floats():
    found = analyze_attention_patterns(torch.eye(3))
    assert found == {"max_attention": 1.0, "entropy": 0.0, "diagonal_mass": 1.0, "local_vs_global": math.inf}
    assert {type(number) for number in found.values()} == {float}


def test_they_are_those_of_ops_where_no_row_is_empty():
    weights = drawn_weights(2, 3, 5, 7)
    assert analyze_attention_patterns(weights) == {name: x.item() for name, x in measure_weights(weights).items()}


def test_empty_rows_are_left_out():
    weights = drawn_weights(5, 7)
    weights[[1, 4]] = 0
    found, head = analyze_attention_patterns(weights), head_statistics(weights)
    assert head.num_empty.item() == 2
    assert found == pytest.approx({name: getattr(head, name).item() for name in MEASURES})
