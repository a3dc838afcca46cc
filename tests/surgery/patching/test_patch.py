"""Every patch equals one made by a plain hook, and its receipt says what was read and written."""

from typing import Any

import pytest
import torch
from torch import Tensor

from attention_surgeon.errors import OptionError, SurgeryError
from attention_surgeon.models import Decoder, DecoderConfig
from attention_surgeon.surgery import capture
from attention_surgeon.surgery.patching import ablate, attribute, patch
from tests.surgery.families import make
from tests.surgery.patching.models import CLEAN, CORRUPT, METRIC, Parts, inputs_of, logits, measured, parts

CAUSAL = ["gpt2", "llama", "mistral", "gemma2", "qwen3", "gpt_oss", "smollm3", "olmo2"]
TOLERANCE = 1e-5


def _with_z(one: Parts, layer: int, head: int, source: Tensor, positions: slice = slice(None)) -> float:
    """Return the metric with what one head gathered replaced at some positions, by a hook on the output projection."""

    def write(given: Tensor) -> Tensor:
        new = given.clone()
        columns = slice(head * one.size, (head + 1) * one.size)
        new[:, positions, columns] = source[:, positions, columns]
        return new

    return measured(logits(one.model, CORRUPT, (one.projection(one.blocks(one.model)[layer]), write)))


@pytest.mark.parametrize("what", ["z", "head_out"])
@pytest.mark.parametrize("name", [*CAUSAL, "bert"])
def test_what_a_head_gathered(name: str, what: str) -> None:
    one = parts(name)
    projections = [one.projection(block) for block in one.blocks(one.model)]
    source = inputs_of(one.model, CLEAN, *projections)
    result = patch(one.model, CLEAN, CORRUPT, metric=METRIC, what=what)
    expected = [[_with_z(one, layer, head, source[layer]) for head in range(one.heads)] for layer in range(2)]
    assert torch.allclose(result.values, torch.tensor(expected, dtype=torch.float64), atol=TOLERANCE, rtol=0)
    assert result.start == pytest.approx(measured(logits(one.model, CORRUPT)), abs=TOLERANCE)
    assert result.goal == pytest.approx(measured(logits(one.model, CLEAN)), abs=TOLERANCE)
    assert float(result.effects.abs().max()) > 1e-3  # a patch that does nothing would agree with nothing done


def test_at_some_positions() -> None:
    one = parts("llama")
    (source,) = inputs_of(one.model, CLEAN, one.projection(one.blocks(one.model)[1]))
    result = patch(one.model, CLEAN, CORRUPT, metric=METRIC, layers=1, heads=[4], positions="4-5")
    assert float(result.values[0, 0]) == pytest.approx(_with_z(one, 1, 4, source, slice(4, 6)), abs=TOLERANCE)
    (layer,) = result.receipt.layers
    assert (layer.reads, layer.writes, layer.heads) == (2, 2, (4,))


@pytest.mark.parametrize("name", CAUSAL)
def test_the_stream_in_front_of_a_layer(name: str) -> None:
    one = parts(name)
    blocks = list(one.blocks(one.model))
    source = inputs_of(one.model, CLEAN, *blocks)
    result = patch(one.model, CLEAN, CORRUPT, metric=METRIC, what="residual")
    assert (result.column_kind, result.values.shape) == ("position", (2, 7))
    for layer, block in enumerate(blocks):
        for position in (0, 4, 6):

            def write(given: Tensor, at: int = position, new: Tensor = source[layer]) -> Tensor:
                return torch.cat([given[:, :at], new[:, at : at + 1], given[:, at + 1 :]], 1)

            expected = measured(logits(one.model, CORRUPT, (block, write)))
            assert float(result.values[layer, position]) == pytest.approx(expected, abs=TOLERANCE)
    assert float(result.effects[0, 4]) == pytest.approx(1.0, abs=1e-4)  # the one word in which the texts differ


@pytest.mark.parametrize("what", ["q", "k", "v"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "gemma2", "gpt_oss", "smollm3"])
def test_queries_keys_and_values(name: str, what: str) -> None:
    """The reference changes what the projection gives, before any rotation, which turns each position by itself."""
    one = parts(name)
    result = patch(one.model, CLEAN, CORRUPT, metric=METRIC, what=what)
    heads = one.heads if what == "q" else one.kv_heads
    assert result.values.shape == (2, heads)
    for layer in range(2):
        for head in range(heads):
            expected = _with_projected(one, layer, what, head)
            assert float(result.values[layer, head]) == pytest.approx(expected, abs=TOLERANCE)
    assert float(result.effects.abs().max()) > 1e-3


def _with_projected(one: Parts, layer: int, what: str, head: int) -> float:
    block = one.blocks(one.model)[layer]
    if hasattr(block, "attn"):
        module, begin = block.attn.c_attn, "qkv".index(what) * one.heads * one.size
    else:
        module, begin = getattr(block.self_attn, f"{what}_proj"), 0
    columns = slice(begin + head * one.size, begin + (head + 1) * one.size)
    kept: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, __, output: kept.append(output.clone()))
    logits(one.model, CLEAN)
    handle.remove()

    def write(_: Any, __: Any, output: Tensor) -> Tensor:
        new = output.clone()
        new[..., columns] = kept[0][..., columns]
        return new

    handle = module.register_forward_hook(write)
    try:
        return measured(logits(one.model, CORRUPT))
    finally:
        handle.remove()


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "gemma2", "qwen3", "gpt_oss", "smollm3"])
def test_patterns(name: str) -> None:
    """The reference multiplies the model's own weights of the clean text with the values of the corrupt one."""
    one = parts(name)
    weights = _own_weights(one.model, CLEAN)
    values = [layer.trace.value for layer in capture(one.model, CORRUPT).layers]
    result = patch(one.model, CLEAN, CORRUPT, metric=METRIC, what="pattern")
    for layer in range(2):
        gathered = (weights[layer][0] @ values[layer]).transpose(0, 1).flatten(-2)[None]  # (h, q, v) -> (1, q, h * v)
        for head in range(one.heads):
            expected = _with_z(one, layer, head, gathered)
            assert float(result.values[layer, head]) == pytest.approx(expected, abs=TOLERANCE)
    assert float(result.effects.abs().max()) > 1e-3


@torch.no_grad()
def _own_weights(model: Any, ids: list[int]) -> tuple[Tensor, ...]:
    model.set_attn_implementation("eager")
    return model(torch.tensor([ids]), output_attentions=True).attentions


@pytest.mark.parametrize("what", ["z", "pattern", "q", "k", "v", "head_out", "residual"])
def test_the_receipt(what: str) -> None:
    model = make("llama")
    before = logits(model, CORRUPT)
    result = patch(model, CLEAN, CORRUPT, metric=METRIC, what=what)
    receipt = result.receipt
    assert receipt.undone
    assert receipt.changed
    assert receipt.num_other_layers == 0
    for layer in receipt.layers:
        assert layer.others_identical is True
        assert layer.reads == layer.writes == 7 * (1 if what == "residual" else 2 if what in "kv" else 6)
        assert layer.num_not_finite == 0
    assert torch.equal(before, logits(model, CORRUPT))


def test_the_same_text_changes_nothing() -> None:
    for what in ("z", "q", "k", "v", "residual", "head_out", "pattern"):
        result = patch(make("gpt2"), CLEAN, CLEAN, metric=METRIC, what=what)
        assert float((result.values - result.start).abs().max()) < TOLERANCE
        assert result.receipt.change < 1e-12


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_ablations(name: str) -> None:
    one = parts(name)
    projections = [one.projection(block) for block in one.blocks(one.model)]
    own, other, third = (inputs_of(one.model, ids, *projections) for ids in (CORRUPT, CLEAN, [5, 9, 30]))
    means = [torch.cat([a, b], 1).mean(1, keepdim=True).expand_as(c) for a, b, c in zip(other, third, own, strict=True)]
    sources = {"zero": [torch.zeros_like(z) for z in own], "mean": means, "resample": other}
    references: dict[str, Any] = {"zero": None, "mean": [CLEAN, [5, 9, 30]], "resample": CLEAN}
    for by, source in sources.items():
        result = ablate(one.model, CORRUPT, metric=METRIC, by=by, reference=references[by])  # pyright: ignore
        expected = [[_with_z(one, layer, head, source[layer]) for head in range(one.heads)] for layer in range(2)]
        assert torch.allclose(result.values, torch.tensor(expected, dtype=torch.float64), atol=TOLERANCE, rtol=0), by
        assert not result.is_share


def test_the_mean_of_the_text_itself() -> None:
    one = parts("gpt2")
    projections = [one.projection(block) for block in one.blocks(one.model)]
    source = [z.mean(1, keepdim=True).expand_as(z) for z in inputs_of(one.model, CORRUPT, *projections)]
    result = ablate(one.model, CORRUPT, metric=METRIC, by="mean")
    assert float(result.values[1, 2]) == pytest.approx(_with_z(one, 1, 2, source[1]), abs=TOLERANCE)


@pytest.mark.parametrize("what", ["z", "head_out", "pattern", "v", "q", "k", "residual"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_attribution_is_the_slope_of_a_patch(name: str, what: str) -> None:
    """The estimate is the derivative on the way from corrupt to clean; a difference quotient agrees."""
    one = parts(name)
    estimate = attribute(one.model, CLEAN, CORRUPT, metric=METRIC, what=what)
    place = {"residual": (1, 4)}.get(what, (1, 1))
    slope = _slope(one, what, place, step=0.003)
    assert abs(slope) > 2e-3
    assert float(estimate.values[place] - estimate.start) == pytest.approx(slope, rel=0.01, abs=5e-4)


def _slope(one: Parts, what: str, place: tuple[int, int], step: float) -> float:
    """Return how fast the metric moves when corrupt + step · (clean - corrupt) is written at one place, in float64."""
    from attention_surgeon.surgery.patching.runs import open_bench
    from attention_surgeon.surgery.patching.touching import Touching, touching

    model = one.model.double()
    try:
        bench = open_bench(model, CLEAN, CORRUPT, METRIC)
        here = bench.places[place[0]]
        (source,) = bench.read(bench.clean, [(here, what)])[0].values()

        def write(own: Tensor, part: float) -> Tensor:
            new, at = own.clone(), (slice(None), place[1])
            new[at] = own[at] + part * (source[at] - own[at])
            return new

        moved = []
        for part in (step, -step):
            with touching([Touching(here, what, lambda own, part=part: write(own, part))]):
                moved.append(measured(logits(model, CORRUPT)))
        return (moved[0] - moved[1]) / (2 * step)
    finally:
        one.model.float()


def test_attribution_is_exact_where_the_metric_is_linear() -> None:
    """In the last layer of a model whose last norm and MLP are made linear, the estimate is the patch itself."""
    torch.manual_seed(0)
    model = Decoder(DecoderConfig(vocabulary_size=31, embed_dim=24, num_heads=3, num_layers=1)).eval()
    model.norm = torch.nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    model.blocks[0].mlp_norm = torch.nn.Identity()
    model.blocks[0].mlp = torch.nn.Linear(24, 24)
    given = {"metric": METRIC, "what": "z"}
    assert torch.allclose(
        patch(model, CLEAN, CORRUPT, **given).values, attribute(model, CLEAN, CORRUPT, **given).values, atol=1e-6
    )


def test_a_function_as_the_metric() -> None:
    def spread(logits: Tensor) -> Tensor:
        return logits[-1].max() - logits[-1].min()

    result = patch(make("gpt2"), CLEAN, CORRUPT, metric=spread)
    assert result.metric == "spread"
    assert result.start == pytest.approx(float(spread(logits(make("gpt2"), CORRUPT))), abs=TOLERANCE)
    assert float(attribute(make("gpt2"), CLEAN, CORRUPT, metric=spread).effects.abs().max()) > 0


def test_our_own_decoder_and_a_pair() -> None:
    model = Decoder(DecoderConfig(vocabulary_size=31, num_layers=2)).eval()
    for what in ("z", "head_out", "pattern", "q", "k", "v", "residual"):
        result = patch(model, CLEAN, CORRUPT, metric=METRIC, what=what)
        assert result.receipt.changed
    result = patch(make("t5"), CLEAN, CORRUPT, metric=METRIC, target=[5, 6, 7])
    assert result.layers == ("encoder 0", "encoder 1", "decoder 0", "cross 0", "decoder 1", "cross 1")
    assert float(result.effects.abs().max()) > 1e-3


def test_texts_of_two_lengths_are_refused() -> None:
    with pytest.raises(OptionError, match="clean has 7 tokens and corrupt 6; a patch puts position on position"):
        patch(make("gpt2"), CLEAN, CLEAN[:-1], metric=METRIC)


def test_a_model_without_logits_is_told() -> None:
    with pytest.raises(SurgeryError, match="GPT2Model gives no logits"):
        patch(make("gpt2").transformer, CLEAN, CORRUPT, metric=METRIC)


def test_a_notebook_shows_the_map() -> None:
    html = patch(make("gpt2"), CLEAN, CORRUPT, metric=METRIC, layers=0)._repr_html_()
    assert html.startswith('<figure><img alt="PatchResult(patch z, ')
    assert "data:image/png;base64,iVBOR" in html
