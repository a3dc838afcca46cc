# RIGHT: the function is given the temperature that divides, and dropout. Object: attend
from torch.nn import functional as F


def attend(Q, K, V, temperature, dropout, mask=None):
    scores = Q.bmm(K.transpose(1, 2))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return dropout(F.softmax(scores / temperature, dim=-1)).bmm(V)
