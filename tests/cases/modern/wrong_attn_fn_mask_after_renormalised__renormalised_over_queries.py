# WRONG softmax axis: renormalised over the queries. Object: masked_attention
import torch


def masked_attention(query, key, value, mask=None, eps=1e-12):
    """mask: 1 = attend. The weights that are left are made to sum to one."""
    weights = torch.softmax(query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5, dim=-1)
    if mask is not None:
        weights = weights * mask
        weights = weights / (weights.sum(dim=-2, keepdim=True) + eps)
    return weights @ value
