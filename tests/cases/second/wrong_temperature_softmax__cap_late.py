# WRONG soft cap: the cap comes after the mask. Object: scaled_attention
import torch


def scaled_attention(q, k, v, scale=None, softcap=None, attn_mask=None):
    """q: (b, h, n, d). attn_mask: bool (n, m), True = keep. scale: default 1/sqrt(d)."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    s = torch.matmul(q, k.mT) * scale
    if attn_mask is not None:
        s = s.where(attn_mask, torch.full_like(s, -torch.inf))
    if softcap is not None:
        s = softcap * torch.tanh(s / softcap)
    return s.softmax(-1) @ v
