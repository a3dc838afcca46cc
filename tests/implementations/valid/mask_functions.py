"""Masks: causal, reversed and for padding; boolean, 0/1, additive, either polarity."""

import numpy as np
import torch

from tests.implementations.implementation import valid


@valid("causal_mask")
def create_causal_mask(seq_len, device="cpu"):
    """Zeros in the lower triangle, -inf above it."""
    return torch.triu(torch.full((seq_len, seq_len), float("-inf"), device=device), diagonal=1)


@valid("causal_mask")
def lower_ones(n):
    return torch.tril(torch.ones(n, n))


@valid("causal_mask")
def with_leading_axis(n):
    return torch.ones(n, n, dtype=torch.bool).tril().unsqueeze(0)


@valid("causal_mask")
def compared(n_q, n_k=None):
    n_k = n_q if n_k is None else n_k
    return torch.arange(n_k)[None, :] <= torch.arange(n_q)[:, None] + (n_k - n_q)


@valid("causal_mask", mask="hide")
def subsequent(size):
    return torch.triu(torch.ones(size, size, dtype=torch.uint8), diagonal=1) == 1


@valid("causal_mask")
def loops(n):
    mask = torch.zeros(n, n, dtype=torch.long)
    for i in range(n):
        for j in range(i + 1):
            mask[i, j] = 1
    return mask


@valid("causal_mask")
def low_number(n):
    return torch.zeros(n, n).masked_fill(torch.ones(n, n).triu(1).bool(), torch.finfo(torch.float32).min)


@valid("causal_mask")
def in_numpy(n):
    return np.tri(n, dtype=bool)


@valid("causal_mask")
def summed(n):
    """A running sum of the identity."""
    return torch.eye(n).cumsum(0) > 0


@valid("reverse_mask")
def create_reverse_mask(seq_len, device="cpu"):
    return torch.tril(torch.full((seq_len, seq_len), float("-inf"), device=device), diagonal=-1)


@valid("reverse_mask")
def upper_ones(n):
    return torch.ones(n, n).triu()


@valid("reverse_mask")
def compared_reverse(n):
    i = torch.arange(n)
    return i[None, :] >= i[:, None]


@valid("reverse_mask", mask="hide")
def hidden_past(n):
    return np.tril(np.ones((n, n), dtype=bool), k=-1)


@valid("padding_mask", source="lengths")
def positions_below_the_length(lengths, n):
    return torch.arange(n)[None, :] < lengths[:, None]


@valid("padding_mask", source="lengths")
def filled_row_by_row(lengths, max_len):
    mask = torch.zeros(len(lengths), max_len)
    for row, length in zip(mask, lengths, strict=True):
        row[: int(length)] = 1
    return mask[:, None, None, :]


@valid("padding_mask", source="lengths", mask="hide")
def key_padding_mask(lengths, n):
    """True at the padding, as `nn.MultiheadAttention` wants it."""
    return torch.stack([torch.arange(n) >= length for length in lengths])


@valid("padding_mask", source="lengths")
def added_to_the_scores(lengths, n):
    keep = torch.arange(n) < lengths.unsqueeze(1)
    return torch.zeros(len(lengths), 1, 1, n).masked_fill(~keep[:, None, None], float("-inf"))


@valid("padding_mask", source="tokens")
def not_padding(tokens, pad_id):
    return (tokens != pad_id).unsqueeze(1).unsqueeze(2)


@valid("padding_mask", source="tokens")
def with_one_axis(src, pad_idx=0):
    return src.ne(pad_idx).unsqueeze(-2)


@valid("padding_mask", source="tokens")
def like_bert(input_ids, pad_token_id):
    attention_mask = (input_ids != pad_token_id).to(torch.float32)
    return (1.0 - attention_mask)[:, None, None, :] * torch.finfo(torch.float32).min


@valid("padding_mask", source="tokens", mask="hide")
def equal_to_the_padding(tokens, pad_id):
    return tokens == pad_id
