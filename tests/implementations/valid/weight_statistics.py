"""Numbers from attention weights."""

import numpy as np
import torch

from tests.implementations.implementation import valid


def _locality(weights, window=2):
    n_q, n_k = weights.shape[-2:]
    near = (torch.arange(n_q)[:, None] - torch.arange(n_k)[None, :]).abs() <= window
    local = (weights * near).sum().item()
    return local / max((weights * ~near).sum().item(), 1e-9)


@valid("statistics")
def analyze_attention_patterns(attention_weights):
    p = attention_weights
    entropy = -(p * torch.log(p.clamp(min=1e-30))).sum(-1).mean()
    return {
        "max_attention": p.max().item(),
        "entropy": entropy.item(),
        "diagonal_mass": p.diagonal(dim1=-2, dim2=-1).mean().item(),
        "local_vs_global": _locality(p),
    }


@valid("statistics")
def with_entr_and_xlogy(weights):
    n = min(weights.shape[-2:])
    own = weights[..., torch.arange(n), torch.arange(n)]
    return {
        "entropy": -torch.xlogy(weights, weights).sum(dim=-1).mean().item(),
        "diagonal_mass": float(own.sum() / own.numel()),
        "max_attention": float(torch.amax(weights)),
        "local_vs_global": _locality(weights, window=1),
    }


@valid("statistics")
def tensors_and_extras(attention_weights):
    w = attention_weights.detach()
    eye = torch.eye(w.shape[-2], w.shape[-1], dtype=w.dtype)
    rows = torch.special.entr(w).sum(-1)
    return {
        "max_attention": w.flatten().max(),
        "entropy": rows.mean(),
        "entropy_std": rows.std(),
        "diagonal_mass": (w * eye).sum((-2, -1)).mean() / eye.sum(),
        "local_vs_global": torch.tensor(_locality(w)),
    }


@valid("statistics")
def through_numpy(attention_weights):
    w = np.asarray(attention_weights, dtype=np.float64)
    seen = np.where(w > 0, w, 1.0)
    return {
        "max_attention": float(w.max()),
        "entropy": float(-(w * np.log(seen)).sum(-1).mean()),
        "diagonal_mass": float(np.einsum("...ii->...i", w).mean()),
        "local_vs_global": _locality(torch.as_tensor(w)),
    }
