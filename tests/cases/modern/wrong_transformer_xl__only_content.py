# WRONG scale: only the content scores are scaled. Object: RelMultiHeadAttn
import torch
import torch.nn as nn


class RelMultiHeadAttn(nn.Module):
    """scores = (q + u) k + shift((q + v) r), as in Transformer-XL. x: (n, b, d)."""

    def __init__(self, n_head, d_model, d_head):
        super().__init__()
        self.n_head, self.d_head = n_head, d_head
        self.qkv_net = nn.Linear(d_model, 3 * n_head * d_head, bias=False)
        self.r_net = nn.Linear(d_model, n_head * d_head, bias=False)
        self.o_net = nn.Linear(n_head * d_head, d_model, bias=False)
        self.r_w_bias = nn.Parameter(torch.zeros(n_head, d_head))
        self.r_r_bias = nn.Parameter(torch.zeros(n_head, d_head))
        self.scale = 1 / (d_head ** 0.5)
        self.register_buffer('inv_freq', 1 / (10000 ** (torch.arange(0.0, d_model, 2.0) / d_model)))

    def _rel_shift(self, x):
        zeros = torch.zeros((x.size(0), 1, *x.size()[2:]), dtype=x.dtype)
        padded = torch.cat([zeros, x], dim=1)
        padded = padded.view(x.size(1) + 1, x.size(0), *x.size()[2:])
        return padded[1:].view_as(x)

    def forward(self, w):
        n, b = w.size(0), w.size(1)
        pos_seq = torch.arange(n - 1, -1, -1.0)
        sinusoid = torch.outer(pos_seq, self.inv_freq)
        r = torch.cat([sinusoid.sin(), sinusoid.cos()], dim=-1)
        q, k, v = torch.chunk(self.qkv_net(w), 3, dim=-1)
        q = q.view(n, b, self.n_head, self.d_head)
        k = k.view(n, b, self.n_head, self.d_head)
        v = v.view(n, b, self.n_head, self.d_head)
        r_head_k = self.r_net(r).view(n, self.n_head, self.d_head)
        content = torch.einsum('ibnd,jbnd->ijbn', (q + self.r_w_bias, k))
        position = torch.einsum('ibnd,jnd->ijbn', (q + self.r_r_bias, r_head_k))
        position = self._rel_shift(position)
        scores = content.mul(self.scale) + position
        future = torch.triu(torch.ones(n, n), diagonal=1).bool()[:, :, None, None]
        weights = scores.masked_fill(future, -float('inf')).softmax(dim=1)
        mixed = torch.einsum('ijbn,jbnd->ibnd', (weights, v))
        return self.o_net(mixed.reshape(n, b, self.n_head * self.d_head))
