"""Masks that follow from positions alone: causal, reverse, window, prefix, and the two additive ones of the course."""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.masks.convert import mask_to_additive
from attention_surgeon.masks.forms import BandMask, PrefixMask
from attention_surgeon.masks.mask import Device, Mask
from attention_surgeon.require import require_count, require_switch

Align: TypeAlias = Literal["end", "start"]


def causal_mask(n_q: int, n_k: int | None = None, align: Align = "end") -> Mask:
    """Return the mask in which a query sees the keys up to its own position: what came before, and itself.

    Source: Vaswani et al. 2017, section 3.2.3 ("prevent leftward information flow").

    Args:
        n_q: Number of queries.
        n_k: Number of keys; None: as many as queries.
        align: Which key is a query's own when n_q and n_k differ. "end": the last query's is the last key, as with
            a cache of earlier keys (`k <= q + n_k - n_q`; with n_q > n_k the first queries see no key at all).
            "start": the first query's is the first key (`k <= q`).

    Returns:
        A mask of shape `(n_q, n_k)`.

    Raises:
        ArgumentTypeError, OptionError: a size that is no whole number from 0 on, or an unknown `align`.

    Differs from PyTorch, whose `is_causal=True` aligns at the start; FlashAttention and MLX align at the end.

    >>> print(causal_mask(3).draw())
    x..
    xx.
    xxx
    >>> print(causal_mask(2, 4).draw(), causal_mask(2, 4, align="start").draw(), sep="\\n\\n")
    xxx.
    xxxx
    <BLANKLINE>
    x...
    xx..
    """
    shape, offset = _shape_and_offset(n_q, n_k, align, "causal_mask")
    return BandMask(shape, None, offset)


def reverse_mask(n_q: int, n_k: int | None = None, align: Align = "end") -> Mask:
    """Return the mirror image of the causal mask: a query sees the keys from its own position on. A mistake on purpose.

    A model that is to predict the next token sees that very token, and all after it: it learns to copy the answer.
    When it writes there is nothing after the last token, so the last query sees only itself.

    Args:
        n_q: Number of queries.
        n_k: Number of keys; None: as many as queries.
        align: As for `causal_mask`.

    Returns:
        A mask of shape `(n_q, n_k)`; for n_q = n_k the transpose of the causal one.

    Raises:
        ArgumentTypeError, OptionError: as for `causal_mask`.

    >>> print(reverse_mask(3).draw())
    xxx
    .xx
    ..x
    """
    shape, offset = _shape_and_offset(n_q, n_k, align, "reverse_mask")
    return BandMask(shape, offset, None)


def window_mask(n_q: int, n_k: int | None = None, *, size: int, align: Align = "end", is_causal: bool = True) -> Mask:
    """Return the mask in which a query sees its own position and its near neighbours (sliding window).

    Source: Beltagy et al. 2020, "Longformer", section 3.1; causal as in Jiang et al. 2023, "Mistral 7B".

    Args:
        n_q: Number of queries.
        n_k: Number of keys; None: as many as queries.
        size: Width of the window; it counts the query itself, so 1 is the query alone.
        align: As for `causal_mask`.
        is_causal: True: the query and the `size - 1` keys before it. False: also the `size - 1` keys after it.

    Returns:
        A mask of shape `(n_q, n_k)`.

    Raises:
        ArgumentTypeError, OptionError: as for `causal_mask`; a size below 1; `is_causal` is no boolean.

    Differs from FlashAttention, JAX and ONNX, where a window of 3 is the query and 3 keys before it; here, as in
    transformers, it is 3 keys in all.

    >>> print(window_mask(4, size=2).draw(), window_mask(4, size=2, is_causal=False).draw(), sep="\\n\\n")
    x...
    xx..
    .xx.
    ..xx
    <BLANKLINE>
    xx..
    xxx.
    .xxx
    ..xx
    """
    shape, offset = _shape_and_offset(n_q, n_k, align, "window_mask")
    require_count(size, "size", "window_mask", why=" (a window counts the query itself)")
    require_switch(is_causal, "is_causal", "window_mask")
    reach = size - 1
    return BandMask(shape, offset - reach, offset if is_causal else offset + reach)


def prefix_mask(n_q: int, n_k: int | None = None, *, prefix_len: int, align: Align = "end") -> Mask:
    """Return the mask in which every query sees the first `prefix_len` keys, and the others causally (prefix LM).

    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
    section 3.2.1.

    Args:
        n_q: Number of queries.
        n_k: Number of keys; None: as many as queries.
        prefix_len: Keys that all may see, from 0 (causal) to n_k (everything).
        align: As for `causal_mask`; the prefix is always the first keys.

    Returns:
        A mask of shape `(n_q, n_k)`.

    Raises:
        ArgumentTypeError, OptionError: as for `causal_mask`; a prefix longer than the keys.

    >>> print(prefix_mask(4, prefix_len=2).draw())
    xx..
    xx..
    xxx.
    xxxx
    """
    shape, offset = _shape_and_offset(n_q, n_k, align, "prefix_mask")
    require_count(prefix_len, "prefix_len", "prefix_mask", least=0)
    if prefix_len > shape[-1]:
        raise OptionError(f"prefix_mask: prefix_len is {prefix_len}, but there are only {shape[-1]} keys.")
    return PrefixMask(shape, BandMask(shape, None, offset), prefix_len)


def create_causal_mask(seq_len: int, device: Device = "cpu") -> Float[Tensor, "{seq_len} {seq_len}"]:
    """Return the causal mask as numbers to add to the scores: 0 in the lower triangle, `-inf` above it.

    Args:
        seq_len: Number of positions.
        device: Where the tensor is made.

    Returns:
        float32 `(seq_len, seq_len)`.

    Raises:
        ArgumentTypeError, OptionError: `seq_len` is no whole number from 0 on.

    >>> create_causal_mask(2)
    tensor([[0., -inf],
            [0., 0.]])
    """
    require_count(seq_len, "seq_len", "create_causal_mask", least=0)
    return mask_to_additive(causal_mask(seq_len), torch.float32, device)


def create_reverse_mask(seq_len: int, device: Device = "cpu") -> Float[Tensor, "{seq_len} {seq_len}"]:
    """Return the WRONG mask, the causal one mirrored: 0 in the upper triangle, `-inf` below it.

    With it a model sees the tokens it is asked to predict; `reverse_mask` says what comes of that.

    Args:
        seq_len: Number of positions.
        device: Where the tensor is made.

    Returns:
        float32 `(seq_len, seq_len)`.

    Raises:
        ArgumentTypeError, OptionError: `seq_len` is no whole number from 0 on.

    >>> create_reverse_mask(2)
    tensor([[0., 0.],
            [-inf, 0.]])
    """
    require_count(seq_len, "seq_len", "create_reverse_mask", least=0)
    return mask_to_additive(reverse_mask(seq_len), torch.float32, device)


def _shape_and_offset(n_q: int, n_k: int | None, align: str, caller: str) -> tuple[tuple[int, int], int]:
    """Return `(n_q, n_k)` and how far to the right of its row number a query's own key stands."""
    require_count(n_q, "n_q", caller, least=0)
    if n_k is None:
        n_k = n_q
    require_count(n_k, "n_k", caller, least=0)
    if align not in ("end", "start"):
        raise OptionError(
            f'{caller}: align is {align!r}, expected "end" (the last query\'s own key is the last one) '
            f'or "start" (the first query\'s is the first).'
        )
    return (n_q, n_k), n_k - n_q if align == "end" else 0
