"""Attention in PyTorch without big products: loops, lists, vmap and complex numbers."""

import math

import torch

from tests.implementations.implementation import valid


@valid()
def loop_over_everything(Q, K, V, mask=None):
    batch, n_q, d_k = Q.shape
    n_k, d_v = V.shape[1:]
    output = torch.zeros(batch, n_q, d_v, dtype=Q.dtype)
    weights = torch.zeros(batch, n_q, n_k, dtype=Q.dtype)
    if mask is not None:
        mask = mask.expand(batch, n_q, n_k)
    for b in range(batch):
        for i in range(n_q):
            row = torch.stack([torch.dot(Q[b, i], K[b, j]) / math.sqrt(d_k) for j in range(n_k)])
            if mask is not None:
                row = row.masked_fill(mask[b, i] == 0, -1e9)
            row = torch.softmax(row, dim=0)
            weights[b, i] = row
            for j in range(n_k):
                output[b, i] += row[j] * V[b, j]
    return output, weights


@valid()
def loop_over_the_batch(Q, K, V, mask=None):
    outputs, all_weights = [], []
    for b, (q, k, v) in enumerate(zip(Q, K, V, strict=True)):
        s = q @ k.transpose(0, 1) / q.shape[-1] ** 0.5
        if mask is not None:
            m = mask if mask.dim() == 2 else mask[b]
            s = s.masked_fill(m == 0, -1e9)
        w = s.softmax(-1)
        outputs.append(w @ v)
        all_weights.append(w)
    return torch.stack(outputs), torch.stack(all_weights)


@valid()
def loop_over_the_queries(Q, K, V, mask=None):
    """One row of the output at a time, joined at the end."""
    rows = []
    for i in range(Q.shape[-2]):
        s = (K * Q[..., i : i + 1, :]).sum(-1) * Q.shape[-1] ** -0.5
        if mask is not None:
            s = s.masked_fill(mask[..., i, :] == 0, -1e9)
        rows.append((s.softmax(-1).unsqueeze(-1) * V).sum(-2, keepdim=True))
    return torch.cat(rows, dim=-2)


@valid()
def loop_over_the_keys(Q, K, V, mask=None):
    columns = [(Q * K[..., j : j + 1, :]).sum(-1) for j in range(K.shape[-2])]
    s = torch.stack(columns, dim=-1) / math.sqrt(Q.shape[-1])
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    w = torch.softmax(s, dim=-1)
    return sum(w[..., j : j + 1] * V[..., j : j + 1, :] for j in range(V.shape[-2])), w


@valid()
def only_the_seen_keys(Q, K, V, mask=None):
    """Picks the keys that a query may see; a query that sees none keeps its zeros."""
    out = Q.new_zeros(*Q.shape[:-1], V.shape[-1])
    keep = torch.ones(Q.shape[0], Q.shape[1], K.shape[1], dtype=torch.bool)
    if mask is not None:
        keep = keep & mask.bool()
    for b in range(Q.shape[0]):
        for i in range(Q.shape[1]):
            seen = keep[b, i].nonzero().flatten()
            if len(seen):
                out[b, i] = torch.softmax(K[b, seen] @ Q[b, i] / Q.shape[-1] ** 0.5, 0) @ V[b, seen]
    return out


@valid()
def numbers_of_python(Q, K, V):
    def row(q, keys, values):
        s = [sum(a * b for a, b in zip(q, k, strict=True)) / len(q) ** 0.5 for k in keys]
        top = max(x.item() for x in s)
        e = [torch.exp(x - top) for x in s]
        total = sum(e)
        return torch.stack(
            [sum(w / total * v[c] for w, v in zip(e, values, strict=True)) for c in range(len(values[0]))]
        )

    return torch.stack([torch.stack([row(q, k, v) for q in qs]) for qs, k, v in zip(Q, K, V, strict=True)])


def _one_query(q, K, V, keep):
    s = torch.where(keep, K @ q / K.shape[-1] ** 0.5, -1e9)
    w = torch.softmax(s, 0)
    return w @ V, w


@valid()
def mapped(Q, K, V, mask=None):
    keep = torch.ones(Q.shape[0], Q.shape[1], K.shape[1], dtype=torch.bool)
    if mask is not None:
        keep = keep & mask.bool()
    over_queries = torch.vmap(_one_query, in_dims=(0, None, None, 0))
    return torch.vmap(over_queries)(Q, K, V, keep)


@valid()
def heads_in_a_list(Q, K, V, mask=None):
    """Takes 4-D only: `unbind` gives one head after the other."""
    results = []
    for h, (q, k, v) in enumerate(zip(Q.unbind(1), K.unbind(1), V.unbind(1), strict=True)):
        s = q @ k.transpose(1, 2) / q.size(-1) ** 0.5
        if mask is not None:
            m = mask if mask.dim() == 2 else mask[:, min(h, mask.shape[1] - 1)]
            s = s.masked_fill(m == 0, -1e9)
        results.append(torch.softmax(s, -1) @ v)
    return torch.stack(results, dim=1)


@valid()
def batch_folded_into_one_long_sequence(Q, K, V, mask=None):
    """One big attention with a block-diagonal mask instead of a batch."""
    b, n_q, d = Q.shape
    n_k = K.shape[1]
    own = torch.arange(b)
    keep = own.repeat_interleave(n_q)[:, None] == own.repeat_interleave(n_k)[None, :]
    s = Q.reshape(-1, d) @ K.reshape(-1, d).T / d**0.5
    if mask is not None:
        blocks = torch.block_diag(*mask.expand(b, n_q, n_k).int())
        s = s.masked_fill(blocks == 0, -1e9)
    w = s.masked_fill(~keep, -torch.inf).softmax(-1)
    return (w @ V.reshape(b * n_k, -1)).view(b, n_q, -1)


@valid()
def real_part_of_a_complex_product(Q, K, V, mask=None):
    half = Q.shape[-1] // 2
    if Q.shape[-1] % 2:
        Q, K = torch.nn.functional.pad(Q, (0, 1)), torch.nn.functional.pad(K, (0, 1))
        half += 1
        size = 2 * half - 1
    else:
        size = 2 * half
    q = torch.complex(Q[..., :half].contiguous(), Q[..., half:].contiguous())
    k = torch.complex(K[..., :half].contiguous(), K[..., half:].contiguous())
    s = (q @ k.conj().transpose(-1, -2)).real / math.sqrt(size)
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    w = s.softmax(-1)
    return w @ V, w
