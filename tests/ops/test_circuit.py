"""A layer as data: what stands around the five steps."""

import torch

from attention_surgeon.ops import Circuit, share_heads, split_heads

BATCH, N_Q, N_K, HEADS, SHARED, SIZE = 2, 3, 5, 6, 2, 7


def test_neighbouring_query_heads_share_keys_and_values():
    x, context = torch.randn(BATCH, N_Q, HEADS * SIZE), torch.randn(BATCH, N_K, SHARED * SIZE)
    linears = {"query": lambda x: x, "key": lambda x: 2 * x, "value": lambda x: 3 * x}
    Q, K, V = Circuit().heads(x, context, linears, num_heads=HEADS, num_kv_heads=SHARED)
    own = split_heads(context, SHARED)
    assert torch.equal(Q, split_heads(x, HEADS))
    assert torch.equal(K, 2 * share_heads(own, HEADS))
    assert torch.equal(V, 3 * share_heads(own, HEADS))
    assert torch.equal(K[:, 2], 2 * own[:, 0])
    assert torch.equal(K[:, 3], 2 * own[:, 1])
