"""What is known of the word model that ships: measured on text it never saw, beside counts of tokens and letters."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.models.losses import bits

SOURCE = (
    "Jane Austen's six novels (1811 to 1817, in the public domain), as the Debian package r-cran-janeaustenr holds "
    "them, and this package's own text, The Harbour Year (MIT)."
)
_PROMPT = "The captain came into the room and"
_REPEATED, _TIMES = 40, 8


def card_of(folder: Path, train: str, held_out: str) -> dict[str, Any]:
    """Return the text's name, sizes, bits per byte beside n-grams, the scores of the heads, and a sample.

    Args:
        folder: The model, as `save_writer` wrote it.
        train: What it was trained on.
        held_out: What it never saw.
    """
    from attention_surgeon.surgery.loading import load_model  # here, because it knows this model by name

    loaded = load_model(folder)
    model, tokenizer = loaded.model, loaded.tokenizer
    tokens, unseen = tokenizer.encode(train), tokenizer.encode(held_out)
    num_bytes = len(held_out.encode())
    return {
        "text": SOURCE,
        "characters": {"train": len(train), "held_out": len(held_out)},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "megabytes": round((folder / "model.safetensors").stat().st_size / 1e6, 2),
        "bits_per_byte": {
            "model": _rounded(bits(_loss(model, torch.tensor(unseen)) * len(unseen)) / num_bytes),
            "bigram of tokens": _rounded(n_gram_bits(tokens, unseen, 2) / num_bytes),
            "5-gram of tokens": _rounded(n_gram_bits(tokens, unseen, 5) / num_bytes),
            "bigram of characters": _rounded(n_gram_bits(train, held_out, 2) / num_bytes),
            "5-gram of characters": _rounded(n_gram_bits(train, held_out, 5) / num_bytes),
        },
        "heads": head_scores(model, torch.tensor(unseen)),
        "sample": _PROMPT + _written(model, tokenizer),
    }


def card_lines(folder: Path) -> Iterator[str]:
    """Yield what `card.json` holds as a Markdown table, and the sample."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    training = card["training"]
    yield "| | |"
    yield "|---|---|"
    yield f"| text | {card['text']} |"
    yield f"| size | {card['parameters']:,} parameters, {card['megabytes']} MB in 16 bits |"
    yield f"| training | {training['num_steps']:,} steps, {card['seconds']} s of one core |"
    for name, value in card["bits_per_byte"].items():
        yield f"| bits per byte of unseen text: {name} | {value:.2f} |"
    for name, scores in card["heads"].items():
        best = sorted(((x, f"{layer}.{head}") for layer, each in enumerate(scores) for head, x in enumerate(each)))
        told = ", ".join(f"{place} ({score:.2f})" for score, place in best[:-4:-1])
        yield f"| heads: {name} | {told} |"
    yield ""
    yield f"> {' '.join(card['sample'].split())}"


def n_gram_bits(train: Sequence[Hashable], held_out: Sequence[Hashable], order: int) -> float:
    """Return the bits that counts of up to `order` symbols need for a text, smoothed by those of one symbol fewer.

    Source: Witten and Bell 1991, "The zero-frequency problem", method C, interpolated.

    >>> round(n_gram_bits("abababababab", "abab", 2), 2) < 4
    True
    """
    counts: list[dict[Any, Counter]] = [defaultdict(Counter) for _ in range(order)]
    for n in range(order):
        for place in range(n, len(train)):
            counts[n][tuple(train[place - n : place])][train[place]] += 1
    totals = [{context: sum(each.values()) for context, each in of_one.items()} for of_one in counts]
    size = len(counts[0][()]) + 1
    return sum(_surprises(held_out, counts, totals, size))


def _surprises(text: Sequence[Hashable], counts: list, totals: list, size: int) -> Iterator[float]:
    for place, symbol in enumerate(text):
        share = 1 / size
        for n in range(min(len(counts), place + 1)):
            context = tuple(text[place - n : place])
            followers = counts[n].get(context)
            if not followers:
                break
            total, kinds = totals[n][context], len(followers)
            share = (followers[symbol] + kinds * share) / (total + kinds)
        yield -math.log2(share)


@torch.no_grad()
def head_scores(model: Any, tokens: Tensor) -> dict[str, list[list[float]]]:
    """Return how much each head, by layer, gives to the token before, and on a repeated text to what came after.

    Args:
        model: A causal model of transformers.
        tokens: A text; random ones of its tokens are read twice over, so that only looking back tells what comes.
    """
    drawn = torch.Generator().manual_seed(0)
    once = tokens[torch.randint(len(tokens), (_TIMES, _REPEATED), generator=drawn)]
    model.set_attn_implementation("eager")
    weights = model(input_ids=torch.cat([once, once], 1), output_attentions=True).attentions
    model.set_attn_implementation("sdpa")
    second = torch.arange(_REPEATED, 2 * _REPEATED)
    return {
        "previous": [[_rounded(x) for x in each.diagonal(-1, 2, 3).mean((0, 2)).tolist()] for each in weights],
        "induction": [
            [_rounded(x) for x in each[..., second, second - _REPEATED + 1].mean((0, 2)).tolist()] for each in weights
        ],
    }


@torch.no_grad()
def _loss(model: Any, tokens: Tensor) -> float:
    """Return nats per token; every token but the first of a window is predicted, windows overlap by half."""
    length = model.config.n_positions
    half = length // 2
    windows = tokens.unfold(0, length, half)
    total, count = 0.0, 0
    for batch in windows.split(32):
        logits = model(input_ids=batch).logits[:, half - 1 : -1]
        total += float(
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, half:].flatten(), reduction="sum")
        )
        count += batch[:, half:].numel()
    return total / count


def _written(model: Any, tokenizer: Any) -> str:
    ids = torch.tensor([tokenizer.encode(_PROMPT)])
    torch.manual_seed(0)
    made = model.generate(ids, max_new_tokens=60, do_sample=True, temperature=0.7, top_k=40, pad_token_id=0)
    return tokenizer.decode(made[0, ids.shape[1] :])


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")
