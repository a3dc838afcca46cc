# WRONG causal leak: one token of the future is seen. Object: create_causal_mask
import torch


def create_causal_mask(seq_len, device="cpu"):
    """True where attention is allowed."""
    return torch.tril(torch.ones(seq_len, seq_len, dtype=torch.bool, device=device), diagonal=1).unsqueeze(0).unsqueeze(0)
