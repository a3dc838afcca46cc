# WRONG returned weights: the weights that come back are made of unscaled scores. Object: attention_with_weights
import torch


def attention_with_weights(Q, K, V):
    """Returns (weights, output)."""
    d_k = K.shape[-1]
    weights = torch.softmax(torch.matmul(Q, K.transpose(-1, -2)) / d_k**0.5, dim=-1)
    return torch.softmax(torch.matmul(Q, K.transpose(-1, -2)), dim=-1), torch.matmul(weights, V)
