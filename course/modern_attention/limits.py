"""Limits on attention: how far it looks, how large a score gets, and where weight may go that no key deserves."""

import torch


def window_mask(n_q, n_k, window):
    """Return who may attend (n_q, n_k), True = may: each query the last `window` keys up to its own, and none behind
    it.

    The last query belongs to the last key, as when earlier keys come from a cache.
    """
    # YOUR CODE HERE
    # the places of the queries among the keys, as a column; those of the keys, as a row
    # how far back does a query see each key? Negative: it lies ahead.
    raise NotImplementedError("window_mask: write this part")


def cap_scores(scores, cap, allowed):
    """Return scores (n_q, n_k) bent softly so that none is larger than cap or smaller than -cap, hidden ones -inf.

    A small score hardly changes, a huge one becomes nearly cap: cap * tanh(score / cap). allowed (n_q, n_k):
    True = may attend.
    """
    # YOUR CODE HERE
    # bend first or hide first? What is tanh(-inf)?
    raise NotImplementedError("cap_scores: write this part")


def weights_with_sink(scores, sink):
    """Return the weights (heads, n_q, n_k) of scores (heads, n_q, n_k) where each head has one more place for weight
    to go.

    sink (heads,) is the score of that place. It takes part in the softmax of every row, and its own weight is
    dropped: what is left sums to less than 1.
    """
    # YOUR CODE HERE
    # sinks = ...           (heads, n_q, 1): one more column
    # the softmax over all columns, then without the last
    raise NotImplementedError("weights_with_sink: write this part")
