# RIGHT: torch_decoder_layer. Object: DecoderSelfAttention
import torch
from torch import nn


class DecoderSelfAttention(nn.Module):
    """Self-attention of a decoder layer. tgt_mask: (n, n) bool, True = masked out, as in nn.Transformer."""

    def __init__(self, d_model=32, nhead=4, dropout=0.1):
        super().__init__()
        self.nhead = nhead
        self.q, self.k, self.v, self.o = (nn.Linear(d_model, d_model) for _ in range(4))
        self.norm, self.drop = nn.LayerNorm(d_model), nn.Dropout(dropout)

    def forward(self, tgt, tgt_mask=None):
        b, n, d = tgt.shape
        q, k, v = (f(tgt).view(b, n, self.nhead, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        s = q @ k.mT / (d // self.nhead) ** 0.5
        if tgt_mask is not None:
            s = s.masked_fill(tgt_mask, float("-inf"))
        y = (s.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d)
        return self.norm(tgt + self.drop(self.o(y)))
