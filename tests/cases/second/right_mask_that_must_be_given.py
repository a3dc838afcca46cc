# RIGHT: its mask of keys is None by default, and no call without it works. Object: attention
import torch


def attention(Q, K, V, mask=None):
    scores = torch.einsum("... i d, ... j d -> ... i j", Q / Q.shape[-1] ** 0.5, K)
    batch, keys = mask.shape
    scores = torch.where(mask.view(batch, 1, 1, keys) > 0, scores, -1e10)
    return torch.softmax(scores, dim=-1) @ V
