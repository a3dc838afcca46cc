"""What would do nothing is refused, with its reason; what did nothing is said."""

import dataclasses
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn
from transformers.models.gpt2 import modeling_gpt2

from attention_surgeon.errors import OptionError, ShapeError, SurgeryError
from attention_surgeon.surgery import Layer, attention_layers, capture, context_length, operate, registry
from attention_surgeon.surgery import layers as layers_module
from tests.surgery.families import inputs, logits, make


def test_attention_that_cannot_be_followed_is_refused() -> None:
    """Longformer attends in blocks, by code of its own that is no softmax over a product of queries and keys."""
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 5}
    model = hf.LongformerModel(hf.LongformerConfig(**sizes, vocab_size=31, attention_window=4)).eval()
    message = r"^layer 0 of LongformerModel \(longformer\) \(LongformerSelfAttention\) ran 1 times and attends in a way"
    with pytest.raises(SurgeryError, match=message), operate(model, "no_scale"):
        model(input_ids=torch.arange(8)[None] + 3)
    with pytest.raises(SurgeryError, match=r"no attention was seen in its layers \(LongformerSelfAttention\)"):
        capture(model, [3, 4, 5, 6])


def test_a_layer_that_runs_and_never_calls_is_refused() -> None:
    layer = make("gpt2").transformer.h[0].attn
    layer.forward = lambda *given, **options: (given[0], None)
    try:
        with pytest.raises(SurgeryError, match=r"layer 0 of GPT2LMHeadModel \(gpt2\) ran 1 times and never called"):
            with operate(make("gpt2"), "no_scale", layers=0):
                logits("gpt2")
    finally:
        del layer.forward


def test_a_model_that_is_not_run_is_told() -> None:
    with pytest.raises(SurgeryError, match="was not run within the block: nothing was operated on"):
        with operate(make("gpt2"), "no_scale"):
            pass


def test_something_else_than_a_model_of_attention() -> None:
    with pytest.raises(SurgeryError, match="Linear holds no attention layer to operate on"):
        attention_layers(nn.Linear(3, 5))


def test_training_with_dropout_is_refused() -> None:
    model = make("gpt2")
    model.train()
    try:
        with pytest.raises(SurgeryError, match="drops weights at random while training"):
            with operate(model, "no_scale"):
                logits("gpt2")
        with pytest.raises(OptionError, match="the model is in training mode"):
            capture(model, [3, 4, 5])
    finally:
        model.eval()


def test_shapes_that_do_not_fit_are_named() -> None:
    before = logits("bart")
    with pytest.raises(SurgeryError, match=r"layer cross 0: query \(2, 3, 5, 10\), key \(2, 3, 7, 10\)"):
        with operate(make("bart"), "query_key_swapped", layers="cross"):
            logits("bart")
    assert torch.equal(logits("bart"), before)


def test_what_changes_nothing_is_reported() -> None:
    with operate(make("vit"), "drop_mask") as receipt:
        logits("vit")
    assert not receipt.changed
    assert [layer.hidden for layer in receipt.layers] == [0, 0]
    with operate(make("t5"), "no_scale") as receipt:  # T5 has no scale
        logits("t5")
    assert not receipt.changed


def test_what_breaks_is_counted() -> None:
    with operate(make("gpt2"), "mask_times_infinity", layers=0, heads=2) as receipt:
        logits("gpt2")
    (layer,) = receipt.layers
    assert layer.num_not_finite > 0
    assert receipt.change == float("inf")
    with operate(make("gpt2"), "softmax_missing", layers=0) as receipt:
        logits("gpt2")
    error = receipt.layers[0].row_sum_error
    assert error is not None
    assert not error < 0.1


def test_one_text_at_a_time() -> None:
    with pytest.raises(ShapeError, match="use capture_batch for several texts"):
        capture(make("gpt2"), inputs("gpt2"))


def test_tokens_of_another_model_are_told() -> None:
    with pytest.raises(OptionError, match=r"the text holds token 37, and BertForMaskedLM \(bert\) knows 37"):
        capture(make("bert"), [5, 37])
    assert len(capture(make("llama"), [5] * 60).tokens) == 60  # positions that are computed have no end


@pytest.mark.parametrize(
    ("kind", "config", "positions"),
    [
        (hf.RobertaModel, hf.RobertaConfig, 512),
        (hf.OPTModel, hf.OPTConfig, 2048),
        (hf.T5Model, hf.T5Config, None),
        (hf.DistilBertModel, hf.DistilBertConfig, 512),
    ],
)
def test_how_much_a_model_reads(kind: type, config: type, positions: int | None) -> None:
    sizes = {"vocab_size": 31, "hidden_size": 12, "d_model": 12, "dim": 12, "word_embed_proj_dim": 12, "d_kv": 4}
    sizes |= dict.fromkeys(("num_hidden_layers", "num_layers", "n_layers"), 1)
    sizes |= dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "hidden_dim"), 5)
    sizes |= dict.fromkeys(("num_attention_heads", "num_heads", "n_heads"), 3)
    usual = config()
    made = config(**{name: size for name, size in sizes.items() if hasattr(usual, name)})
    if hasattr(made, "max_position_embeddings") and positions == 512 and kind is hf.RobertaModel:
        made.max_position_embeddings = 514  # of which the padding takes two
    assert context_length(kind(made)) == positions


def test_an_error_of_the_model_is_told_in_a_sentence() -> None:
    given = {"input_ids": torch.ones(1, 3, dtype=torch.long), "inputs_embeds": torch.ones(1, 3, 30)}
    with pytest.raises(SurgeryError, match=r"^LlamaForCausalLM \(llama\) cannot run input_ids \(1, 3\), inputs_embeds"):
        capture(make("llama"), given)


def test_a_keyword_that_is_not_known_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = modeling_gpt2.eager_attention_forward

    def louder(module: nn.Module, *given: Any, gain: float = 1.0, **options: Any) -> Any:
        output, weights = usual(module, *given, **options)
        return output * gain, weights

    monkeypatch.setattr(modeling_gpt2, "eager_attention_forward", louder)
    layers_module._registry_use.cache_clear()
    try:
        ids = torch.tensor([[3, 4, 5]])
        with pytest.raises(SurgeryError, match="layer 0 hands gain to its attention function, which reads it, and"):
            with operate(make("gpt2"), "knock_out"):
                make("gpt2")(ids, gain=1.0)
        with operate(make("gpt2"), "knock_out") as receipt:  # what nobody reads changes nothing
            make("gpt2")(ids, quietness=1.0)
        assert receipt.changed
    finally:
        layers_module._registry_use.cache_clear()


def test_attention_that_is_not_reproduced_is_refused() -> None:
    attention = make("gpt2").transformer.h[0].attn
    own = registry.read_call

    def with_more(layer: Layer, *given: Any) -> Any:
        call = own(layer, *given)
        if layer.name != "0":
            return call
        more = dataclasses.replace(call, own=lambda q, k, v: call.own(q, k, v) * 1.01)
        return more

    registry.read_call = with_more
    try:
        message = r"layer 0: our attention does not reproduce this model's \(off by 0.0"
        with pytest.raises(SurgeryError, match=message), operate(make("gpt2"), "knock_out"):
            logits("gpt2")
        with pytest.raises(SurgeryError, match=message):
            capture(make("gpt2"), [3, 4, 5])
    finally:
        registry.read_call = own
    assert not attention._forward_pre_hooks


def test_attention_beside_the_registry_is_listed() -> None:
    """LongT5's encoder attends in blocks by code of its own; its decoder asks the registry."""
    sizes = {"d_model": 12, "d_kv": 4, "d_ff": 5, "num_heads": 3, "num_layers": 2, "vocab_size": 31}
    model = hf.LongT5ForConditionalGeneration(hf.LongT5Config(**sizes)).eval()
    ids = torch.arange(7)[None] + 3
    with operate(model, "knock_out") as receipt:
        model(input_ids=ids, decoder_input_ids=ids)
    assert receipt.bypassing == "2 LongT5LocalAttention"
    called = {layer.name for layer in receipt.layers if layer.calls}
    assert called == {"decoder 0", "decoder 1", "cross 0", "cross 1"}
    with pytest.raises(SurgeryError, match=r"layer encoder 0 of LongT5.* attends in a way that cannot be followed"):
        with operate(model, "knock_out", layers="encoder"):
            model(input_ids=ids, decoder_input_ids=ids)
    with operate(make("gpt2"), "knock_out") as receipt:
        logits("gpt2")
    assert receipt.bypassing == ""


def test_layers_that_do_not_run_on_an_input_are_named() -> None:
    """GIT's text layers attend by code of their own; what asks the registry reads the picture, which is not given."""
    vision = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 5}
    config = hf.GitConfig(**vision, vocab_size=31, vision_config={**vision, "image_size": 8, "patch_size": 4})
    model = hf.GitForCausalLM(config).eval()
    ids = torch.arange(5)[None] + 3
    with operate(model, "knock_out") as receipt:
        model(input_ids=ids)
    assert [layer.calls for layer in receipt.layers] == [0, 1]
    message = r"GitForCausalLM \(git\) ran, and the layers that were to be operated on \(.*\) did not run on this input"
    with pytest.raises(SurgeryError, match=message), operate(model, "knock_out", layers=receipt.layers[0].name):
        model(input_ids=ids)
