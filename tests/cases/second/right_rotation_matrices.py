# RIGHT: pairs are rotated by matrices that are given. Object: attention
import torch
import torch.nn.functional as F
from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, pe: Tensor) -> Tensor:
    """q, k, v: (batch, heads, n, d); pe: (1, 1, n, d / 2, 2, 2), a matrix of rotation for each pair."""
    q, k = rotated(q, pe), rotated(k, pe)
    out = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).flatten(2)


def rotated(x: Tensor, pe: Tensor) -> Tensor:
    pairs = x.reshape(*x.shape[:-1], -1, 1, 2)
    return (pe[..., 0] * pairs[..., 0] + pe[..., 1] * pairs[..., 1]).reshape(x.shape)
