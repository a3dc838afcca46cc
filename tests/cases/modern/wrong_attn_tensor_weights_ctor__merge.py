# WRONG merge: merged without moving the heads. Object: FixedAttention
import torch


class FixedAttention(torch.nn.Module):
    """Attention with given weights: w_q, w_k, w_v (d_in, h * d), w_o (h * d, d_out)."""

    def __init__(self, w_q, w_k, w_v, w_o, n_heads):
        super().__init__()
        self.w_q, self.w_k, self.w_v, self.w_o = w_q, w_k, w_v, w_o
        self.n_heads = n_heads

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = ((x @ w).reshape(b, n, self.n_heads, -1).permute(0, 2, 1, 3) for w in (self.w_q, self.w_k, self.w_v))
        a = torch.softmax(q @ k.permute(0, 1, 3, 2) / q.shape[-1] ** 0.5, dim=-1)
        return (a @ v).reshape(b, n, -1) @ self.w_o
