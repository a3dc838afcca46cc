"""Attention from scratch, one function for each step; plan steps 2 to 6. Give every step its documented shape."""

import torch


def project(x, W_q, W_k, W_v):
    """Return (Q, K, V) for x (batch, seq_len, embed_dim); W_q and W_k are (embed_dim, d_k), W_v is (embed_dim, d_v)."""
    return x @ W_q, x @ W_k, x @ W_v


def attention_scores(Q, K, scale=True):
    """Return the scores (batch, n_q, n_k): Q Kᵀ, divided by √d_k if `scale`."""
    scores = Q @ K.transpose(-2, -1)
    if scale:
        scores = scores / Q.shape[-1] ** 0.5
    return scores


def attention_weights(scores, mask=None):
    """Return the weights (batch, n_q, n_k); mask (n_q, n_k), True = may attend.

    Every row sums to 1, and a row that may attend to nothing is 0 throughout.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = torch.softmax(scores, dim=-1)
    return weights.masked_fill(weights.isnan(), 0.0)


def attention_output(weights, V):
    """Return the output (batch, n_q, d_v): each row a weighted sum of the values."""
    return weights @ V


def attention_shapes(batch, seq_len, d_k, d_v):
    """Return the shape of each step as a tuple, by its name: Q, K, V, scores, weights, output."""
    return {
        "Q": (batch, seq_len, d_k),
        "K": (batch, seq_len, d_k),
        "V": (batch, seq_len, d_v),
        "scores": (batch, seq_len, seq_len),
        "weights": (batch, seq_len, seq_len),
        "output": (batch, seq_len, d_v),
    }


def main():
    """Plan steps 1, 7 and 8: known sizes, and every shape compared with what it should be."""
    torch.manual_seed(0)
    batch, seq_len, embed_dim, d_k, d_v = 2, 7, 11, 3, 5
    x = torch.randn(batch, seq_len, embed_dim)
    Q, K, V = project(x, torch.randn(embed_dim, d_k), torch.randn(embed_dim, d_k), torch.randn(embed_dim, d_v))
    scores = attention_scores(Q, K)
    weights = attention_weights(scores)
    output = attention_output(weights, V)
    found = {"Q": Q, "K": K, "V": V, "scores": scores, "weights": weights, "output": output}
    for name, shape in attention_shapes(batch, seq_len, d_k, d_v).items():
        print(f"{name:<8} {tuple(found[name].shape)!s:<10}", "as expected" if found[name].shape == shape else shape)


if __name__ == "__main__":
    main()
