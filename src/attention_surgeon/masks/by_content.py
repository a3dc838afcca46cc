"""Masks that follow from what stands at the positions: padding, documents, or a tensor somebody else made."""

import reprlib

import torch
from jaxtyping import Bool, Integer
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DTypeError, OptionError, ShapeError
from attention_surgeon.masks.forms import DocumentMask, KeyMask
from attention_surgeon.masks.mask import Mask, TensorMask
from attention_surgeon.masks.read import read_cells
from attention_surgeon.require import broadcast_shape, require_count


def padding_mask(lengths: Integer[Tensor, "*batch"] | list[int] | tuple[int, ...], n_k: int | None = None) -> Mask:
    """Return the mask that hides the padding after each sequence's end: `k < length`.

    Only keys are hidden. A padded query still attends to the real keys; its output is thrown away later.

    Args:
        lengths: Number of real tokens of each sequence, integers `(*batch)`.
        n_k: Number of keys; None: the greatest length.

    Returns:
        A mask of shape `(*batch, 1, n_k)`, the same for every query. For scores `(batch, heads, n_q, n_k)` write
        `padding_mask(lengths).with_heads()`. For padding before the sequence use `token_padding_mask`.

    Raises:
        ArgumentTypeError, DTypeError, OptionError: lengths that are no integers, below 0 or above n_k.

    >>> print(padding_mask([1, 3]).draw())
    [0]
    x..
    <BLANKLINE>
    [1]
    xxx
    >>> from attention_surgeon.masks import causal_mask
    >>> print((causal_mask(3) & padding_mask([2], n_k=3)).draw())
    [0]
    x..
    xx.
    xx.
    """
    lengths = _lengths(lengths)
    longest = int(lengths.max()) if lengths.numel() else 0
    if n_k is None:
        n_k = longest
    require_count(n_k, "n_k", "padding_mask", least=0)
    if lengths.numel() and (lengths.min() < 0 or longest > n_k):
        raise OptionError(
            f"padding_mask: lengths go from {int(lengths.min())} to {longest}, expected 0 to n_k, which is {n_k}."
        )
    keep = torch.arange(n_k, device=lengths.device) < lengths[..., None]  # (k) < (..., 1) -> (..., k)
    return KeyMask((*lengths.shape, 1, n_k), keep)


def token_padding_mask(tokens: Integer[Tensor, "*batch k"], padding_id: int) -> Mask:
    """Return the mask that hides every key whose token is `padding_id`, before or after the sequence.

    Where the same id also stands for a real token (often end-of-text), that one is hidden too: then use
    `padding_mask` and the lengths.

    Args:
        tokens: Token ids `(*batch, n_k)`, integers.
        padding_id: The id that fills the empty places.

    Returns:
        A mask of shape `(*batch, 1, n_k)`, the same for every query.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError: tokens are no integer tensor with a position axis.

    >>> import torch
    >>> print(token_padding_mask(torch.tensor([0, 0, 7, 5]), padding_id=0).draw())
    ..xx
    """
    tokens = _ids(tokens, "tokens", "token_padding_mask")
    if not isinstance(padding_id, int) or isinstance(padding_id, bool):
        raise ArgumentTypeError(f"token_padding_mask: padding_id is {padding_id!r}, expected a token id.")
    return KeyMask((*tokens.shape[:-1], 1, tokens.shape[-1]), tokens != padding_id)


def document_mask(query_ids: Integer[Tensor, "*_batch q"], key_ids: Integer[Tensor, "*_batch k"] | None = None) -> Mask:
    """Return the mask in which a query sees the keys of its own document, of several packed into one sequence.

    Args:
        query_ids: For each query the number of its document, integers `(*batch, n_q)`.
        key_ids: The same for each key `(*batch, n_k)`; None: the queries' own.

    Returns:
        A mask of shape `(*batch, n_q, n_k)`. For a language model: `causal_mask(n) & document_mask(ids)`.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError: no integer tensors with a position axis, or batches that differ.

    >>> import torch
    >>> print(document_mask(torch.tensor([0, 0, 1])).draw())
    xx.
    xx.
    ..x
    """
    query_ids = _ids(query_ids, "query_ids", "document_mask")
    key_ids = query_ids if key_ids is None else _ids(key_ids, "key_ids", "document_mask").to(query_ids.device)
    batch = broadcast_shape(query_ids.shape[:-1], key_ids.shape[:-1])
    if batch is None:
        raise ShapeError(
            f"document_mask: query_ids has shape {tuple(query_ids.shape)} and key_ids {tuple(key_ids.shape)}; "
            f"the axes before the last must be the same or broadcast."
        )
    return DocumentMask((*batch, query_ids.shape[-1], key_ids.shape[-1]), query_ids, key_ids)


def tensor_mask(tensor: Bool[Tensor, "*batch q k"] | Integer[Tensor, "*batch q k"]) -> Mask:
    """Return a tensor as a mask, so that it can be combined, drawn and asked about its blocks.

    Args:
        tensor: Boolean or integer 0/1 `(*batch, n_q, n_k)`, True = may attend; copied. With a single row
            `(*batch, 1, n_k)` it says the same for every query.

    Returns:
        A mask of the tensor's shape.

    Raises:
        ArgumentTypeError, MaskError, ShapeError: no such tensor. Floating ones go through `additive_to_mask`.

    >>> import torch
    >>> tensor_mask(torch.tensor([[1, 0], [0, 1]])).draw().split()
    ['x.', '.x']
    """
    cells = read_cells(tensor, "tensor_mask")
    return TensorMask(tuple(cells.shape), cells)


def _lengths(lengths: object) -> Tensor:
    if isinstance(lengths, list | tuple) and all(isinstance(n, int) and not isinstance(n, bool) for n in lengths):
        return torch.tensor(lengths, dtype=torch.int64)
    if not isinstance(lengths, Tensor):
        raise ArgumentTypeError(
            f"padding_mask: lengths is {reprlib.repr(lengths)}, expected an integer tensor or a list of whole numbers."
        )
    _check_integers(lengths, "lengths", "padding_mask")
    return lengths.to(torch.int64)


def _ids(ids: Tensor, name: str, caller: str) -> Tensor:
    """Return ids as int64 in memory of their own: narrower integers wrap around when compared with a larger id."""
    if not isinstance(ids, Tensor):
        raise ArgumentTypeError(f"{caller}: {name} is a {type(ids).__name__}, expected an integer torch.Tensor.")
    _check_integers(ids, name, caller)
    if ids.ndim < 1:
        raise ShapeError(f"{caller}: {name} is a single number, expected (*batch, positions).")
    return ids.to(torch.int64, copy=True)


def _check_integers(tensor: Tensor, name: str, caller: str) -> None:
    if tensor.dtype == torch.bool or tensor.is_floating_point() or tensor.is_complex():
        raise DTypeError(f"{caller}: {name} has dtype {tensor.dtype}, expected an integer dtype such as torch.int64.")
