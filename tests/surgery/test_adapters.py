"""Records of other tools, made here in their shapes, read as ours."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.stats import head_statistics
from attention_surgeon.surgery import capture
from attention_surgeon.surgery.adapters import read_cache, weights_of
from attention_surgeon.surgery.flow import rollout
from attention_surgeon.viewer import view
from tests.surgery.families import make

IDS = [3, 14, 15, 9, 26]


def _cache(name: str, *, grouped: bool) -> tuple[dict[str, Any], Any]:
    """Return a capture of ours in the names and shapes of a cache, and the capture."""
    captured = capture(make(name), IDS)
    cache = {}
    for layer in captured.layers:
        step = 3 if grouped else 1
        parts = {"hook_q": layer["q"], "hook_k": layer["k"][::step], "hook_v": layer["v"][::step], "hook_z": layer["z"]}
        for hook, part in parts.items():
            cache[f"blocks.{layer.index}.attn.{hook}"] = part.transpose(0, 1)[None]
        cache[f"blocks.{layer.index}.attn.hook_attn_scores"] = layer["scores"][None]
        cache[f"blocks.{layer.index}.attn.hook_pattern"] = layer["pattern"][None]
    return cache, captured


@pytest.mark.parametrize(("name", "grouped"), [("gpt2", False), ("llama", True)])
def test_a_cache_is_read_as_what_it_was_made_of(name: str, grouped: bool) -> None:
    cache, captured = _cache(name, grouped=grouped)
    read = read_cache(cache, captured.tokens)
    for mine, own in zip(read.layers, captured.layers, strict=True):
        assert mine.kv_heads == own.kv_heads
        for part in ("query", "key", "value", "scores", "masked", "weights", "output"):
            assert torch.allclose(getattr(mine.trace, part), getattr(own.trace, part), atol=1e-5)
        assert [check.name for check in mine.trace.checks() if not check.passed and check.name != "finite"] == []
    assert torch.equal(rollout(read), rollout(captured))
    assert view(read).title


def test_what_a_trace_saved_is_read() -> None:
    _, captured = _cache("gpt2", grouped=False)
    weights = [layer["pattern"][None] for layer in captured.layers]
    output = torch.randn(1, 5, 15, generator=torch.Generator().manual_seed(0))
    for saved in (weights, [SimpleNamespace(value=one) for one in weights], [(output, one) for one in weights]):
        found = weights_of(saved)
        assert list(found) == ["0", "1"]
        assert torch.equal(found["1"], weights[1][0])
    assert view(weights_of({"early": weights[0], "late": weights[1]})).title is not None
    cache, _ = _cache("gpt2", grouped=False)
    assert torch.equal(weights_of(cache)["0"], weights[0][0])


def test_what_holds_no_weights_is_told() -> None:
    cache, _ = _cache("gpt2", grouped=False)
    with pytest.raises(
        OptionError, match=r"weights_of: 0 holds no tensor \(batch, heads, n_q, n_k\) whose rows sum to 1"
    ):
        weights_of([torch.zeros(3)])
    with pytest.raises(OptionError, match=r"read_cache: it holds no blocks\.N\.attn\.hook_pattern"):
        read_cache({"a": torch.zeros(3)})
    with pytest.raises(ShapeError, match="there are 2 tokens and 5 positions in the cache"):
        read_cache(cache, ["a", "b"])
    del cache["blocks.1.attn.hook_z"]
    with pytest.raises(OptionError, match="layer 1 has no hook_z; run_with_cache without names_filter keeps it"):
        read_cache(cache)


def test_statistics_are_a_table_and_one_line() -> None:
    statistics = head_statistics(capture(make("gpt2"), IDS).layer(0)["pattern"])
    frame = statistics.to_pandas()
    assert list(frame["head"]) == [0, 1, 2]
    assert frame["entropy"].tolist() == statistics.entropy.tolist()
    assert "received" not in frame.columns  # one number per key, not per head
    assert repr(statistics).startswith("HeadStatistics((3,) heads, mean entropy ")
