"""Layers of vision transformers: one packed qkv layer, reshape and permute."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from tests.implementations.implementation import wrong


class Attention(nn.Module):
    def __init__(self, dim, num_heads=8, qkv_bias=True, attn_drop=0.0, proj_drop=0.0):
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.scale = self.head_dim**-0.5
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def unpack(self, x):
        B, N, _ = x.shape
        return self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)

    def probabilities(self, attn, mask):
        if mask is not None:
            mask = mask if mask.dim() != 3 else mask[:, None]
            attn = attn.masked_fill(mask == 0, -1e9)
        return attn.softmax(dim=-1)

    def join(self, x):
        B, _, N, _ = x.shape
        return x.transpose(1, 2).reshape(B, N, -1)

    def forward(self, x, mask=None):
        q, k, v = self.unpack(x)
        attn = self.probabilities(q * self.scale @ k.transpose(-2, -1), mask)
        x = self.join(self.attn_drop(attn) @ v)
        return self.proj_drop(self.proj(x))


def vit(*faults):
    return wrong(*faults, contract="multihead")


@vit("chunk_order_wrong")
class QVK(Attention):
    def unpack(self, x):
        q, k, v = super().unpack(x)
        return q, v, k


@vit("chunk_order_wrong")
class VQK(Attention):
    def unpack(self, x):
        B, N, C = x.shape
        v, q, k = self.qkv(x).split(C, dim=-1)
        return [t.view(B, N, self.num_heads, -1).transpose(1, 2) for t in (q, k, v)]


@vit("scale_by_model_width")
class EmbeddingSize(Attention):
    def __init__(self, dim, num_heads=8):
        super().__init__(dim, num_heads)
        self.scale = dim**-0.5


@vit("scale_missing")
class One(Attention):
    def __init__(self, dim, num_heads=8):
        super().__init__(dim, num_heads)
        self.scale = 1


@vit("scale_twice")
class Both(Attention):
    def unpack(self, x):
        q, k, v = super().unpack(x)
        return q * self.scale, k, v


@vit("scale_hard_coded")
class Base(Attention):
    def __init__(self, dim, num_heads=8):
        super().__init__(dim, num_heads)
        self.scale = 64**-0.5


@vit("heads_merged_without_transpose")
class Join(Attention):
    def join(self, x):
        return x.reshape(x.shape[0], x.shape[2], -1)


@vit("heads_strided")
class Strided(Attention):
    def unpack(self, x):
        qkv = self.qkv(x).unflatten(-1, (3, self.head_dim, self.num_heads))
        return qkv.permute(2, 0, 4, 1, 3)

    def join(self, x):
        return x.permute(0, 2, 3, 1).flatten(2)


@vit("heads_reversed")
class Flipped(Attention):
    def join(self, x):
        return super().join(x.flip(1))


@vit("softmax_over_heads")
class OverHeads(Attention):
    def probabilities(self, attn, mask):
        if mask is not None:
            attn = attn.masked_fill((mask if mask.dim() != 3 else mask[:, None]) == 0, -1e9)
        return F.softmax(attn, 1)


@vit("mask_after_softmax")
class Zeroed(Attention):
    def probabilities(self, attn, mask):
        attn = attn.softmax(dim=-1)
        if mask is not None:
            attn = attn * (mask if mask.dim() != 3 else mask[:, None])
        return attn


@vit("softmax_plus_one")
class Registers(Attention):
    def probabilities(self, attn, mask):
        if mask is not None:
            attn = attn.masked_fill((mask if mask.dim() != 3 else mask[:, None]) == 0, -1e9)
        return torch.softmax(F.pad(attn, (1, 0)), -1)[..., 1:]


@vit("residual_added_to_layer")
class Block(Attention):
    def forward(self, x, mask=None):
        return super().forward(x, mask) + x


@vit("mutates_inputs", "residual_added_to_layer")
class InPlace(Attention):
    def forward(self, x, mask=None):
        x += super().forward(x, mask)
        return x


@vit("cuts_gradient")
class Frozen(Attention):
    def unpack(self, x):
        with torch.no_grad():
            return super().unpack(x)


@vit("wrong_dtype")
class Full(Attention):
    def forward(self, x, mask=None):
        return super().forward(x, mask).double()


@vit("dropout_in_eval")
class Functional(Attention):
    def __init__(self, dim, num_heads=8, dropout=0.1):
        super().__init__(dim, num_heads)
        self.p = dropout

    def join(self, x):
        return F.dropout(super().join(x), p=self.p, training=True)


@vit("scale_by_num_keys", "bias_dropped")
class Tokens(Attention):
    def unpack(self, x):
        B, N, _ = x.shape
        self.scale = N**-0.5
        qkv = F.linear(x, self.qkv.weight).reshape(B, N, 3, self.num_heads, self.head_dim)
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)


@vit("chunk_order_wrong", "mask_inverted")
class Swapped(QVK):
    def probabilities(self, attn, mask):
        return super().probabilities(attn, None if mask is None else mask == 0)


@vit("scale_after_softmax", "scale_by_model_width")
class Zuppichini(nn.Module):
    def __init__(self, emb_size, num_heads, dropout=0.0):
        super().__init__()
        self.emb_size = emb_size
        self.num_heads = num_heads
        self.keys = nn.Linear(emb_size, emb_size)
        self.queries = nn.Linear(emb_size, emb_size)
        self.values = nn.Linear(emb_size, emb_size)
        self.att_drop = nn.Dropout(dropout)
        self.projection = nn.Linear(emb_size, emb_size)

    def forward(self, x, mask=None):
        queries, keys, values = (
            lin(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for lin in (self.queries, self.keys, self.values)
        )
        energy = torch.einsum("bhqd, bhkd -> bhqk", queries, keys)
        if mask is not None:
            fill_value = torch.finfo(torch.float32).min
            energy = energy.masked_fill((mask if mask.dim() != 3 else mask[:, None]) == 0, fill_value)
        att = F.softmax(energy, dim=-1) / self.emb_size**0.5
        out = torch.einsum("bhal, bhlv -> bhav", self.att_drop(att), values)
        return self.projection(out.transpose(1, 2).flatten(2))
