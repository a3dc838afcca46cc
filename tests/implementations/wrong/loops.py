"""Attention written as explicit loops."""

import math

import numpy as np
import torch

from tests.implementations.implementation import wrong


@wrong("scale_missing")
def attention(Q, K, V, mask=None):
    batches = []
    for b in range(Q.shape[0]):
        rows = []
        for i in range(Q.shape[1]):
            scores = torch.stack([(Q[b, i] * K[b, j]).sum() for j in range(K.shape[1])])
            if mask is not None:
                keep = mask.expand(Q.shape[0], Q.shape[1], K.shape[1])[b, i].bool()
                scores = torch.where(keep, scores, torch.full_like(scores, -1e9))
            weights = torch.softmax(scores, dim=0)
            row = torch.zeros_like(V[b, 0])
            for j in range(K.shape[1]):
                row = row + weights[j] * V[b, j]
            rows.append(row)
        batches.append(torch.stack(rows))
    return torch.stack(batches)


@wrong("softmax_over_queries")
def attend_slowly(q, k, v, mask=None):
    """Correct but slow reference."""
    B, T, C = q.shape
    S = k.shape[1]
    w = q.new_zeros(B, T, S)
    for b in range(B):
        for i in range(T):
            for j in range(S):
                w[b, i, j] = torch.dot(q[b, i], k[b, j]) / math.sqrt(C)
    if mask is not None:
        w = w.masked_fill(mask == 0, -1e9)
    out = []
    for b in range(B):
        cols = [torch.softmax(w[b, :, j], dim=0) for j in range(S)]
        out.append(torch.stack(cols, dim=1) @ v[b])
    return torch.stack(out)


def _dot(a, b):
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = total + x * y
    return total


@wrong("mask_after_softmax")
def three_loops(Q, K, V, mask=None):
    b, n, d = Q.shape
    m = K.shape[1]
    seen = np.ones((b, n, m), dtype=bool) if mask is None else np.broadcast_to(np.asarray(mask, dtype=bool), (b, n, m))
    result = np.zeros((b, n, V.shape[2]), dtype=Q.dtype)
    attn = np.zeros((b, n, m), dtype=Q.dtype)
    for x in range(b):
        for i in range(n):
            s = [_dot(Q[x, i], K[x, j]) / math.sqrt(d) for j in range(m)]
            top = max(s)
            e = [math.exp(v - top) for v in s]
            z = sum(e)
            for j in range(m):
                if seen[x, i, j]:
                    attn[x, i, j] = e[j] / z
                    result[x, i] += attn[x, i, j] * V[x, j]
    return result, attn


@wrong("key_as_value")
def naive(query, key, value, mask=None):
    outputs = torch.zeros(query.shape[0], query.shape[1], key.shape[2], dtype=query.dtype)
    for b in range(len(query)):
        for i in range(query.shape[1]):
            logits = (key[b] * query[b, i]).sum(1) * query.shape[2] ** -0.5
            if mask is not None:
                logits = logits.masked_fill(~mask.bool().expand(len(query), query.shape[1], -1)[b, i], -1e9)
            p = logits.softmax(0)
            for j, pj in enumerate(p):
                outputs[b, i] = outputs[b, i] + pj * key[b, j]
    return outputs


@wrong("scores_negated")
def nearest(Q, K, V, mask=None):
    # the smaller the distance the larger the weight
    out = np.empty((Q.shape[0], Q.shape[1], V.shape[-1]), Q.dtype)
    for b in range(Q.shape[0]):
        for i in range(Q.shape[1]):
            s = np.empty(K.shape[1], Q.dtype)
            for j in range(K.shape[1]):
                s[j] = -np.dot(Q[b, i], K[b, j]) / math.sqrt(Q.shape[-1])
            if mask is not None:
                m = mask[b, i] if mask.ndim == 3 else mask[i]
                s[m == 0] = -1e9
            s = np.exp(s - s.max())
            s /= s.sum()
            out[b, i] = s @ V[b]
    return out


@wrong("distance_scores")
def rbf(Q, K, V, mask=None):
    n, m = Q.shape[1], K.shape[1]
    scores = torch.empty(Q.shape[0], n, m, dtype=Q.dtype)
    for i in range(n):
        for j in range(m):
            diff = Q[:, i] - K[:, j]
            scores[:, i, j] = -(diff * diff).sum(-1) / math.sqrt(Q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)
    return scores.softmax(-1) @ V


@wrong("mask_inverted")
def loop_with_continue(Q, K, V, mask=None):
    B, N, D = Q.shape
    M = K.shape[1]
    out = np.zeros((B, N, V.shape[2]), dtype=Q.dtype)
    for b in range(B):
        for i in range(N):
            allowed = []
            for j in range(M):
                if mask is not None:
                    m = mask[b][i][j] if np.ndim(mask) == 3 else mask[i][j]
                    if m:
                        continue  # masked position
                allowed.append(j)
            if not allowed:
                continue
            s = np.array([Q[b, i] @ K[b, j] for j in allowed], dtype=Q.dtype) / math.sqrt(D)
            w = np.exp(s - s.max())
            w = w / w.sum()
            for weight, j in zip(w, allowed, strict=True):
                out[b, i] += weight * V[b, j]
    return out


@wrong("mask_filled_with_zero")
def with_lists(Q, K, V, mask=None):
    answer = []
    for b, (q, k, v) in enumerate(zip(Q, K, V, strict=True)):
        grid = None if mask is None else (mask if mask.dim() == 2 else mask[b])
        lines = []
        for i, qi in enumerate(q):
            line = []
            for j, kj in enumerate(k):
                s = (qi @ kj) / math.sqrt(len(qi))
                if grid is not None and not grid[i, j]:
                    s = s * 0  # hide it
                line.append(s)
            lines.append(torch.stack(line))
        answer.append(torch.softmax(torch.stack(lines), -1) @ v)
    return torch.stack(answer)


@wrong("nan_rows")
def dictionary_attention(Q, K, V, mask=None):
    out = torch.zeros(Q.shape[0], Q.shape[1], V.shape[2], dtype=V.dtype)
    table = {}
    for b in range(Q.shape[0]):
        for i in range(Q.shape[1]):
            for j in range(K.shape[1]):
                hidden = mask is not None and not (mask[b, i, j] if mask.dim() == 3 else mask[i, j])
                table[b, i, j] = Q.new_tensor(-math.inf) if hidden else Q[b, i] @ K[b, j] / math.sqrt(Q.shape[2])
    for b in range(Q.shape[0]):
        for i in range(Q.shape[1]):
            row = torch.stack([table[b, i, j] for j in range(K.shape[1])])
            e = (row - row.max()).exp()
            out[b, i] = (e / e.sum()) @ V[b]
    return out


@wrong("hard_max")
def look_up(Q, K, V, mask=None):
    """Soft look-up of each query in the keys."""
    found = np.zeros((Q.shape[0], Q.shape[1], V.shape[2]), dtype=V.dtype)
    weights = np.zeros((Q.shape[0], Q.shape[1], K.shape[1]), dtype=V.dtype)
    for b in range(Q.shape[0]):
        for i in range(Q.shape[1]):
            best, best_score = None, -float("inf")
            for j in range(K.shape[1]):
                if mask is not None and not np.broadcast_to(mask, weights.shape)[b, i, j]:
                    continue
                score = float(Q[b, i] @ K[b, j])
                if score > best_score:
                    best, best_score = j, score
            if best is not None:
                weights[b, i, best] = 1
                found[b, i] = V[b, best]
    return found, weights


@wrong("scale_by_num_keys")
def per_query(queries, keys, values, mask=None):
    def one(q, k, v, m):
        s = (k @ q) / len(k) ** 0.5
        if m is not None:
            s = torch.where(m.bool(), s, -1e9)
        return torch.softmax(s, 0) @ v

    rows = []
    for b in range(queries.shape[0]):
        for i in range(queries.shape[1]):
            m = None if mask is None else (mask[b, i] if mask.dim() > 2 else mask[i])
            rows.append(one(queries[b, i], keys[b], values[b], m))
    return torch.stack(rows).reshape(queries.shape[0], queries.shape[1], -1)


@wrong("mask_off_by_one")
def off(Q, K, V, mask=None):
    scores = torch.zeros(Q.shape[0], Q.shape[1], K.shape[1], dtype=Q.dtype)
    for i in range(Q.shape[1]):
        for j in range(K.shape[1]):
            scores[:, i, j] = (Q[:, i] * K[:, j]).sum(-1) / Q.shape[-1] ** 0.5
    if mask is not None:
        shifted = mask.bool().clone()
        for j in range(1, K.shape[1]):  # a key is open where it or the one before it is
            shifted[..., j] = mask[..., j].bool() | mask[..., j - 1].bool()
        scores = scores.masked_fill(~shifted, -1e9)
    return scores.softmax(-1) @ V
