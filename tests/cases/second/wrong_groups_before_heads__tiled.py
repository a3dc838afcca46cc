# WRONG heads_tiled: the first heads of all groups share a key, not the heads of one group. Object: grouped_attention
import torch


def grouped_attention(query, key, value, is_causal=False, scale=None):
    """Queries (b, n, h, d); keys and values (b, s, g, d), each shared by h // g query heads beside each other.

    The queries are divided by `scale`, by √d where it is None.
    """
    b, n, heads, d = query.shape
    shared = key.shape[2]
    if scale is None:
        scale = d**0.5
    query = query / scale
    asks = query.view(b, n, shared, heads // shared, d).reshape(b, n, heads // shared, shared, d).permute(0, 2, 3, 1, 4)
    scores = torch.einsum("bpgnd,bsgd->bpgns", asks, key)
    if is_causal:
        seen = torch.ones(n, key.shape[1], dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    mixed = torch.einsum("bpgns,bsgd->bpgnd", scores.softmax(-1), value)
    return mixed.permute(0, 3, 2, 1, 4).reshape(b, n, heads, d)
