"""The valid masks, statistics and functions with a library's signature are right."""

import inspect
import math

import numpy as np
import pytest
import torch

from tests.implementations.reference import of, references


def kept(result, polarity: str | None) -> np.ndarray:
    """Where the mask lets a key be seen."""
    mask = np.asarray(result)
    if mask.dtype.kind == "f" and mask.min() < -1:
        assert set(np.unique(mask)) <= {0.0, mask.min()}
        assert mask.min() < -1e8
        return mask == 0
    assert set(np.unique(mask)) <= {0, 1}
    return mask == 0 if polarity == "hide" else mask == 1


@of("causal_mask")
@pytest.mark.parametrize("n", [2, 7])
def test_causal_mask(implementation, n):
    mask = kept(implementation.target(n), implementation.options.get("mask"))
    np.testing.assert_array_equal(mask.reshape(n, n), [[j <= i for j in range(n)] for i in range(n)])
    if "n_k" in inspect.signature(implementation.target).parameters:
        expected = [[j <= i + 2 for j in range(n + 2)] for i in range(n)]
        np.testing.assert_array_equal(kept(implementation.target(n, n + 2), None), expected)


@of("reverse_mask")
@pytest.mark.parametrize("n", [2, 7])
def test_reverse_mask(implementation, n):
    mask = kept(implementation.target(n), implementation.options.get("mask"))
    np.testing.assert_array_equal(mask, [[j >= i for j in range(n)] for i in range(n)])


@of("padding_mask")
def test_padding_mask(implementation):
    lengths, n = [7, 3, 1, 5], 7
    expected = np.array([[j < length for j in range(n)] for length in lengths])
    if implementation.options["source"] == "lengths":
        result = implementation.target(torch.tensor(lengths), n)
    else:
        expected[0, 2] = False  # padding may stand inside
        tokens = np.where(expected, np.arange(4 * n).reshape(4, n) + 10, 9)
        result = implementation.target(torch.tensor(tokens), 9)
    assert result.shape[0] == 4
    np.testing.assert_array_equal(kept(result, implementation.options.get("mask")).reshape(4, n), expected)


@of("statistics")
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_statistics(implementation, lead):
    weights = np.random.default_rng(5).dirichlet(np.ones(7) * 0.3, size=(*lead, 7))
    weights[..., 2, :] = np.eye(7)[4]
    rows = weights.reshape(-1, 7)
    result = implementation.target(torch.tensor(weights))
    entropies = [-math.fsum(p * math.log(p) for p in row if p > 0) for row in rows]
    assert float(result["max_attention"]) == pytest.approx(rows.max(), rel=1e-12)
    assert float(result["entropy"]) == pytest.approx(math.fsum(entropies) / len(rows), rel=1e-12)
    own = [row[i % 7] for i, row in enumerate(rows)]
    assert float(result["diagonal_mass"]) == pytest.approx(math.fsum(own) / len(rows), rel=1e-12)
    assert float(result["local_vs_global"]) > 0


def draw(heads: int, kv_heads: int) -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    return [rng.normal(size=(2, *size)) for size in ((heads, 5, 11), (kv_heads, 7, 11), (kv_heads, 7, 13))]


@of("sdpa")
@pytest.mark.parametrize("kv_heads", [6, 2])
@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("mask", ["none", "boolean", "added", "causal"])
def test_signature_of_torch(implementation, kv_heads, scale, mask):
    query, key, value = draw(6, kv_heads)
    keep = np.random.default_rng(8).random((2, 1, 5, 7)) < 0.5
    keep[..., 3] = True
    keep = {"none": np.array(True), "causal": np.tri(5, 7, dtype=bool)}.get(mask, keep)
    given = {"boolean": torch.tensor(keep), "added": torch.tensor(np.where(keep, 0.0, -np.inf))}.get(mask)
    output = implementation.target(
        *map(torch.tensor, (query, key, value)),
        attn_mask=given,
        is_causal=mask == "causal",
        scale=scale,
        enable_gqa=kv_heads != 6,
    )
    key, value = (np.stack([t[:, h * kv_heads // 6] for h in range(6)], axis=1) for t in (key, value))
    expected, _ = references(query, key, value, keep, 11**-0.5 if scale is None else scale)
    np.testing.assert_allclose(output, expected, atol=1e-12)


@of("transformers")
@pytest.mark.parametrize("masked", [False, True])
def test_signature_of_transformers(implementation, masked):
    query, key, value = draw(6, 2)
    keep = np.random.default_rng(8).random((2, 1, 5, 7)) < 0.5 if masked else np.array(True)
    added = torch.zeros(keep.shape).masked_fill(~torch.tensor(keep), torch.finfo(torch.float32).min)
    given = [torch.tensor(t, dtype=torch.float32) for t in (query, key, value)]
    module = torch.nn.Module().eval()
    output, weights = implementation.target(module, *given, added if masked else None, scaling=0.3, dropout=0.5)
    key, value = (np.repeat(t, 3, axis=1) for t in (key, value))
    expected, right = references(query, key, value, keep, 0.3)
    np.testing.assert_allclose(output, expected.swapaxes(1, 2), atol=1e-5)
    np.testing.assert_allclose(weights, right, atol=1e-5)
