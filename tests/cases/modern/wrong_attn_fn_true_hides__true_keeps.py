# WRONG mask polarity: True keeps, against the docstring. Object: attention
import torch


def attention(query, key, value, key_padding_mask=None):
    """key_padding_mask: (batch, n_k), True marks padding that is to be ignored. query: (batch, n_q, d)."""
    scores = torch.bmm(query, key.transpose(1, 2)) / query.size(-1) ** 0.5
    if key_padding_mask is not None:
        scores = scores.masked_fill(~key_padding_mask.unsqueeze(1), float("-inf"))
    weights = torch.softmax(scores, dim=-1)
    return torch.bmm(weights, value), weights
