# RIGHT: heads third in what it is given, second in what it returns. Object: attend
import torch


def attend(q, k, v, mask=None):
    # if 3 dim: b t d
    scores = torch.einsum("bthd, bshd -> bhts", q, k) / torch.sqrt(torch.tensor(q.shape[-1]))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, float("-inf"))
    return scores.softmax(-1) @ v.permute(0, 2, 1, 3)
