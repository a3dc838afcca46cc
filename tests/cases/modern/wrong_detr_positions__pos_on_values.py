# WRONG positions on values: positions are added to the values too. Object: SelfAttentionWithPos
import math
from typing import Optional

import torch
from torch import nn, Tensor


class SelfAttentionWithPos(nn.Module):
    def __init__(self, d_model, nhead, dropout=0.1):
        super().__init__()
        self.nhead = nhead
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(dropout)

    @staticmethod
    def with_pos_embed(tensor, pos: Optional[Tensor]):
        return tensor if pos is None else tensor + pos

    def forward(self, src, src_key_padding_mask: Optional[Tensor] = None, pos: Optional[Tensor] = None):
        """src, pos: (b, n, d); src_key_padding_mask: bool (b, n), True for padded pixels."""
        b, n, d = src.shape
        q = k = self.with_pos_embed(src, pos)
        q = self.q_proj(q).view(b, n, self.nhead, -1).transpose(1, 2)
        k = self.k_proj(k).view(b, n, self.nhead, -1).transpose(1, 2)
        v = self.v_proj(self.with_pos_embed(src, pos)).view(b, n, self.nhead, -1).transpose(1, 2)
        attn = q @ k.transpose(-2, -1) / math.sqrt(d // self.nhead)
        if src_key_padding_mask is not None:
            attn = attn.masked_fill(src_key_padding_mask[:, None, None], float("-inf"))
        attn = self.dropout(attn.softmax(-1))
        return self.out_proj((attn @ v).transpose(1, 2).reshape(b, n, d))
