# RIGHT: each column of an alignment attends down its rows, (rows, columns, batch, features). Object: DownTheRows
from torch import einsum, nn


class DownTheRows(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, embed_dim // num_heads
        self.q_proj, self.k_proj = nn.Linear(embed_dim, embed_dim), nn.Linear(embed_dim, embed_dim)
        self.v_proj, self.out_proj = nn.Linear(embed_dim, embed_dim), nn.Linear(embed_dim, embed_dim)

    def forward(self, x):
        num_rows, num_cols, batch_size, embed_dim = x.size()
        heads = num_rows, num_cols, batch_size, self.num_heads, self.head_dim
        q, k, v = (proj(x).view(heads) for proj in (self.q_proj, self.k_proj, self.v_proj))
        scores = einsum("icbhd,jcbhd->hcbij", q * self.head_dim**-0.5, k)
        mixed = einsum("hcbij,jcbhd->icbhd", scores.softmax(-1), v)
        return self.out_proj(mixed.reshape(x.shape))
