"""Does attention know in which order its tokens come?"""


def shuffling_gap(attention, x, order):
    """Return the largest difference between "shuffle, then attend" and "attend, then shuffle".

    attention: function from (batch, seq_len, n_embd) to the same shape.
    x: tensor (batch, seq_len, n_embd).
    order: tensor of seq_len places; x[:, order] is x with its tokens shuffled.
    """
    shuffled_first = attention(x[:, order])
    shuffled_last = attention(x)[:, order]
    return (shuffled_first - shuffled_last).abs().max()
