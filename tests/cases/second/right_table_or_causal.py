# RIGHT: the causal table is added by hand, or left to the fused call, which needs only to know that there is one. Object: DecoderAttention
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class DecoderAttention(nn.Module):
    by_hand = False

    def __init__(self, n_state, n_head):
        super().__init__()
        self.n_head = n_head
        self.queries, self.values = nn.Linear(n_state, n_state), nn.Linear(n_state, n_state)
        self.keys = nn.Linear(n_state, n_state, bias=False)
        self.out = nn.Linear(n_state, n_state)

    def heads(self, x):
        return x.unflatten(-1, (self.n_head, -1)).transpose(1, 2)

    def forward(self, x, mask=None):
        n_ctx = x.shape[1]
        q, k, v = (self.heads(layer(x)) for layer in (self.queries, self.keys, self.values))
        if self.by_hand:
            scores = q @ k.mT * q.shape[-1] ** -0.5
            if mask is not None:
                scores = scores + mask[:n_ctx, :n_ctx]
            mixed = scores.softmax(-1) @ v
        else:
            mixed = scaled_dot_product_attention(q, k, v, is_causal=mask is not None and n_ctx > 1)
        return self.out(mixed.transpose(1, 2).flatten(2))
