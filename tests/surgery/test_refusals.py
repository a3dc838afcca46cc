"""What would do nothing is refused, with its reason; what did nothing is said."""

import pytest
import torch
import transformers as hf
from torch import nn

from attention_surgeon.errors import OptionError, ShapeError, SurgeryError
from attention_surgeon.surgery import attention_layers, capture, operate
from tests.surgery.families import inputs, logits, make


def test_a_family_that_bypasses_the_registry_is_refused() -> None:
    """Bloom attends by code of its own; it takes any name of an attention function and never asks for it."""
    config = hf.BloomConfig(vocab_size=31, hidden_size=15, n_layer=2, n_head=3)
    model = hf.BloomForCausalLM(config).eval()
    message = r"^BloomForCausalLM \(bloom\) never calls the attention registry of transformers: "
    with pytest.raises(SurgeryError, match=message), operate(model, "no_scale"):
        raise AssertionError("the block must not be entered")
    with pytest.raises(SurgeryError, match=message):
        capture(model, [3, 4, 5])


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
