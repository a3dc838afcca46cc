"""Read a map of weights: which token attends most strongly to which?"""


def strongest_pair(weights, tokens):
    """Return (from_token, to_token, weight) of the largest weight.

    weights: tensor (seq_len, seq_len); weights[i, j] is how much token i attends to token j.
    tokens: list of seq_len words.
    """
    place = int(weights.argmax())
    row, column = divmod(place, len(tokens))
    return tokens[row], tokens[column], weights[row, column]
