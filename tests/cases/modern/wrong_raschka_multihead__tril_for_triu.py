# WRONG causal_reversed: the past is hidden. Object: MultiHeadAttention
import torch
import torch.nn as nn

GPT_CONFIG_124M = {
    "vocab_size": 50257,
    "context_length": 32,
    "emb_dim": 48,
    "n_heads": 6,
    "n_layers": 2,
    "drop_rate": 0.1,
    "qkv_bias": False,
}


class MultiHeadAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d_out = cfg["emb_dim"]
        assert d_out % cfg["n_heads"] == 0, "d_out must be divisible by num_heads"
        self.d_out = d_out
        self.num_heads = cfg["n_heads"]
        self.head_dim = d_out // self.num_heads
        self.W_query = nn.Linear(d_out, d_out, bias=cfg["qkv_bias"])
        self.W_key = nn.Linear(d_out, d_out, bias=cfg["qkv_bias"])
        self.W_value = nn.Linear(d_out, d_out, bias=cfg["qkv_bias"])
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(cfg["drop_rate"])
        self.register_buffer(
            "mask",
            torch.tril(torch.ones(cfg["context_length"], cfg["context_length"]), diagonal=-1)
        )

    def forward(self, x):
        b, n, d_in = x.shape
        keys = self.W_key(x).view(b, n, self.num_heads, self.head_dim)
        values = self.W_value(x).view(b, n, self.num_heads, self.head_dim)
        queries = self.W_query(x).view(b, n, self.num_heads, self.head_dim)

        keys = keys.transpose(1, 2)
        queries = queries.transpose(1, 2)
        values = values.transpose(1, 2)

        scores = queries @ keys.transpose(2, 3)
        future = self.mask.bool()[:n, :n]
        scores.masked_fill_(future, -torch.inf)
        attn_weights = torch.softmax(scores / keys.shape[-1]**0.5, dim=-1)
        attn_weights = self.dropout(attn_weights)

        mixed = (attn_weights @ values).transpose(1, 2)
        mixed = mixed.contiguous().view(b, n, self.d_out)
        return self.out_proj(mixed)
