# WRONG softmax_over_queries: the softmax runs over the queries. Object: attend
import torch


def attend(q, k, v, mask=None):
    # if 3 dim: b t d
    scores = torch.einsum("bthd, bshd -> bhts", q, k) / torch.sqrt(torch.tensor(q.shape[-1]))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, float("-inf"))
    return scores.softmax(-2) @ v.permute(0, 2, 1, 3)
