# RIGHT: function over (b, n, h, d) with groups as an axis of its own. Object: grouped_attention
import torch


def grouped_attention(q, k, v, causal=False):
    """q: (b, n, h, d); k, v: (b, m, g, d) with h a multiple of g. Returns (b, n, h, d)."""
    b, n, h, d = q.shape
    m, g = k.shape[1], k.shape[2]
    q = q.reshape(b, n, g, h // g, d)
    scores = torch.einsum("bngrd,bmgd->bgrnm", q, k) / d**0.5
    if causal:
        keep = torch.ones(n, m, dtype=torch.bool).tril(m - n)
        scores = scores.masked_fill(~keep, float("-inf"))
    out = torch.einsum("bgrnm,bmgd->bngrd", scores.softmax(-1), v)
    return out.reshape(b, n, h, d)
