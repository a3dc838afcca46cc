"""Read a map of weights: which token attends most strongly to which?"""


def strongest_pair(weights, tokens):
    """Return (from_token, to_token, weight) of the largest weight.

    weights: tensor (seq_len, seq_len); weights[i, j] is how much token i attends to token j.
    tokens: list of seq_len words.
    """
    # YOUR CODE HERE
    # 1. the place of the largest number, as one number: weights.argmax()
    # 2. its row and its column
    # 3. return the two words and the weight
    raise NotImplementedError("strongest_pair: write this part")
