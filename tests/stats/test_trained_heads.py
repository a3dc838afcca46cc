"""The patterns of a trained model."""

import torch

from attention_surgeon.stats import head_statistics, name_patterns
from tests.stats.trained import trained


def test_the_heads_of_a_bert_are_found_by_name():
    weights, tokens = trained()
    found = name_patterns(weights, tokens=tokens)
    names = {(layer, head): found.name(layer, head) for layer in range(6) for head in range(12)}
    assert names[0, 2] == "previous"
    assert found.score(0, 2) > 0.99
    assert names[1, 8] == "next"
    assert names[1, 11] == "sink"
    assert names[0, 7] == names[0, 11] == "uniform"
    assert {"previous", "next", "sink", "vertical", "uniform", "mixed"} == set(names.values())


def test_broad_heads_come_first_and_sinks_later():
    weights, tokens = trained()
    found = name_patterns(weights, tokens=tokens)
    by_layer = [[found.name(layer, head) for head in range(12)] for layer in range(6)]
    assert by_layer[0].count("uniform") >= 9
    assert by_layer[0].count("sink") == 0
    assert sum(names.count("sink") for names in by_layer[1:4]) >= 6


def test_what_the_first_token_receives_is_what_the_sinks_hold():
    weights, tokens = trained()
    statistics = head_statistics(weights)
    assert tokens[0] == "[CLS]"
    torch.testing.assert_close(statistics.received[..., 0], statistics.first_mass)
    assert statistics.effective_keys[0, 2] < 1.2
    assert statistics.effective_keys[0, 7] > 30
