# RIGHT: retention with decay; it is not softmax attention, and no mistake. Object: retention
import torch


def retention(q, k, v, gamma=0.9):
    """RetNet in its parallel form."""
    n = q.shape[-2]
    i = torch.arange(n)
    distance = (i[:, None] - i[None, :]).clamp(min=0)
    decay = torch.tril(gamma ** distance.to(q.dtype))
    return (q @ k.transpose(-2, -1) * decay) @ v
