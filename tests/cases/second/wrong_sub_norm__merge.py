# WRONG merge: heads and positions are not exchanged back. Object: SubNormAttention
from torch import nn


class SubNormAttention(nn.Module):
    def __init__(self, dim, num_heads, norm_layer=None, scale_norm=True):
        super().__init__()
        assert norm_layer is not None, "norm_layer must be provided"
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.norm = norm_layer(dim) if scale_norm else nn.Identity()

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * self.head_dim**-0.5).softmax(-1)
        return self.proj(self.norm((weights @ v).reshape(b, n, c)))
