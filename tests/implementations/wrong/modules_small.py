"""First layers: one head, three Linear layers, and one that is read from a problem sheet."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from tests.implementations.implementation import wrong


class Three(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.query = nn.Linear(n_embd, n_embd)
        self.key = nn.Linear(n_embd, n_embd)
        self.value = nn.Linear(n_embd, n_embd)


def simple(*faults):
    return wrong(*faults, contract="simple")


@simple("scale_not_asked")
class SimpleAttention(Three):
    def forward(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
        return torch.softmax(scores, dim=-1) @ v


@simple("query_key_swapped")
class Turned(Three):
    def forward(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        return torch.softmax(k @ q.transpose(-2, -1), dim=-1) @ v


@simple("softmax_over_queries")
class Dim1(Three):
    def forward(self, x):
        w = torch.softmax(torch.bmm(self.query(x), self.key(x).mT), dim=1)
        return torch.bmm(w, self.value(x))


@simple("softmax_missing")
class Linear(Three):
    def forward(self, x):
        return (self.query(x) @ self.key(x).mT) @ self.value(x)


@simple("key_as_value")
class TwoOfThree(Three):
    def forward(self, x):
        k = self.key(x)
        return (self.query(x) @ k.mT).softmax(-1) @ k


@simple("query_as_key")
class Gram(Three):
    def forward(self, x):
        q = self.query(x)
        return (q @ q.mT).softmax(-1) @ self.value(x)


@simple("projection_shared")
class OneLayer(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.linear = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        q = k = v = self.linear(x)
        return F.softmax(q @ k.transpose(1, 2), dim=2) @ v


@simple("projection_shared")
class SharedQuery(Three):
    def forward(self, x):
        q, k, v = self.query(x), self.query(x), self.query(x)
        return F.softmax(q @ k.transpose(1, 2), dim=2) @ v


@simple("weights_transposed")
class Received(Three):
    def forward(self, x):
        w = (self.query(x) @ self.key(x).mT).softmax(-1)
        return w.transpose(1, 2) @ self.value(x)


@simple("projection_transposed")
class Raw(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(n_embd, n_embd, bias=False) for _ in range(3))

    def forward(self, x):
        q, k, v = x @ self.query.weight, x @ self.key.weight, x @ self.value.weight
        return (q @ k.mT).softmax(-1) @ v


@simple("bias_dropped")
class Weights(Three):
    def forward(self, x):
        q, k, v = (F.linear(x, layer.weight) for layer in (self.query, self.key, self.value))
        return (q @ k.mT).softmax(-1) @ v


@simple("scale_not_asked", "softmax_over_queries")
class Both(Three):
    def forward(self, x):
        return (self.query(x) @ self.key(x).mT / x.shape[-1] ** 0.5).softmax(-2) @ self.value(x)


@simple("sum_without_keepdim")
class ByHand(Three):
    def forward(self, x):
        out = []
        for q, k, v in zip(self.query(x), self.key(x), self.value(x), strict=True):
            s = q @ k.T
            e = torch.exp(s - s.max(dim=-1, keepdim=True).values)
            out.append(e / e.sum(dim=-1) @ v)
        return torch.stack(out)


@simple("residual_added_to_layer")
class Skip(Three):
    def forward(self, x):
        return x + (self.query(x) @ self.key(x).mT).softmax(-1) @ self.value(x)


class SelfAttention(nn.Module):
    """Scaled, with an optional mask and a last layer."""

    def __init__(self, embed_dim):
        super().__init__()
        self.W_q = nn.Linear(embed_dim, embed_dim)
        self.W_k = nn.Linear(embed_dim, embed_dim)
        self.W_v = nn.Linear(embed_dim, embed_dim)
        self.W_o = nn.Linear(embed_dim, embed_dim)
        self.scale = math.sqrt(embed_dim)

    def prepare(self, mask, scores):
        return mask == 0

    def forward(self, x, mask=None):
        Q, K, V = self.W_q(x), self.W_k(x), self.W_v(x)
        scores = torch.matmul(Q, K.transpose(-2, -1)) / self.scale
        if mask is not None:
            scores = scores.masked_fill(self.prepare(mask, scores), -1e9)
        return self.W_o(self.mix(torch.softmax(scores, dim=-1), V))

    def mix(self, weights, V):
        return torch.matmul(weights, V)


@wrong("mask_transposed", contract="self")
class Columns(SelfAttention):
    def prepare(self, mask, scores):
        return mask.transpose(-2, -1) == 0


@wrong("mask_first_only", contract="self")
class Batch(SelfAttention):
    def prepare(self, mask, scores):
        return (mask if mask.dim() == 2 else mask[0]) == 0


@wrong("mask_off_by_one", contract="self")
class Rolled(SelfAttention):
    def prepare(self, mask, scores):
        hidden = mask == 0
        return hidden & F.pad(hidden[..., :-1], (1, 0), value=True)


@wrong("weights_ignored", contract="self")
class Pooling(SelfAttention):
    def mix(self, weights, V):
        return V.mean(dim=1, keepdim=True).expand_as(V)


@wrong("cuts_gradient", contract="self")
class Detached(SelfAttention):
    def mix(self, weights, V):
        return torch.matmul(weights.data, V)


@wrong("shares_state", contract="self")
class Remembers(SelfAttention):
    last = None

    def prepare(self, mask, scores):
        hidden = mask == 0
        if self.last is None or self.last.shape != hidden.shape:
            self.last = hidden
        return self.last


@wrong("weights_divided_by_num_keys", contract="self")
class Mean(SelfAttention):
    def mix(self, weights, V):
        return (weights[..., None] * V[:, None]).mean(dim=2)


@wrong("output_projection_missing", "scale_by_model_width", contract="multihead")
class Sliced(nn.Module):
    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads = num_heads
        self.q, self.k, self.v, self.out = (nn.Linear(embed_dim, embed_dim) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        d = x.shape[-1] // self.num_heads
        q, k, v = self.q(x), self.k(x), self.v(x)
        y = []
        for h in range(self.num_heads):
            part = slice(h * d, (h + 1) * d)
            w = q[..., part] @ k[..., part].mT / x.shape[-1] ** 0.5
            if mask is not None:
                w = w.masked_fill(mask == 0, -1e9)
            y.append(self.dropout(w.softmax(-1)) @ v[..., part])
        return torch.cat(y, dim=-1)


class NumpySelfAttention:
    def __init__(self, d_model, num_heads=1, seed=0):
        rng = np.random.default_rng(seed)
        self.num_heads = num_heads
        self.W_q, self.W_k, self.W_v, self.W_o = (rng.standard_normal((d_model, d_model)) * 0.3 for _ in range(4))

    def project(self, x, W):
        return x @ W

    def split(self, x):
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(0, 2, 1, 3)

    def softmax(self, s):
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def scale(self, q):
        return math.sqrt(q.shape[-1])

    def forward(self, x, mask=None):
        q, k, v = (self.split(self.project(x, W)) for W in (self.W_q, self.W_k, self.W_v))
        s = q @ k.transpose(0, 1, 3, 2) / self.scale(q)
        if mask is not None:
            s = np.where(mask if mask.ndim != 3 else mask[:, None], s, -1e9)
        y = self.softmax(s) @ v
        return y.transpose(0, 2, 1, 3).reshape(x.shape) @ self.W_o

    __call__ = forward


@wrong("projection_transposed", contract="multihead")
class Torchlike(NumpySelfAttention):
    def project(self, x, W):
        return x @ W.T


@wrong("scale_missing", contract="multihead")
class NumpyUnscaled(NumpySelfAttention):
    def scale(self, q):
        return 1


@wrong("heads_split_by_view", "softmax_over_queries", contract="multihead")
class NumpyView(NumpySelfAttention):
    def split(self, x):
        return x.reshape(x.shape[0], self.num_heads, x.shape[1], -1)

    def softmax(self, s):
        return super().softmax(s.swapaxes(2, 3)).swapaxes(2, 3)
