"""Eight families: the healthy mechanism is the model's own, every operation gives a receipt, nothing stays behind."""

from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

from attention_surgeon.errors import SurgeryError
from attention_surgeon.surgery import (
    Operation,
    Receipt,
    attention_layers,
    capture,
    layer_statistics,
    operate,
    operations,
)
from tests.surgery.families import FAMILIES, inputs, logits, make

OWN = [known for known in operations() if known.name != "healthy"][:9]
UNMASKED = {"vit"}
NOTHING_TO_MIRROR = {"vit", "bert"}
STACKS = {
    "": "attentions",
    "encoder": "encoder_attentions",
    "decoder": "decoder_attentions",
    "cross": "cross_attentions",
}
BOTH = [(name, implementation) for name in FAMILIES for implementation in ("eager", "sdpa")]
BOTH.remove(("gemma2", "sdpa"))  # transformers itself refuses a cap there


def _run(name: str, implementation: str, operation: Operation | str, **where: object) -> tuple[Tensor, Receipt]:
    with operate(make(name, implementation), operation, **where) as receipt:
        return logits(name, implementation), receipt


@pytest.mark.parametrize(("name", "implementation"), BOTH)
def test_the_healthy_mechanism_gives_what_eager_gives(name: str, implementation: str) -> None:
    found, receipt = _run(name, implementation, "healthy")
    assert float((found - logits(name)).abs().max()) < 1e-5
    assert not torch.equal(found, logits(name, implementation))  # it was another computation that gave the same
    assert not receipt.changed
    for layer in receipt.layers:
        assert layer.calls == layer.runs == 1
        assert layer.agreement < 1e-5
        assert layer.hidden_used == layer.leaked == layer.num_not_finite == 0
        assert layer.row_sum_error is not None
        assert layer.row_sum_error < 1e-12


@pytest.mark.parametrize("name", FAMILIES)
def test_captured_weights_are_those_of_eager(name: str) -> None:
    model, given = make(name), inputs(name)
    alone = {key: value[:1] for key, value in given.items()}
    with torch.no_grad():
        result = model(**alone, output_attentions=True)
    captured = capture(model, alone)
    assert len(captured.layers) == len(attention_layers(model))
    for layer in captured.layers:
        own = result[STACKS[layer.stack]][layer.index][0]
        assert layer.trace.weights.shape == own.shape
        assert float((layer.trace.weights - own).abs().max()) < 1e-6


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.writes])
@torch.no_grad()
def test_generation_with_a_cache_is_identical(name: str) -> None:
    model, given = make(name), {key: value for key, value in inputs(name).items() if not key.startswith("decoder")}
    own, own_logits = _written(model, given)
    with operate(model, "healthy") as receipt:
        ours, our_logits = _written(model, given)
    assert torch.equal(own, ours)
    assert float((own_logits - our_logits).abs().max()) < 1e-5
    assert all(layer.calls == layer.runs for layer in receipt.layers)
    assert {layer.calls for layer in receipt.layers if "encoder" not in layer.name} == {6}
    with operate(model, "knock_out"):
        assert float((own_logits - _written(model, given)[1]).abs().max()) > 1e-3
    assert torch.equal(own_logits, _written(model, given)[1])


def _written(model: Any, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return what the model writes behind a batch, and the logits from which each token was chosen."""
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "use_cache": True}
    result = model.generate(**given, **options, output_logits=True, return_dict_in_generate=True)
    return result.sequences, torch.stack(result.logits)


@pytest.mark.parametrize("operation", OWN, ids=lambda operation: operation.name)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_operation_on_one_head_has_its_receipt(name: str, operation: Operation) -> None:
    before = logits(name)
    after, receipt = _run(name, "eager", operation, heads=[1], layers=1)
    assert torch.equal(logits(name), before)
    for layer in receipt.layers:
        assert layer.calls == layer.runs == 1
        assert layer.heads == (1,)
        assert layer.kv_heads == (0,) if name in ("llama", "mistral", "gemma2") else (1,)
        assert layer.others_identical is True
        assert layer.hidden_used == layer.num_not_finite == 0
        assert layer.agreement < 1e-5
        assert layer.row_sum_error is not None
        assert layer.row_sum_error < 1e-12
        assert bool(layer.leaked) == (operation.name in ("drop_mask", "reverse_mask") and layer.change > 0)
    does_nothing = (
        (operation.name == "no_scale" and name == "t5")
        or (operation.name == "drop_mask" and name in UNMASKED)
        or (operation.name == "reverse_mask" and name in NOTHING_TO_MIRROR)
    )
    assert receipt.changed is not does_nothing
    assert does_nothing or not torch.equal(before, after)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_every_fault_that_can_act_acts_or_says_why_not(name: str) -> None:
    before, quiet = logits(name), []
    for operation in operations():
        try:
            after, receipt = _run(name, "eager", operation)
        except SurgeryError as error:
            reason = f"{operation.name} needs" if operation.needs else "query"
            assert f"layer 0: {reason}" in str(error)  # noqa: PT017  it is one of many that may or may not refuse
            quiet.append(operation.name)
            continue
        finally:
            assert torch.equal(logits(name), before)
        if not receipt.changed:
            quiet.append(operation.name)
        else:
            assert not torch.equal(after, before) or operation.name == "nan_rows"
    expected = {"healthy", "key_not_transposed", "scale_by_value_size", "mask_hides_queries", "none_mask_is_causal"}
    expected |= {"mask_before_scale", "cuts_gradient"} | ({"heads_tiled"} if name == "gpt2" else set())
    expected |= {"cap_missing", "cap_after_mask"}  # they have no caps
    expected |= {"sink_missing", "sink_scaled", "sink_as_value", "sink_column_wrong"}  # nor sinks
    expected |= {"masks_joined_by_or"}  # of two masks, and here is one
    assert set(quiet) == expected


@torch.no_grad()
def test_a_share_of_each_row_may_go_to_no_key() -> None:
    """gpt-oss adds one score per head that belongs to no key, so its rows sum to less than 1."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2}
    experts = {"intermediate_size": 16, "num_local_experts": 2, "num_experts_per_tok": 1}
    config = hf.GptOssConfig(**sizes, **experts, vocab_size=37, head_dim=8, sliding_window=3, pad_token_id=0)
    torch.manual_seed(0)
    model, ids = hf.GptOssForCausalLM(config).eval(), torch.arange(7)[None] + 3
    for parameter in model.parameters():
        parameter.normal_(std=0.3)
    before = model(ids).logits
    with operate(model, "healthy") as receipt:
        assert float((model(ids).logits - before).abs().max()) < 1e-5
    assert [layer.row_sum_error for layer in receipt.layers] == [None, None]
    assert max(layer.agreement for layer in receipt.layers) < 1e-5
    weights = capture(model, ids).layer(0).trace.weights.sum(-1)
    assert (weights < 0.999).any()
    statistics = layer_statistics(capture(model, ids).layer(0))  # of what the keys share among themselves
    assert statistics is not None
    assert float(statistics.entropy.min()) > 0
    with operate(model, "sink_missing", layers=0):
        whole = capture(model, ids).layer(0).trace.weights
    assert float((whole.sum(-1) - 1).abs().max()) < 1e-6
    assert float((whole[:, 1] - capture(model, ids).layer(0).trace.weights[:, 1] / weights[:, 1:2]).abs().max()) < 1e-6
    assert torch.equal(model(ids).logits, before)


@torch.no_grad()
def test_a_cap_that_is_left_out_is_a_model_without_one() -> None:
    before = logits("gemma2")
    found, receipt = _run("gemma2", "eager", "cap_missing")
    model = make("gemma2")
    caps = [layer.self_attn.attn_logit_softcapping for layer in model.model.layers]
    try:
        for layer in model.model.layers:
            layer.self_attn.attn_logit_softcapping = None
        without = logits("gemma2")
    finally:
        for layer, cap in zip(model.model.layers, caps, strict=True):
            layer.self_attn.attn_logit_softcapping = cap
    assert receipt.changed
    assert float((found - without).abs().max()) < 1e-5 < float((found - before).abs().max())


def test_grouped_heads_are_named() -> None:
    _, receipt = _run("llama", "sdpa", "knock_out", heads="1,4-5")
    assert [(layer.heads, layer.kv_heads) for layer in receipt.layers] == [((1, 4, 5), (0, 1))] * 2


def test_stacks_are_named_and_chosen() -> None:
    model = make("bart")
    assert [layer.name for layer in attention_layers(model)] == [
        *("encoder 0", "encoder 1", "decoder 0", "cross 0", "decoder 1", "cross 1")
    ]
    assert [layer.num_heads for layer in attention_layers(model)] == [5, 5, 3, 3, 3, 3]
    wanted = {
        "cross": ["cross 0", "cross 1"],
        "decoder 1": ["decoder 1"],
        "0": ["encoder 0", "decoder 0", "cross 0"],
    }
    for choice, chosen in wanted.items():
        _, receipt = _run("bart", "eager", "knock_out", layers=choice)
        assert [layer.name for layer in receipt.layers if layer.calls] == chosen
        assert receipt.num_other_layers == 6 - len(chosen)
