"""The statistics of one head cell by cell, in plain Python: what the fast ones must agree with."""

import math

from torch import Tensor

Cells = list[list[float]]


def head_by_hand(
    weights: Cells,
    allowed: list[list[bool]] | None = None,
    window: int = 1,
    threshold: float = 0.01,
    tokens: list[int] | None = None,
) -> dict[str, float]:
    """Return every number of `PER_HEAD`; NaN where nothing contributes."""
    n_q, n_k = len(weights), len(weights[0])
    sees = allowed or [[True] * n_k for _ in range(n_q)]
    rows = [q for q in range(n_q) if any(w > 0 and s for w, s in zip(weights[q], sees[q], strict=True))]
    at = {q: q + n_k - n_q for q in rows}
    entropy = {q: -sum(w * math.log(w) for w in weights[q] if w > 0) for q in rows}
    visible = {q: [k for k in range(n_k) if sees[q][k]] for q in rows}
    wanted = {q: [k for k in visible[q] if tokens and 0 < k < at[q] and tokens[k - 1] == tokens[at[q]]] for q in rows}

    def mass(keep) -> list[float]:
        return [sum(weights[q][k] for k in range(n_k) if keep(at[q], k)) for q in rows]

    near, far = mass(lambda p, k: abs(p - k) <= window), mass(lambda p, k: abs(p - k) > window)
    return {
        "entropy": mean(list(entropy.values())),
        "entropy_share": mean([entropy[q] / math.log(len(visible[q])) for q in rows if len(visible[q]) > 1]),
        "effective_keys": mean([math.exp(h) for h in entropy.values()]),
        "max_attention": max((w for q in rows for w in weights[q]), default=math.nan),
        "mean_max_attention": mean([max(weights[q]) for q in rows]),
        "diagonal_mass": mean(mass(lambda p, k: p == k)),
        "previous_mass": mean([weights[q][at[q] - 1] for q in rows if at[q] > 0]),
        "next_mass": mean([weights[q][at[q] + 1] for q in rows if 0 <= at[q] + 1 < n_k]),
        "first_mass": mean([weights[q][0] for q in rows]),
        "local_mass": mean(near),
        "global_mass": mean(far),
        "local_vs_global": sum(near) / sum(far) if sum(far) else (math.inf if rows else math.nan),
        "mean_distance": mean([sum(w * abs(at[q] - k) for k, w in enumerate(weights[q])) for q in rows]),
        "sparsity": mean([float(weights[q][k] < threshold) for q in rows for k in visible[q]]),
        "evenness": mean([sum(min(weights[q][k], 1 / len(visible[q])) for k in visible[q]) for q in rows]),
        "induction": mean([sum(weights[q][k] for k in wanted[q]) for q in rows if wanted[q]]),
    }


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else math.nan


def cells(tensor: Tensor) -> Cells:
    return tensor.double().tolist()
