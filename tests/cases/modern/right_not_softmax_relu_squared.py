# RIGHT: squared relu of the scores over their number; it is not softmax attention, and no mistake. Object: attention
import torch


def attention(q, k, v):
    """relu(scores)^2 / n, as in Primer-like models."""
    scores = torch.relu(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5) ** 2
    return scores / k.shape[-2] @ v
