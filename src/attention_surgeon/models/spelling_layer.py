"""A real attention layer whose heads one can understand: untrained, it attends to what is spelt alike or near.

The layer reads the bands of `embed_tokens`: with four heads, head 0 hears spelling, 1 endings, 2 neighbours and 3
region. Its query and key projections are the same, so that a score is a similarity; value and output projections
change nothing. The one number chosen per head is how sharply it listens.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.models.spelling import BANDS, check_size, check_tokens, embed_tokens
from attention_surgeon.models.words import tokenize
from attention_surgeon.nn import MultiHeadAttention
from attention_surgeon.ops import MaskLike, leave_unscaled
from attention_surgeon.require import require_count, require_switch
from attention_surgeon.trace import AttentionTrace, record

_GAINS = (1.0, 16.0)
_CALIBRATION_CELLS = 2**15
"""Similarities that are looked at for one gain; more would only be shared among threads, at a loss."""


def spelling_attention(
    tokens: Sequence[str], num_heads: int = 4, size: int | None = None, seed: int = 0
) -> MultiHeadAttention:
    """Return an ordinary `nn.MultiHeadAttention` whose weights mean "spelt alike" or "near", made for these tokens.

    Each head is as sharp as its bands call for on these tokens: letters spread over about √(1.5 n) of n tokens,
    neighbours over 3, region over n / 2, less in a text of few tokens (the perplexity of a row, as in van der Maaten
    and Hinton 2008, "Visualizing Data using t-SNE"). So the weights are neither one-hot nor even, in a text of 6 words
    or of 600.

    Args:
        tokens: The tokens that the layer will see.
        num_heads: Heads; each reads its share of the vector, so 4 get one band each.
        size: Width of the vectors, a multiple of 8 and of `num_heads`; None: `default_size(num_heads)`.
        seed: As for `embed_tokens`.

    Returns:
        The layer in evaluation mode, without dropout and biases.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: no tokens, a size or a number of heads that does not fit.

    >>> tokens = ["The", "cat", "sat", "on", "the", "mat"]
    >>> layer = spelling_attention(tokens)
    >>> _, weights = layer(embed_tokens(tokens), return_weights=True)
    >>> weights[0, 0].topk(2).indices.sort().values.tolist()           # "The" listens to "The" and "the"
    [0, 4]
    """
    check_tokens(tokens, "spelling_attention")
    if not tokens:
        raise OptionError("spelling_attention: tokens is empty, expected at least one token.")
    size = _checked_size(num_heads, size)
    vectors = embed_tokens(tokens, size, seed).double()
    layer = MultiHeadAttention(size, num_heads, dropout=0.0, bias=False).eval()
    parts = zip(vectors.chunk(num_heads, -1), _targets(layer, tokens), strict=True)
    gains = [_gain(part, target) for part, target in parts]
    root = torch.tensor(gains, dtype=torch.float64).mul(math.sqrt(layer.head_dim)).sqrt()
    listen = torch.diag(root.repeat_interleave(layer.head_dim))
    with torch.no_grad():
        for projection, matrix in (("query", listen), ("key", listen), ("value", None), ("output", None)):
            weight = getattr(layer, projection).weight
            weight.copy_(torch.eye(size) if matrix is None else matrix)
    return layer


def describe_heads(num_heads: int, size: int | None = None) -> tuple[str, ...]:
    """Return what each head of `spelling_attention` hears, for example "spelling" or "neighbours + region".

    >>> describe_heads(2)
    ('spelling + endings', 'neighbours + region')
    """
    size = _checked_size(num_heads, size)
    owners = [BANDS[place * len(BANDS) // size] for place in range(size)]
    width = size // num_heads
    return tuple(" + ".join(dict.fromkeys(owners[h * width : (h + 1) * width])) for h in range(num_heads))


def default_size(num_heads: int) -> int:
    """Return a width that suits a number of heads: 64, or more where each head would be narrower than 16.

    >>> default_size(4), default_size(3), default_size(12)
    (64, 72, 192)
    """
    require_count(num_heads, "num_heads", "default_size")
    return num_heads * max(16, 8 * math.ceil(8 / num_heads))


def trace_text(
    text: str | Sequence[str],
    *,
    mask: MaskLike | Callable[[int], MaskLike] | None = None,
    scale: bool = True,
    num_heads: int = 4,
    size: int | None = None,
    seed: int = 0,
) -> AttentionTrace:
    """Return what the untrained spelling attention does with a text.

    Args:
        text: A text, or its tokens.
        mask: As for `ops.attention`, or a function that makes one for n tokens, such as `masks.causal_mask`.
        scale: Whether to divide the scores by √d_k.
        num_heads: As for `spelling_attention`, as are `size` and `seed`.
        size: Width of the vectors.
        seed: Draw of the hash.

    Raises:
        SurgeonError: as `spelling_attention` and `trace.record`.

    >>> trace = trace_text("The cat sat on the mat")
    >>> trace
    AttentionTrace(head 4, query 6, key 6, d_k 16, d_v 16, float32, source='untrained: head 0 ...')
    >>> trace.head(0).strongest_pair(skip_self=True)[2:4]
    ('The', 'the')
    """
    require_switch(scale, "scale", "trace_text")
    tokens = tokenize(text) if isinstance(text, str) else text
    layer = spelling_attention(tokens, num_heads, size, seed)
    with torch.no_grad():
        Q, K, V = layer.project(embed_tokens(tokens, layer.embed_dim, seed))
    heard = ", ".join(f"{head} {bands}" for head, bands in enumerate(describe_heads(num_heads, size)))
    return record(
        Q,
        K,
        V,
        mask(len(tokens)) if callable(mask) else mask,
        mechanism=layer.mechanism if scale else layer.mechanism.replace(scale=leave_unscaled),
        query_tokens=tokens,
        source=f"untrained: head {heard}",
    )


def _checked_size(num_heads: int, size: int | None) -> int:
    require_count(num_heads, "num_heads", "spelling_attention")
    if size is None:
        return default_size(num_heads)
    check_size(size, "spelling_attention")
    if size % num_heads:
        raise ShapeError(
            f"spelling_attention: size {size} cannot be cut into {num_heads} equal heads; "
            f"leave size out, or take {default_size(num_heads)}."
        )
    return size


def _targets(layer: MultiHeadAttention, tokens: Sequence[str]) -> list[float]:
    """Return over how many tokens each head is to spread: the geometric mean of what its bands call for."""
    n = len(tokens)
    wanted = torch.tensor([math.sqrt(1.5 * n), math.sqrt(1.5 * n), min(3.0, (n + 1) / 2), n / 2], dtype=torch.float64)
    per_place = wanted.log().repeat_interleave(layer.embed_dim // len(BANDS))
    return per_place.reshape(layer.num_heads, layer.head_dim).mean(-1).exp().tolist()


def _gain(vectors: Tensor, target: float) -> float:
    """Return the factor on the similarities with which a row spreads over `target` tokens, found by halving."""
    n = len(vectors)
    rows = vectors[torch.linspace(0, n - 1, min(n, max(_CALIBRATION_CELLS // n, 16))).long()]
    similarity = rows @ vectors.T  # (rows, d) @ (d, n) -> (rows, n)
    low, high = _GAINS
    for _ in range(20):
        middle = (low + high) / 2
        logs = torch.log_softmax(similarity * middle, dim=-1)
        spread = float((-(logs.exp() * logs).sum(-1)).exp().mean())
        low, high = (middle, high) if spread > target else (low, middle)
    return low
