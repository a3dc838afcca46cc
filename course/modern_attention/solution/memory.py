"""Less to keep: shared heads for keys and values, and a cache of what was computed before."""

import torch


def repeat_heads(shared, num_heads):
    """Return shared (batch, num_kv_heads, n, d) as (batch, num_heads, n, d): neighbours among the heads share one.

    With 4 query heads and 2 shared heads, query heads 0 and 1 read shared head 0, query heads 2 and 3 read
    shared head 1.
    """
    return shared.repeat_interleave(num_heads // shared.shape[1], dim=1)


def attend_next(query, key, value, cache=None):
    """Attend with new tokens to themselves and to everything before them, and remember their keys and values.

    query, key and value (batch, m, d) belong to m new tokens; cache is None or the pair (keys, values) of all
    tokens before, (batch, n, d) each. A new token sees all earlier ones and itself, not the new ones behind it.
    Scores are divided by the root of d.

    Returns the output (batch, m, d) and the new cache, the pair (keys, values) of all n + m tokens. The old
    cache stays as it is.
    """
    keys, values = key, value
    if cache is not None:
        keys, values = torch.cat([cache[0], key], dim=1), torch.cat([cache[1], value], dim=1)
    m, n = query.shape[1], keys.shape[1]
    hidden = torch.ones(m, n, dtype=torch.bool).triu(n - m + 1)  # the last new token sees everything
    scores = query @ keys.transpose(-2, -1) / query.shape[-1] ** 0.5
    weights = torch.softmax(scores.masked_fill(hidden, float("-inf")), dim=-1)
    return weights @ values, (keys, values)
