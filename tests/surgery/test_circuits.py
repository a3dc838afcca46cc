"""QK and OV against the model's own weights; composition and SVD against the matrices multiplied out."""

from typing import Any

import pytest
import torch
from torch import Tensor

from attention_surgeon.errors import OptionError, SurgeryError
from attention_surgeon.models import Decoder, DecoderConfig
from attention_surgeon.surgery import Circuits, circuits
from tests.surgery.families import make
from tests.surgery.patching.models import parts

TOLERANCE = 1e-5


def _weights(model: Any, name: str, layer: int, head: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return W_Q, W_K, W_V `(width, d)` and W_O `(d, width)` of one head, by the names of the family."""
    if name == "gpt2":
        attention, size = model.transformer.h[layer].attn, 5
        q, k, v = attention.c_attn.weight.detach().double().split(15, dim=1)
        kv, output = head, attention.c_proj.weight.detach().double()
    elif name == "bert":
        attention, size, kv = model.bert.encoder.layer[layer].attention, 5, head
        q, k, v = (getattr(attention.self, part).weight.detach().double().T for part in ("query", "key", "value"))
        output = attention.output.dense.weight.detach().double().T
    else:
        attention, size, kv = model.model.layers[layer].self_attn, 10 if name == "llama" else 8, head // 3
        q, k, v = (getattr(attention, f"{part}_proj").weight.detach().double().T for part in "qkv")
        output = attention.o_proj.weight.detach().double().T
    mine, shared = slice(head * size, (head + 1) * size), slice(kv * size, (kv + 1) * size)
    return q[:, mine], k[:, shared], v[:, shared], output[mine]


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "gpt_oss"])
def test_circuits_are_products_of_the_models_weights(name: str) -> None:
    model = parts(name).model
    found = circuits(model, [5])
    for layer, head in ((0, 0), (1, 2)):
        query, key, value, output = _weights(model, name, layer, head)
        one = found.head(layer, head)
        assert one.qk is not None
        stretch = model.model.rotary_emb.attention_scaling**2 if name == "gpt_oss" else 1.0  # of its rotation
        assert float((one.qk.dense() - stretch * query @ key.T).abs().max()) < TOLERANCE
        assert float((one.ov.dense() - value @ output).abs().max()) < TOLERANCE
        left, values, right = one.ov.svd()
        assert float((left @ values.diag() @ right.T - value @ output).abs().max()) < TOLERANCE
        expected = torch.linalg.svdvals(value @ output)[: len(values)]
        assert torch.allclose(values, expected, atol=TOLERANCE)
        assert one.ov.norm() == pytest.approx(float((value @ output).norm()), rel=1e-6)


@pytest.mark.parametrize("kind", ["Q", "K", "V"])
def test_composition_is_that_of_the_whole_matrices(kind: Any) -> None:
    found = circuits(make("gpt2"), [5])
    scores, keys = found.composition(kind), list(found.heads)
    for earlier, later in ((("0", 1), ("1", 2)), (("0", 0), ("1", 0))):
        writes, head = found.heads[earlier].ov.dense(), found.heads[later]
        assert head.qk is not None
        reads = {"Q": head.qk.dense(), "K": head.qk.dense().T, "V": head.ov.dense()}[kind]
        expected = float((writes @ reads).norm() / (writes.norm() * reads.norm()))
        assert float(scores[keys.index(earlier), keys.index(later)]) == pytest.approx(expected, rel=1e-6)
    assert torch.isnan(scores[3, 0])  # a later head writes nothing that an earlier one could read
    assert len(found.to_pandas(kind)) == 9


def test_queries_behind_a_norm_have_no_circuit() -> None:
    found = circuits(parts("qwen3").model, [5])
    assert found.head(0, 0).qk is None
    assert found.head(0, 0).ov.left.shape == (30, 8)
    assert torch.isnan(found.composition("K")).all()


def test_a_head_that_copies() -> None:
    """With W_V and W_O transposes of each other OV is positive: everything that is looked at is written."""
    model = Decoder(DecoderConfig(vocabulary_size=31, embed_dim=24, num_heads=3, num_layers=1)).eval()
    layer = next(model.attention_layers())
    with torch.no_grad():
        layer.output.weight.copy_(layer.value.weight.T)  # pyright: ignore[reportCallIssue]
    found = circuits(model)
    assert found.copies(0, 1) == pytest.approx(1.0, abs=1e-6)
    with torch.no_grad():
        layer.output.weight.neg_()  # pyright: ignore[reportCallIssue]
    assert circuits(model).copies(0, 1) == pytest.approx(-1.0, abs=1e-6)


def test_the_tokens_of_a_direction() -> None:
    """One head reads token 4 and writes token 9: its strongest direction says so."""
    model = Decoder(DecoderConfig(vocabulary_size=12, embed_dim=24, num_heads=3, num_layers=1)).eval()
    layer = next(model.attention_layers())
    with torch.no_grad():
        model.token_embedding.weight.copy_(torch.eye(12, 24))
        layer.value.weight[:8] = 0
        layer.value.weight[0, 4] = 3.0
        layer.output.weight[:, :8] = 0  # pyright: ignore[reportIndexIssue]
        layer.output.weight[9, 0] = 2.0  # pyright: ignore[reportIndexIssue]
    strength, read, written = circuits(model).top_tokens(0, 0, most=2)[0]
    assert strength == pytest.approx(6.0, abs=TOLERANCE)
    assert (read[0], written[0]) == ("4", "9")


def test_what_is_not_there() -> None:
    found = circuits(make("gpt2"), [5])
    assert repr(found) == "Circuits(GPT2LMHeadModel (gpt2), 2 layers, 6 heads)"
    with pytest.raises(OptionError, match=r"there is no head 2\.0; the layers are 0 to 1"):
        found.head(2, 0)
    without = Circuits(found.source, found.heads, found.embedding, None)
    with pytest.raises(SurgeryError, match="has no tokens on both sides"):
        without.top_tokens(0, 0)
