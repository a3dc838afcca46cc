"""Paths of one head, each against plain hooks; shares of the logits against the model's own sum."""

import pytest
import torch
from torch import Tensor

from attention_surgeon.errors import OptionError, SurgeryError
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import Decoder, DecoderConfig
from attention_surgeon.surgery.patching import logit_attribution, path_patch
from tests.surgery.patching.models import CLEAN, CORRUPT, METRIC, Parts, inputs_of, logits, measured, parts

PRE_NORM = ["gpt2", "llama", "mistral", "qwen3", "gpt_oss", "smollm3"]
TOLERANCE = 1e-5


def _added(one: Parts, layer: int, head: int, ids: list[int]) -> Tensor:
    """Return what one head adds to the stream, by its part of the projection's weight."""
    projection = one.projection(one.blocks(one.model)[layer])
    (gathered,) = inputs_of(one.model, ids, projection)
    columns = slice(head * one.size, (head + 1) * one.size)
    weight = projection.weight if hasattr(projection, "nf") else projection.weight.T
    assert isinstance(weight, Tensor)
    return gathered[..., columns] @ weight[columns].detach()


@pytest.mark.parametrize("name", PRE_NORM)
def test_to_the_logits(name: str) -> None:
    one = parts(name)
    last_norm = one.model.transformer.ln_f if name == "gpt2" else one.model.model.norm
    result = path_patch(one.model, CLEAN, CORRUPT, metric=METRIC)
    for layer in range(2):
        for head in range(one.heads):
            moved = _added(one, layer, head, CLEAN) - _added(one, layer, head, CORRUPT)
            expected = measured(logits(one.model, CORRUPT, (last_norm, lambda given, moved=moved: given + moved)))
            assert float(result.values[layer, head]) == pytest.approx(expected, abs=TOLERANCE)
    assert float(result.effects.abs().max()) > 1e-3


@pytest.mark.parametrize("through", ["q", "k", "v"])
@pytest.mark.parametrize("name", PRE_NORM)
def test_into_a_head(name: str, through: str) -> None:
    """The reference makes q, k or v of the receiver from a moved stream, and writes them by a hook."""
    one, receiver = parts(name), 1
    block = one.blocks(one.model)[1]
    result = path_patch(one.model, CLEAN, CORRUPT, metric=METRIC, to=(1, receiver), through=through)
    assert result.layers == ("0",)
    heads = one.heads if through == "q" else one.kv_heads
    number = receiver if through == "q" else receiver * one.kv_heads // one.heads
    if hasattr(block, "attn"):
        module, begin = block.attn.c_attn, "qkv".index(through) * heads * one.size
    else:
        module, begin = getattr(block.self_attn, f"{through}_proj"), 0
    columns = slice(begin + number * one.size, begin + (number + 1) * one.size)
    for head in range(one.heads):
        moved = _added(one, 0, head, CLEAN) - _added(one, 0, head, CORRUPT)
        kept: list[Tensor] = []
        handle = module.register_forward_hook(lambda _, __, output, kept=kept: kept.append(output.clone()))
        logits(one.model, CORRUPT, (block, lambda given, moved=moved: given + moved))
        handle.remove()

        def write(_: object, __: object, output: Tensor, kept: list[Tensor] = kept) -> Tensor:
            new = output.clone()
            new[..., columns] = kept[0][..., columns]
            return new

        handle = module.register_forward_hook(write)
        expected = measured(logits(one.model, CORRUPT))
        handle.remove()
        assert float(result.values[0, head]) == pytest.approx(expected, abs=TOLERANCE)
    assert float((result.values - result.start).abs().max()) > 1e-4


@pytest.mark.parametrize("name", PRE_NORM)
def test_shares_of_the_logits(name: str) -> None:
    """The reference holds the last norm's scale as a number and reads each head through it."""
    one = parts(name)
    norm = one.model.transformer.ln_f if name == "gpt2" else one.model.model.norm
    result = logit_attribution(one.model, CLEAN, metric=METRIC)
    own = measured(logits(one.model, CLEAN))
    assert result.goal == pytest.approx(own, abs=1e-4)
    assert result.rest is not None
    assert float(result.values.nansum()) + result.rest == pytest.approx(own, abs=1e-4)
    (stream,) = inputs_of(one.model, CLEAN, norm)
    last = stream[0, -1].detach()
    unembedding = one.model.get_output_embeddings().weight.detach()
    for layer in range(2):
        for head in range(one.heads):
            added = _added(one, layer, head, CLEAN)[0, -1]
            if name == "gpt2":
                normed = (added - added.mean()) / (last.var(unbiased=False) + norm.eps).sqrt() * norm.weight.detach()
            else:
                normed = added * torch.rsqrt(last.pow(2).mean() + norm.variance_epsilon) * norm.weight.detach()
            expected = float(normed @ (unembedding[8] - unembedding[21]))
            assert float(result.values[layer, head]) == pytest.approx(expected, abs=TOLERANCE)


def test_our_own_decoder() -> None:
    model = Decoder(DecoderConfig(vocabulary_size=31)).eval()
    result = logit_attribution(model, CLEAN, metric=METRIC)
    assert result.rest is not None
    own = measured(model(torch.tensor([CLEAN]), causal_mask(7))[0].detach())
    assert float(result.values.sum()) + result.rest == pytest.approx(own, abs=TOLERANCE)
    assert path_patch(model, CLEAN, CORRUPT, metric=METRIC, to=(1, 3), through="q").receipt.undone


@pytest.mark.parametrize("name", ["bert", "gemma2", "olmo2"])
def test_a_norm_between_a_head_and_the_stream_is_refused(name: str) -> None:
    for call in (
        lambda: path_patch(parts(name).model, CLEAN, CORRUPT, metric=METRIC),
        lambda: logit_attribution(parts(name).model, CLEAN, metric=METRIC),
    ):
        with pytest.raises(
            SurgeryError, match="layer 0: what its heads add goes through a norm or a gate before it joins"
        ):
            call()


def test_what_cannot_be_a_receiver() -> None:
    model = parts("gpt2").model
    given = {"metric": METRIC}
    with pytest.raises(OptionError, match=r"there is no head 2\.0; the layers are 0 to 1"):
        path_patch(model, CLEAN, CORRUPT, to=(2, 0), **given)
    with pytest.raises(OptionError, match="no chosen layer stands before layer 0"):
        path_patch(model, CLEAN, CORRUPT, to=(0, 0), **given)
    with pytest.raises(OptionError, match="expected a sum of logits"):
        logit_attribution(model, CLEAN, metric="prob(3)")
