"""Task 1: scaled dot-product attention."""

import torch


def attention(Q, K, V, mask=None, scale=True):
    """Return (output, attention_weights).

    Q: [batch, n_q, d_k], K: [batch, n_k, d_k], V: [batch, n_k, d_v].
    mask: None, or [batch, n_q, n_k] with True (or 1) where a query may attend.
    scale: whether the scores are divided by √d_k.
    output: [batch, n_q, d_v], attention_weights: [batch, n_q, n_k].
    """
    # BEGIN SOLUTION
    # STUB: # 1. scores = Q Kᵀ
    # STUB: # 2. divide by √d_k, if asked to
    # STUB: # 3. hide where the mask is 0: fill with -inf
    # STUB: # 4. softmax over the last axis; a row that is hidden throughout gets zeros, not NaN
    # STUB: # 5. output = weights V
    # STUB: # 6. return both
    scores = Q @ K.transpose(-2, -1)
    if scale:
        scores = scores / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask == 0, float("-inf"))
    attention_weights = torch.softmax(scores, dim=-1)
    attention_weights = attention_weights.masked_fill(torch.isnan(attention_weights), 0.0)
    output = attention_weights @ V
    return output, attention_weights
    # END SOLUTION
