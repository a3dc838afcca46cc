# WRONG alibi: far keys get more. Object: alibi
import torch


def alibi(n_heads, seq_len):
    """(n_heads, n, n): -slope * (i - j); slopes 2^(-8/h), 2^(-16/h), ... (Press et al.)."""
    start = 2 ** (-8 / n_heads)
    slopes = torch.tensor([start ** (i + 1) for i in range(n_heads)])
    pos = torch.arange(seq_len)
    rel = (pos[:, None] - pos[None, :]).abs()
    return slopes[:, None, None] * rel
