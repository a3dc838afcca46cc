"""Nested tensors, sequences of different lengths in one batch: padded on the way in, cut again on the way out."""

from collections.abc import Iterable

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError, ShapeError

_CALLER = "MultiheadAttention"
_OUTSIDE = (  # PyTorch's own wording, which its tests and some callers look for
    "MultiheadAttention does not support NestedTensor outside of its fast path. The fast path was not hit because"
)


def check_nested(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    parameters: Iterable[Tensor],
) -> None:
    """Check what PyTorch asks of a nested query: self-attention, no mask (the lengths say what is padding), no grad.

    Raises:
        OptionError, ShapeError: with the way out.
    """
    if query.dim() != 3:
        raise ShapeError(
            f"{_CALLER}: {_OUTSIDE} query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D "
            f"query tensor: pass a nested tensor of sequences (n, width), at least one."
        )
    if query is not key or key is not value:
        raise OptionError(
            f"{_CALLER}: {_OUTSIDE} non-self attention was used: a nested query attends to itself only. "
            f"Pass the same tensor as query, key and value, or pad them with to_padded_tensor(0.0)."
        )
    if attn_mask is not None or key_padding_mask is not None:
        raise OptionError(
            f"{_CALLER}: {_OUTSIDE} supplying both src_key_padding_mask and src_mask at the same time, or either, "
            f"is not supported with NestedTensor input: a nested query takes no attn_mask and no key_padding_mask, its "
            f"lengths say what is padding; pad it with to_padded_tensor(0.0) to use a mask."
        )
    if torch.is_grad_enabled() and any(x.requires_grad for x in (query, *parameters)):
        raise OptionError(
            f"{_CALLER}: {_OUTSIDE} grad is enabled and at least one of query or the input/output projection weights "
            f"or biases requires_grad: call it under torch.no_grad(), or pad query with to_padded_tensor(0.0)."
        )


def pad_nested(nested: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sequences as one tensor `(batch, n, width)`, and where it is padding `(batch, n)`, True = padding.

    >>> sequences = [torch.ones(2, 1), torch.ones(1, 1)]
    >>> padded, hidden = pad_nested(torch.nested.as_nested_tensor(sequences, layout=torch.jagged))
    >>> hidden
    tensor([[False, False],
            [False,  True]])
    """
    padded = torch.nn.utils.rnn.pad_sequence(list(nested.unbind()), batch_first=True)  # also where all are empty
    lengths = torch.tensor([len(sequence) for sequence in nested.unbind()], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) >= lengths[:, None]


def nest(padded: Tensor, hidden: Tensor, layout: torch.layout) -> Tensor:
    """Undo `pad_nested`: cut the padding off and return the sequences as one nested tensor of `layout`."""
    rows = zip(padded, (~hidden).sum(1).tolist(), strict=True)
    return torch.nested.as_nested_tensor([row[:length] for row, length in rows], layout=layout)
