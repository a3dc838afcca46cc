# WRONG where branches: branches exchanged. Object: attend
import torch


def attend(keys, values, queries, mask=None):
    d = queries.shape[-1]
    logits = torch.einsum("...qd,...kd->...qk", queries, keys) / d**0.5
    if mask is not None:
        logits = torch.where(~mask, logits, torch.finfo(logits.dtype).min)
    probs = torch.softmax(logits, -1)
    return torch.einsum("...qk,...kd->...qd", probs, values)
