# RIGHT: a configuration for pictures and words, whose fields begin with the part that they are of. Object: TextAttention
import torch
from torch import nn
from torch.nn import functional as F


class TextAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.n_heads, self.n_kv_heads, self.width = cfg.lm_n_heads, cfg.lm_n_kv_heads, cfg.lm_hidden_dim
        self.head_dim = self.width // self.n_heads
        self.q_proj = nn.Linear(self.width, self.width, bias=False)
        self.k_proj, self.v_proj = (
            nn.Linear(self.width, self.n_kv_heads * self.head_dim, bias=False) for _ in range(2)
        )
        self.out_proj = nn.Linear(self.width, self.width, bias=False)

    def forward(self, x, attention_mask=None):
        """attention_mask: (batch, length), 1 for tokens to attend to and 0 for padding."""
        b, n, _ = x.shape
        q = self.q_proj(x).view(b, n, self.n_heads, self.head_dim).transpose(1, 2)
        k, v = (
            f(x)
            .view(b, n, self.n_kv_heads, self.head_dim)
            .transpose(1, 2)
            .repeat_interleave(self.n_heads // self.n_kv_heads, 1)
            for f in (self.k_proj, self.v_proj)
        )
        bias = torch.zeros(n, n).masked_fill(torch.ones(n, n).triu(1).bool(), float("-inf"))
        if attention_mask is not None:
            bias = bias + (1.0 - attention_mask[:, None, None].float()) * torch.finfo(q.dtype).min
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.out_proj(y.transpose(1, 2).reshape(b, n, self.width))
