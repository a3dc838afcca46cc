"""Limits on attention: how far it looks, how large a score gets, and where weight may go that no key deserves."""

import torch


def window_mask(n_q, n_k, window):
    """Return who may attend (n_q, n_k), True = may: each query the last `window` keys up to its own, and none behind
    it.

    The last query belongs to the last key, as when earlier keys come from a cache.
    """
    # BEGIN SOLUTION
    # STUB: # the places of the queries among the keys, as a column; those of the keys, as a row
    # STUB: # how far back does a query see each key? Negative: it lies ahead.
    queries = torch.arange(n_k - n_q, n_k)[:, None]
    back = queries - torch.arange(n_k)
    return (back >= 0) & (back < window)
    # END SOLUTION


def cap_scores(scores, cap, allowed):
    """Return scores (n_q, n_k) bent softly so that none is larger than cap or smaller than -cap, hidden ones -inf.

    A small score hardly changes, a huge one becomes nearly cap: cap * tanh(score / cap). allowed (n_q, n_k):
    True = may attend.
    """
    # BEGIN SOLUTION
    # STUB: # bend first or hide first? What is tanh(-inf)?
    capped = cap * torch.tanh(scores / cap)
    return capped.masked_fill(~allowed, float("-inf"))
    # END SOLUTION


def weights_with_sink(scores, sink):
    """Return the weights (heads, n_q, n_k) of scores (heads, n_q, n_k) where each head has one more place for weight
    to go.

    sink (heads,) is the score of that place. It takes part in the softmax of every row, and its own weight is
    dropped: what is left sums to less than 1.
    """
    # BEGIN SOLUTION
    # STUB: # sinks = ...           (heads, n_q, 1): one more column
    # STUB: # the softmax over all columns, then without the last
    sinks = sink[:, None, None].expand(-1, scores.shape[1], 1)
    return torch.softmax(torch.cat([scores, sinks], dim=-1), dim=-1)[..., :-1]
    # END SOLUTION
