"""The walking skeleton: one operation on a tiny gpt2, its receipt, and everything put back."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from attention_surgeon.surgery import capture, operate


def _gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    sizes = {"n_layer": 2, "n_embd": 15, "n_head": 3, "vocab_size": 31, "n_positions": 23}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=2, initializer_range=0.3)).eval()


@torch.no_grad()
def test_one_head_without_scale() -> None:
    model, ids = _gpt2(), torch.arange(7)[None] + 3
    before = model(ids).logits
    with operate(model, "no_scale", layers=1, heads=[2]) as receipt:
        after = model(ids).logits
    (layer,) = receipt.layers
    assert (layer.calls, layer.runs, layer.heads, layer.others_identical) == (1, 1, (2,), True)
    assert layer.hidden == 21
    assert layer.hidden_used == layer.leaked == 0
    assert layer.row_sum_error is not None
    assert layer.row_sum_error < 1e-12
    assert layer.agreement < 1e-5
    assert receipt.changed
    assert not torch.equal(before, after)
    assert torch.equal(before, model(ids).logits)


def test_a_captured_layer_passes_its_checks() -> None:
    captured = capture(_gpt2(), [3, 4, 5, 6, 7])
    assert [layer.name for layer in captured.layers] == ["0", "1"]
    for layer in captured.layers:
        assert all(check.passed for check in layer.trace.checks())
