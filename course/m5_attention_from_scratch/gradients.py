"""The gradients of attention by hand: what page README.md derives, as code. One head, no mask."""

import torch


def gradients(Q, K, V, G):
    """Return (dQ, dK, dV) for the loss whose gradient at the output is G.

    Q (n_q, d_k), K (n_k, d_k), V (n_k, d_v), G (n_q, d_v). No autograd: only products, sums and the weights.
    """
    d_k = Q.shape[-1]
    P = torch.softmax(Q @ K.T / d_k**0.5, dim=-1)
    # YOUR CODE HERE
    # dV: a value is collected with the same weights that it was handed out with
    # dP: how much the loss wants each weight to grow
    # dS: through the softmax; a row of weights always sums to 1
    # dQ, dK: through the product, and the factor of the scores stands here, too
    raise NotImplementedError("gradients: write this part")
