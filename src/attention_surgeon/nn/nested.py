"""Nested tensors, sequences of different lengths in one batch: padded on the way in, cut again on the way out."""

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError

_CALLER = "MultiheadAttention"


def check_nested(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None
) -> None:
    """Check what PyTorch asks of a nested query: self-attention without a mask, for the lengths say what is padding.

    Raises:
        OptionError: with the way out.
    """
    if query is not key or key is not value:
        raise OptionError(
            f"{_CALLER}: a nested query attends to itself only: pass the same tensor as query, key and value, "
            f"or pad them with to_padded_tensor(0.0)."
        )
    if attn_mask is not None or key_padding_mask is not None:
        raise OptionError(
            f"{_CALLER}: a nested query takes no attn_mask and no key_padding_mask, its lengths say what is padding; "
            f"pad it with to_padded_tensor(0.0) to use a mask."
        )


def pad_nested(nested: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sequences as one tensor `(batch, n, width)`, and where it is padding `(batch, n)`, True = padding.

    >>> sequences = [torch.ones(2, 1), torch.ones(1, 1)]
    >>> padded, hidden = pad_nested(torch.nested.as_nested_tensor(sequences, layout=torch.jagged))
    >>> hidden
    tensor([[False, False],
            [False,  True]])
    """
    padded = torch.nested.to_padded_tensor(nested, 0.0)
    lengths = torch.tensor([len(sequence) for sequence in nested.unbind()], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) >= lengths[:, None]


def nest(padded: Tensor, hidden: Tensor, layout: torch.layout) -> Tensor:
    """Undo `pad_nested`: cut the padding off and return the sequences as one nested tensor of `layout`."""
    rows = zip(padded, (~hidden).sum(1).tolist(), strict=True)
    return torch.nested.as_nested_tensor([row[:length] for row, length in rows], layout=layout)
