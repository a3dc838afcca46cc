"""Run by `test_triton.py` in a process of its own: Triton decides when it is imported whether it interprets.

Prints, as JSON, for each case the largest errors of output, dQ, dK and dV against the oracle.
"""

import json
import math

import torch

from attention_surgeon.kernels import triton_attention
from attention_surgeon.ops import attention, share_heads
from tests.kernels.probes import BATCH, HEADS, MASKS, Operands, draw, output_and_gradients

N_Q, N_K, D_K, D_V = 19, 37, 5, 3
NAMES = [
    "none",
    "causal",
    "window",
    "documents",
    "padding",
    "boolean for each head",
    "boolean of one column",
    "added",
    "nothing",
]


def errors(given: Operands, name: str) -> list[float]:
    mask = MASKS[name](N_Q, N_K)
    ours = output_and_gradients(lambda q, k, v: triton_attention(q, k, v, mask), given)
    theirs = output_and_gradients(lambda q, k, v: attention(q, k, v, mask)[0], Operands(*(x.double() for x in given)))
    return [float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True)]


def drawn(dtype: torch.dtype = torch.float64, spread: float = 1.0) -> Operands:
    shapes = ((N_Q, D_K), (N_K, D_K), (N_K, D_V))
    drawn = [draw(BATCH, HEADS, *shape, seed=seed).to(dtype) for seed, shape in enumerate(shapes)]
    return Operands(drawn[0] * spread, *drawn[1:])


def several_tiles() -> list[float]:
    """More queries and keys than one tile holds, causal, in units that share a head."""
    given = Operands(draw(4, 67, 3, seed=1), draw(2, 131, 3, seed=2), draw(2, 131, 2, seed=3))
    mask = MASKS["causal"](67, 131)
    ours = output_and_gradients(lambda q, k, v: triton_attention(q, k, v, mask, use_shared_heads=True), given)
    theirs = output_and_gradients(lambda q, k, v: attention(q, share_heads(k, 4), share_heads(v, 4), mask)[0], given)
    return [float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True)]


def hidden_nan() -> list[float]:
    """The keys behind the causal edge are NaN; then one that some see."""
    query, key, value = drawn()
    mask = MASKS["causal from the start"](N_Q, N_K)
    hurt = [x.clone() for x in (key, value)]
    clean = [x.clone() for x in (key, value)]
    for x in hurt:
        x[..., N_Q:, :] = math.nan
    for x in clean:
        x[..., N_Q:, :] = 0.0
    ours = output_and_gradients(lambda q, k, v: triton_attention(q, k, v, mask), Operands(query, *hurt))
    theirs = output_and_gradients(lambda q, k, v: attention(q, k, v, mask)[0], Operands(query, *clean))
    value = value.clone()
    value[..., 7, 1] = math.nan
    seen = triton_attention(query, key, value, mask)[0, 0].isnan()
    leaks = seen[:7].any() or seen[:, 0].any() or not seen[7:, 1].all()
    return [*(float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True)), float(leaks)]


def logsumexp() -> list[float]:
    query, key, value = drawn()
    _, logs = triton_attention(query, key, value, scale=0.5, return_logsumexp=True)
    return [float((logs - torch.logsumexp(0.5 * query @ key.mT, -1)).abs().max())]


def main() -> None:
    found = {f"float64 {name}": errors(drawn(), name) for name in NAMES}
    found |= {f"float32 {name}": errors(drawn(torch.float32), name) for name in ("none", "causal")}
    found["float64 large scores"] = errors(drawn(spread=300.0), "causal")
    found["float64 several tiles"] = several_tiles()
    found["float64 hidden NaN"] = hidden_nan()
    found["float64 logsumexp"] = logsumexp()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
