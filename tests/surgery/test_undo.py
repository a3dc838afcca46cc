"""Everything is put back: on an exception, nested, in any order of leaving, from threads."""

import copy
import threading
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface

from attention_surgeon.errors import SurgeryError
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import Decoder, DecoderConfig
from attention_surgeon.surgery import capture, operate
from attention_surgeon.surgery.registry import NAME
from attention_surgeon.surgery.table import _PATIENTS
from tests.surgery.families import logits, make


def _state(model: Any) -> list[Any]:
    """Return what an operation could leave behind: configurations by identity and content, hooks, attributes."""
    found: list[Any] = [
        set(AttentionInterface._global_mapping),
        set(AttentionMaskInterface._global_mapping),
        set(_PATIENTS),
    ]
    for module in model.modules():
        config = getattr(module, "config", None)
        found += [id(config), len(module._forward_pre_hooks), sorted(vars(module))]
        if hasattr(config, "to_dict"):
            found += [config.to_dict(), config._attn_implementation]
    return found


@pytest.mark.parametrize("name", ["gpt2", "t5", "vit"])
def test_nothing_is_left_after_an_exception(name: str) -> None:
    model, before = make(name), logits(name)
    state = _state(model)

    def fail_within() -> None:
        with operate(model, "no_scale"), operate(model, "knock_out", layers=0):
            assert _state(model) != state
            logits(name)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_within()
    assert _state(model) == state
    assert NAME not in {*AttentionInterface._global_mapping, *AttentionMaskInterface._global_mapping}
    assert torch.equal(logits(name), before)


def test_nothing_is_left_where_operating_fails_halfway() -> None:
    model = make("gpt2")
    state = _state(model)
    last = model.transformer.h[1].attn
    own, other = last.config, copy.copy(last.config)
    other._attn_implementation_internal = "flash_attention_2"
    last.config = other
    try:
        with pytest.raises(SurgeryError, match="layer 1 attends by 'flash_attention_2', whose masks cannot be read"):
            with operate(model, "no_scale"):
                raise AssertionError("the block must not be entered")
    finally:
        last.config = own
    assert _state(model) == state


def test_the_configuration_of_the_model_is_never_touched() -> None:
    model = make("t5")
    own = model.config.to_json_string()
    with operate(model, "knock_out"):
        assert model.config.to_json_string() == own
        assert model.config._attn_implementation == "eager"
        logits("t5")


def test_operations_on_one_head_add_up_and_leave_in_any_order() -> None:
    before = logits("gpt2")
    with operate(make("gpt2"), "temperature:2"):
        warm = logits("gpt2")
    first, second = operate(make("gpt2"), "temperature:2"), operate(make("gpt2"), "no_scale", layers=0)
    first.__enter__()
    second.__enter__()
    both = logits("gpt2")
    first.__exit__(None, None, None)
    unscaled = logits("gpt2")
    second.__exit__(None, None, None)
    with operate(make("gpt2"), "no_scale", layers=0), operate(make("gpt2"), "temperature:2"):
        other_way = logits("gpt2")
    assert len({float(found.sum()) for found in (before, warm, both, unscaled)}) == 4
    assert torch.equal(both, other_way)
    assert torch.equal(logits("gpt2"), before)
    assert not _PATIENTS


def test_each_of_two_operations_measures_its_own_change() -> None:
    with operate(make("gpt2"), "knock_out", layers=0) as outer, operate(make("gpt2"), "knock_out", layers=0) as inner:
        logits("gpt2")
    assert outer.change == inner.change == 0.0  # either of them alone leaves what the other one did
    with operate(make("gpt2"), "knock_out", layers=0, heads=1), operate(make("gpt2"), "no_scale", layers=0) as inner:
        logits("gpt2")
    assert inner.changed


def test_two_models_in_two_threads() -> None:
    before = {name: logits(name) for name in ("gpt2", "bert")}
    start, problems = threading.Barrier(2), []

    def work(name: str, times: int) -> None:
        start.wait()
        for _ in range(times):
            with operate(make(name), "no_scale") as receipt:
                found = logits(name)
            if torch.equal(found, before[name]) or not torch.equal(logits(name), before[name]) or not receipt.changed:
                problems.append(name)

    threads = [threading.Thread(target=work, args=(name, 15)) for name in before]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert not _PATIENTS


def test_one_model_operated_on_by_two_threads_comes_back() -> None:
    before, start = logits("gpt2"), threading.Barrier(3)

    def work() -> None:
        start.wait()
        for _ in range(15):
            with operate(make("gpt2"), "no_scale"):
                logits("gpt2")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not _PATIENTS
    assert torch.equal(logits("gpt2"), before)


def test_a_layer_of_this_package_comes_back() -> None:
    model, tokens = Decoder(DecoderConfig(vocabulary_size=11)).eval(), torch.tensor([[3, 1, 4, 1, 5]])
    circuits = [layer.circuit for layer in model.attention_layers()]
    before = model(tokens, causal_mask(5))
    with operate(model, "uniform", layers=1, heads=[0, 3]) as receipt:
        after = model(tokens, causal_mask(5))
    (layer,) = receipt.layers
    assert (layer.calls, layer.runs, layer.hidden, layer.hidden_used) == (1, 1, 20, 0)
    assert layer.others_identical is True
    assert layer.agreement == 0.0
    assert not torch.equal(before, after)
    assert torch.equal(model(tokens, causal_mask(5)), before)
    assert all(one is other.circuit for one, other in zip(circuits, model.attention_layers(), strict=True))


def test_both_kinds_of_model_at_once() -> None:
    decoder, tokens = Decoder(DecoderConfig(vocabulary_size=11)).eval(), torch.tensor([[3, 1, 4]])
    with operate(decoder, "uniform") as outer:
        with operate(make("gpt2"), "uniform") as inner:
            logits("gpt2")
        decoder(tokens, causal_mask(3))
    assert outer.changed
    assert inner.changed
    assert not _PATIENTS


def test_capturing_changes_nothing() -> None:
    for name in ("gpt2", "bart"):
        before, state = logits(name), _state(make(name))
        capture(make(name), [3, 4, 5, 6])
        assert _state(make(name)) == state
        assert torch.equal(logits(name), before)


def test_gradients_flow_through_an_operated_model() -> None:
    model = copy.deepcopy(make("gpt2"))
    with operate(model, "no_scale", layers=0, heads=1):
        model(torch.arange(5)[None] + 3).logits.sum().backward()
    weight = model.transformer.h[0].attn.c_attn.weight
    assert weight.grad is not None
    assert float(weight.grad.abs().sum()) > 0
