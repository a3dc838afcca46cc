# WRONG softmax_over_queries: the softmax runs over the queries. Object: SequenceFirst
import torch
from torch import nn


class SequenceFirst(nn.Module):
    def __init__(self, n_head, d_model, d_head):
        super().__init__()
        self.n_head, self.d_head = n_head, d_head
        self.q_net = nn.Linear(d_model, n_head * d_head, bias=False)
        self.kv_net = nn.Linear(d_model, 2 * n_head * d_head, bias=False)
        self.o_net = nn.Linear(n_head * d_head, d_model, bias=False)

    def forward(self, h, attn_mask=None):
        n, b, _ = h.shape
        q = self.q_net(h).view(n, b, self.n_head, self.d_head)
        k, v = (part.view(n, b, self.n_head, self.d_head) for part in self.kv_net(h).chunk(2, -1))
        scores = torch.einsum("ibnd,jbnd->ijbn", q, k) * self.d_head**-0.5
        if attn_mask is not None and attn_mask.dim() == 3:
            scores = scores.masked_fill(attn_mask[:, :, :, None], -torch.inf)
        mixed = torch.einsum("ijbn,jbnd->ibnd", scores.softmax(0), v)
        return self.o_net(mixed.reshape(n, b, -1))
