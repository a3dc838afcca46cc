# WRONG scale_missing: nothing divides the scores. Object: attend
import torch


def attend(q, k, v, mask=None):
    # if 3 dim: b t d
    scores = torch.einsum("bthd, bshd -> bhts", q, k)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, float("-inf"))
    return scores.softmax(-1) @ v.permute(0, 2, 1, 3)
