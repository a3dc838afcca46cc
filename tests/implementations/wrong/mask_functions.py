"""Masks alone: causal, reverse and padding."""

import math

import numpy as np
import torch

from tests.implementations.implementation import wrong


@wrong("causal_reversed", contract="causal_mask")
def causal(n):
    return torch.triu(torch.ones(n, n))


@wrong("mask_off_by_one", contract="causal_mask")
def subsequent_mask(size):
    return np.triu(np.ones((size, size)), k=2) == 0


@wrong("mask_diagonal_hidden", contract="causal_mask")
def lower(n):
    return torch.tril(torch.ones(n, n, dtype=torch.bool), diagonal=-1)


@wrong("mask_inverted", contract="causal_mask")
def upper(seq_len):
    return torch.triu(torch.ones(seq_len, seq_len), diagonal=1).bool()


@wrong("mask_times_infinity", contract="causal_mask")
def additive(n):
    return (1 - torch.tril(torch.ones(n, n))) * float("-inf")


@wrong("mask_fill_positive", contract="causal_mask", mask="additive")
def generate_square_subsequent_mask(sz):
    return torch.triu(torch.full((sz, sz), math.inf), diagonal=1)


@wrong("mask_inverted", contract="causal_mask")
def bias(n):
    keep = torch.arange(n)[:, None] >= torch.arange(n)
    return torch.zeros(n, n).masked_fill(keep, -math.inf)


@wrong("causal_missing", contract="causal_mask")
def everything(n):
    mask = torch.ones(n, n)
    torch.tril(mask)
    return mask


@wrong("mask_inverted", contract="causal_mask", mask="hide")
def declared_hidden(n):
    return np.tril(np.ones((n, n), dtype=bool))


@wrong("mask_fill_too_small", contract="causal_mask", mask="additive")
def soft_bias(n):
    i = np.arange(n)
    return np.where(i[None, :] > i[:, None], -1.0, 0.0)


@wrong("causal_aligned_at_start", contract="causal_mask")
def rectangular(n_q, n_k):
    return torch.ones(n_q, n_k).tril()


@wrong("mask_diagonal_hidden", contract="reverse_mask")
def future(n):
    return torch.ones(n, n).triu(1)


@wrong("mask_inverted", contract="reverse_mask")
def backwards(n):
    return ~np.triu(np.ones((n, n), dtype=bool))


@wrong("mask_off_by_one", contract="reverse_mask")
def from_the_right(n):
    mask = np.zeros((n, n), dtype=bool)
    for i in range(n):
        mask[i, max(0, i - 1) :] = True
    return mask


@wrong("mask_transposed", contract="reverse_mask")
def reverse(seq_len):
    i = torch.arange(seq_len)
    return i.view(1, -1) <= i.view(-1, 1)


@wrong("padding_off_by_one", contract="padding_mask", source="lengths")
def from_lengths(lengths, n):
    return torch.arange(n)[None, :] <= lengths[:, None]


@wrong("padding_inverted", contract="padding_mask", source="lengths")
def padded(lengths, n):
    mask = torch.zeros(len(lengths), n, dtype=torch.bool)
    for row, length in enumerate(lengths):
        mask[row, int(length) :] = True
    return mask


@wrong("padding_off_by_one", contract="padding_mask", source="lengths")
def sequence_mask(lengths, maxlen):
    positions = np.arange(1, maxlen + 1)
    return positions[None, None, :] < np.asarray(lengths)[:, None, None]


@wrong("padding_inverted", contract="padding_mask", source="tokens")
def pad_mask(tokens, pad_id):
    return (tokens == pad_id).unsqueeze(1).unsqueeze(2)


@wrong("mask_hides_queries", contract="padding_mask", source="tokens")
def source_mask(src, pad_idx):
    return (src != pad_idx).unsqueeze(-1).expand(-1, -1, src.shape[1])


@wrong("mask_hides_queries", contract="padding_mask", source="lengths")
def keep(lengths, n):
    ok = np.arange(n)[None, :] < np.asarray(lengths)[:, None]
    return np.repeat(ok[:, :, None], n, axis=2)


@wrong("mask_first_only", contract="padding_mask", source="lengths")
def shared(lengths, n):
    return torch.arange(n).lt(lengths[0]).repeat(len(lengths), 1)


@wrong("mask_ignored", contract="padding_mask", source="tokens")
def nothing_hidden(tokens, pad_id):
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask.masked_fill(tokens == pad_id, False)
    return mask
