"""Bonus 1, flash attention: the same output without ever holding all scores.

For each query three numbers are kept while the keys go by, tile after tile: the largest score so far, the sum of the
exponentials so far, and the output so far (not yet divided by that sum).
"""

import torch


def tiled_attention(Q, K, V, tile_size=32):
    """Return the output (batch, n_q, d_v) of softmax(Q Kᵀ / √d_k) V; no tensor may be n_q times n_k large."""
    outputs = []
    for Q_tile in Q.split(tile_size, dim=1):
        largest = torch.full((*Q_tile.shape[:-1], 1), float("-inf"))
        total = torch.zeros_like(largest)
        output = torch.zeros(*Q_tile.shape[:-1], V.shape[-1])
        for K_tile, V_tile in zip(K.split(tile_size, dim=1), V.split(tile_size, dim=1), strict=True):
            # BEGIN SOLUTION
            # STUB: # 1. scores of this tile, scaled
            # STUB: # 2. new_largest: the larger of `largest` and the largest score of each row
            # STUB: # 3. shrink = exp(largest - new_largest): what was summed so far was measured against the old one
            # STUB: # 4. total and output: shrink what is there, add what this tile gives
            # STUB: # 5. largest = new_largest
            scores = Q_tile @ K_tile.transpose(-2, -1) / Q.shape[-1] ** 0.5
            new_largest = torch.maximum(largest, scores.amax(dim=-1, keepdim=True))
            e = torch.exp(scores - new_largest)
            shrink = torch.exp(largest - new_largest)
            total = total * shrink + e.sum(dim=-1, keepdim=True)
            output = output * shrink + e @ V_tile
            largest = new_largest
            # END SOLUTION
        outputs.append(output / total)
    return torch.cat(outputs, dim=1)
