# RIGHT: create_causal_mask: True may attend, (1, 1, n, n). Object: create_causal_mask
import torch


def create_causal_mask(seq_len, device="cpu"):
    """True where attention is allowed."""
    return torch.tril(torch.ones(seq_len, seq_len, dtype=torch.bool, device=device)).unsqueeze(0).unsqueeze(0)
