"""Layers and inputs in which every size is a different prime (the width excepted: it is heads times size)."""

from collections.abc import Callable

import torch
from torch import Tensor

from attention_surgeon import nn

BATCH, HEADS, N_Q, N_K, HEAD_DIM, CONTEXT = 2, 3, 5, 7, 11, 13
EMBED = HEADS * HEAD_DIM
KV_HEADS, GROUPED_HEADS = 2, 6
GROUPED_EMBED = GROUPED_HEADS * HEAD_DIM


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ragged(*shape: int, seed: int = 1) -> Tensor:
    """Return a mask (True = may attend) that hides about half and leaves everybody the first key."""
    mask = draw(*shape, seed=seed) > 0
    mask[..., 0] = True
    return mask


MAKERS: dict[str, Callable[[], nn.AttentionLayer]] = {
    "SimpleAttention": lambda: nn.SimpleAttention(EMBED),
    "SelfAttention": lambda: nn.SelfAttention(EMBED),
    "MultiHeadAttention": lambda: nn.MultiHeadAttention(EMBED, HEADS),
    "CrossAttention": lambda: nn.CrossAttention(EMBED, HEADS, context_dim=CONTEXT),
    "MultiQueryAttention": lambda: nn.MultiQueryAttention(EMBED, HEADS),
    "GroupedQueryAttention": lambda: nn.GroupedQueryAttention(GROUPED_EMBED, GROUPED_HEADS, KV_HEADS),
}


def make(name: str, seed: int = 0) -> nn.AttentionLayer:
    """Return a float64 layer in evaluation mode whose parameters are drawn, the biases too."""
    torch.manual_seed(seed)
    layer = MAKERS[name]().double().eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return layer


def arguments(layer: nn.AttentionLayer, *batch: int, n_k: int = N_K) -> tuple[Tensor, ...]:
    """Return what `forward` takes before the mask: the input, and the context where there is one."""
    x = draw(*batch, N_Q, layer.embed_dim, seed=2)
    return (x, draw(*batch, n_k, layer.context_dim, seed=3)) if isinstance(layer, nn.CrossAttention) else (x,)


def scores_shape(layer: nn.AttentionLayer, *batch: int) -> tuple[int, ...]:
    """Return `(*batch, heads, n_q, n_k)` for these arguments."""
    return (*batch, layer.num_heads, N_Q, N_K if isinstance(layer, nn.CrossAttention) else N_Q)


def attended(layer: nn.AttentionLayer, *given: Tensor, mask: object = None) -> tuple[Tensor, Tensor]:
    """Return output and weights, the weights always with a head axis, which layers of one head leave out."""
    output, weights = layer(*given, mask=mask, return_weights=True)
    return output, weights.unsqueeze(-3) if isinstance(layer, nn.SimpleAttention | nn.SelfAttention) else weights
