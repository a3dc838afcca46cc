"""Each operation against attention written once more for the test, put into the registry by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from attention_surgeon.errors import OptionError, SurgeryError
from attention_surgeon.faults import catalogue, find_fault
from attention_surgeon.ops import Circuit
from attention_surgeon.surgery import Operation, find_operation, operate, operations
from attention_surgeon.surgery.operations import why_not
from tests.surgery.families import inputs, make

Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""`(scaled scores, unscaled scores, allowed, value) -> output`, `(batch, heads, n_q, d_v)`."""

INFINITY = float("inf")


def _hide(scores: Tensor, allowed: Tensor) -> Tensor:
    return scores.masked_fill(~allowed, -INFINITY)


def _soft(scores: Tensor) -> Tensor:
    return torch.softmax(scores, dim=-1).nan_to_num(0.0)


def _one_hot(scores: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)


def _mirrored(allowed: Tensor) -> Tensor:
    """Causal with padding on the left: keep who is no padding, look forward."""
    real = allowed[..., -1:, :]
    forward = torch.ones(allowed.shape[-2:], dtype=torch.bool).triu()
    return (forward | ~real.transpose(-2, -1)) & real


def _previous(scores: Tensor, allowed: Tensor) -> Tensor:
    """All weight on the key before, the first real one on itself."""
    n = scores.shape[-1]
    rows = torch.arange(n)
    first = allowed[..., -1, :].int().argmax(-1)[..., None]
    chosen = torch.maximum((rows - 1).expand(*allowed.shape[:-2], n), first)
    return torch.nn.functional.one_hot(chosen, n).to(scores.dtype).expand_as(scores)


EXPECTED: dict[str, Attend] = {
    "healthy": lambda scaled, raw, allowed, value: _soft(_hide(scaled, allowed)) @ value,
    "no_scale": lambda scaled, raw, allowed, value: _soft(_hide(raw, allowed)) @ value,
    "average_heads": lambda scaled, raw, allowed, value: (
        _soft(_hide(scaled, allowed)).mean(1, keepdim=True).expand_as(scaled) @ value
    ),
    "knock_out": lambda scaled, raw, allowed, value: torch.zeros_like(value),
    "drop_mask": lambda scaled, raw, allowed, value: _soft(scaled) @ value,
    "reverse_mask": lambda scaled, raw, allowed, value: _soft(_hide(scaled, _mirrored(allowed))) @ value,
    "uniform": lambda scaled, raw, allowed, value: _soft(_hide(scaled * 0.0, allowed)) @ value,
    "one_hot": lambda scaled, raw, allowed, value: _one_hot(_hide(scaled, allowed)) @ value,
    "temperature:2": lambda scaled, raw, allowed, value: _soft(_hide(scaled / 2, allowed)) @ value,
    "look_back:1": lambda scaled, raw, allowed, value: _previous(scaled, allowed) @ value,
    "scores_negated": lambda scaled, raw, allowed, value: _soft(_hide(-scaled, allowed)) @ value,
    "heads_reversed": lambda scaled, raw, allowed, value: (_soft(_hide(scaled, allowed)) @ value).flip(1),
    "key_as_value": lambda scaled, raw, allowed, value: _soft(_hide(scaled, allowed)) @ KEY[-1],
}
KEY: list[Tensor] = []


def _reference(name: str, attend: Attend) -> Tensor:
    """Return the logits of real tokens of a model all of whose heads attend by `attend`, in float64."""

    def function(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
        key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1).double() for part in (key, value))
        KEY[:] = [key]
        raw = query.double() @ key.transpose(-2, -1)
        allowed = torch.ones(raw.shape[-2:], dtype=torch.bool).tril() if mask is None else mask
        output = attend(raw * options["scaling"], raw, allowed.expand(len(raw), 1, *raw.shape[-2:]), value)
        return output.float().transpose(1, 2), None

    given = inputs(name)
    model = make(name)
    AttentionInterface.register("by_the_test", function)
    AttentionMaskInterface.register("by_the_test", sdpa_mask)
    try:
        model.set_attn_implementation("by_the_test")
        with torch.no_grad():
            return model(**given).logits[given["attention_mask"].bool()]
    finally:
        model.set_attn_implementation("eager")
        AttentionInterface._global_mapping.pop("by_the_test")
        AttentionMaskInterface._global_mapping.pop("by_the_test")


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("operation", EXPECTED)
def test_an_operation_does_what_it_says(operation: str, name: str) -> None:
    expected = _reference(name, EXPECTED[operation])
    given = inputs(name)
    with operate(make(name), operation), torch.no_grad():
        found = make(name)(**given).logits[given["attention_mask"].bool()]
    assert float((found - expected).abs().max()) < 1e-5


def test_one_head_is_operated_on_and_no_other() -> None:
    def only_head_1(scaled: Tensor, raw: Tensor, allowed: Tensor, value: Tensor) -> Tensor:
        healthy, operated = (EXPECTED[name](scaled, raw, allowed, value) for name in ("healthy", "no_scale"))
        healthy[:, 1] = operated[:, 1]
        return healthy

    expected, given = _reference("llama", only_head_1), inputs("llama")
    with operate(make("llama"), "no_scale", heads=1), torch.no_grad():
        found = make("llama")(**given).logits[given["attention_mask"].bool()]
    assert float((found - expected).abs().max()) < 1e-5


def test_every_fault_either_acts_or_is_refused_with_a_reason() -> None:
    listed = {operation.name for operation in operations()} | {"scale_missing", "heads_averaged"}
    for fault in catalogue():
        reason = why_not(fault)
        if reason is None:
            assert fault.name in listed
            assert find_operation(fault.name).summary == find_operation(fault).summary == fault.summary
        else:
            assert fault.name not in listed
            with pytest.raises(SurgeryError, match=f"^{fault.name} cannot act on a model: "):
                find_operation(fault)
    refused = {fault.stage for fault in catalogue() if why_not(fault) is not None}
    assert {"projection", "output", "statistics"} <= refused


def test_what_a_model_lets_nobody_reach_is_refused_in_part_too() -> None:
    """It cuts heads before attention, which is out of reach, and merges them behind it, which is not."""
    with pytest.raises(SurgeryError, match="heads_strided cannot act on a model: it changes how heads are cut"):
        find_operation("heads_strided")


def test_an_operation_of_ones_own() -> None:
    own = Operation("negated", "Look away.", find_fault("scores_negated").operate or (lambda circuit: circuit))
    given = inputs("gpt2")
    found = []
    for operation in (own, "scores_negated"):
        with operate(make("gpt2"), operation) as receipt, torch.no_grad():
            found.append(make("gpt2")(**given).logits)
    assert receipt.operation == "scores_negated"
    assert torch.equal(*found)


def test_numbers_are_read() -> None:
    assert find_operation("temperature:0.5").summary == "The scores are divided by 0.5 before the softmax."
    for wrong in ("temperature", "temperature:0", "temperature:x", "temperature:inf", "look_back:-1", "look_back:1.5"):
        with pytest.raises(OptionError, match="needs a"):
            find_operation(wrong)
    assert find_operation("uniform").change(Circuit()).changed() == ["normalise=evenly"]
