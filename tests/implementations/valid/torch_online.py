"""Attention in PyTorch that never holds a whole row of scores: online softmax, blocks, streams."""

import torch
import torch.nn.functional as F

from tests.implementations.implementation import valid


@valid()
def flash(Q, K, V, mask=None):
    size = 2
    s_all = Q.shape[-1] ** -0.5
    o = Q.new_zeros(*Q.shape[:-1], V.shape[-1])
    m = Q.new_full((*Q.shape[:-1], 1), -1e30)
    d = torch.zeros_like(m)
    for start in range(0, K.shape[-2], size):
        k, v = K[..., start : start + size, :], V[..., start : start + size, :]
        s = Q @ k.mT * s_all
        if mask is not None:
            s = s.masked_fill(mask[..., start : start + size] == 0, -torch.inf)
        new = torch.maximum(m, s.amax(-1, keepdim=True))
        p = torch.exp(s - new)
        shrink = torch.exp(m - new)
        d = d * shrink + p.sum(-1, keepdim=True)
        o = o * shrink + p @ v
        m = new
    return torch.where(d > 0, o / d.clamp(min=1e-30), torch.zeros_like(o))


@valid()
def flash_in_tiles(Q, K, V, mask=None):
    """Tiles of three queries by four keys, and the logarithm of the sum beside the output."""
    n_q, n_k = Q.shape[-2], K.shape[-2]
    tiles, sums = [], []
    for i in range(0, n_q, 3):
        q = Q[..., i : i + 3, :] / Q.shape[-1] ** 0.5
        out, lse = None, None
        for j in range(0, n_k, 4):
            s = torch.einsum("...qd,...kd->...qk", q, K[..., j : j + 4, :])
            if mask is not None:
                s = s.masked_fill(mask[..., i : i + 3, j : j + 4] == 0, -torch.inf)
            part, part_lse = s.softmax(-1).nan_to_num() @ V[..., j : j + 4, :], s.logsumexp(-1, keepdim=True)
            if out is None:
                out, lse = part, part_lse
            else:
                both = torch.logaddexp(lse, part_lse).clamp(min=-1e30)
                out = out * (lse - both).exp() + part * (part_lse - both).exp()
                lse = both
        tiles.append(out)
        sums.append(lse)
    return torch.cat(tiles, -2), None


@valid()
def one_key_at_a_time(Q, K, V):
    """A running maximum, a running sum and a running output, one key and value after the other."""
    top = torch.full(Q.shape[:-1], -torch.inf, dtype=Q.dtype)
    total = torch.zeros_like(top)
    out = torch.zeros(*Q.shape[:-1], V.shape[-1], dtype=Q.dtype)
    for k, v in zip(K.unbind(-2), V.unbind(-2), strict=True):
        s = torch.einsum("...qd,...d->...q", Q, k) / Q.shape[-1] ** 0.5
        higher = torch.maximum(top, s)
        keep, add = (top - higher).exp(), (s - higher).exp()
        total = total * keep + add
        out = out * keep[..., None] + add[..., None] * v[..., None, :]
        top = higher
    return out / total[..., None]


@valid()
def two_passes(Q, K, V, mask=None):
    scale = 1 / Q.shape[-1] ** 0.5

    def block(j):
        s = Q @ K[..., j : j + 3, :].mT * scale
        return s if mask is None else s.masked_fill(mask[..., j : j + 3] == 0, -torch.inf)

    starts = range(0, K.shape[-2], 3)
    lse = torch.cat([block(j).logsumexp(-1, keepdim=True) for j in starts], -1).logsumexp(-1, keepdim=True)
    lse = lse.clamp(min=-1e30)
    weights = torch.cat([(block(j) - lse).exp() for j in starts], -1)
    return weights @ V, weights


@valid()
def queries_in_chunks(Q, K, V, mask=None, chunk=2):
    """Memory-efficient: the keys are whole, the queries come in chunks."""
    done = []
    for n, q in enumerate(Q.split(chunk, dim=-2)):
        part = q @ K.mT / Q.shape[-1] ** 0.5
        if mask is not None:
            part = part.masked_fill(mask.split(chunk, dim=-2)[n] == 0, torch.finfo(q.dtype).min)
        done.append(F.softmax(part, -1))
    weights = torch.cat(done, dim=-2)
    return weights @ V, weights
