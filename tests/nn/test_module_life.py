"""What every module must survive: copies, files, other dtypes, modes."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attention_surgeon import nn
from tests.nn.probes import BATCH, EMBED, HEADS, MAKERS, N_Q, arguments, draw, make


def drop_in() -> nn.MultiheadAttention:
    return nn.MultiheadAttention(EMBED, HEADS, dropout=0.1, batch_first=True, dtype=torch.float64).eval()


MODULES: dict[str, Callable[[], torch.nn.Module]] = {
    **{name: lambda name=name: make(name) for name in MAKERS},
    "MultiheadAttention": drop_in,
}


def call(module: torch.nn.Module, dtype: torch.dtype = torch.float64) -> Tensor:
    if isinstance(module, nn.MultiheadAttention):
        x = draw(BATCH, N_Q, EMBED).to(dtype)
        return module(x, x, x)[0]
    assert isinstance(module, nn.AttentionLayer)
    return module(*(x.to(dtype) for x in arguments(module, BATCH)))


def through_a_file(module: torch.nn.Module) -> torch.nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module)), through_a_file])
def test_copies_compute_the_same_and_are_independent(name: str, copied: Callable[[torch.nn.Module], torch.nn.Module]):
    module = MODULES[name]()
    before = call(module)
    other = copied(module)
    assert torch.equal(call(other), before)
    assert str(other) == str(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert torch.equal(call(module), before)


@pytest.mark.parametrize("name", MODULES)
def test_a_state_dict_goes_through_a_file_into_a_fresh_module(name: str):
    module = MODULES[name]()
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    fresh = drop_in() if name == "MultiheadAttention" else MAKERS[name]().double().eval()
    torch.nn.init.zeros_(next(fresh.parameters()))
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(call(fresh), call(module))


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_other_dtypes_go_in_and_come_out(name: str, dtype: torch.dtype):
    module = MODULES[name]()
    exact = call(module)
    module = module.to(dtype)
    output = call(module, dtype)
    assert output.dtype == dtype
    output.square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == dtype and p.grad.isfinite().all() for p in module.parameters())
    assert (output.double() - exact).abs().max() < 30 * torch.finfo(dtype).eps


@pytest.mark.parametrize("name", MODULES)
def test_train_and_eval_switch_dropout(name: str):
    module = MODULES[name]()
    assert torch.equal(call(module), call(module))
    if name not in ("SimpleAttention", "SelfAttention"):  # these drop nothing unless asked to
        module.dropout = 0.1
        module.train()
        assert not torch.equal(call(module), call(module))


def test_the_representation_says_sizes_and_what_was_replaced():
    assert repr(nn.SimpleAttention(EMBED)).splitlines() == [
        "SimpleAttention(",
        "  embed_dim=33, num_heads=1, num_kv_heads=1, dropout=0.0, scale=leave_unscaled",
        "  (query): Linear(in_features=33, out_features=33, bias=True)",
        "  (key): Linear(in_features=33, out_features=33, bias=True)",
        "  (value): Linear(in_features=33, out_features=33, bias=True)",
        "  (output): Identity()",
        ")",
    ]
    assert MAKERS["GroupedQueryAttention"]().extra_repr() == "embed_dim=66, num_heads=6, num_kv_heads=2, dropout=0.1"
    assert drop_in().extra_repr() == (
        "embed_dim=33, num_heads=3, dropout=0.1, batch_first=True, add_zero_attn=False, kdim=33, vdim=33"
    )


@pytest.mark.parametrize("name", MODULES)
def test_autocast_gives_its_dtype(name: str):
    module = MODULES[name]().float()
    with torch.autocast("cpu", torch.bfloat16):
        output = call(module, torch.float32)
    assert output.dtype == torch.bfloat16
    assert torch.allclose(output.double(), call(module, torch.float32).double(), rtol=0, atol=0.1)


@pytest.mark.parametrize("name", MAKERS)
def test_a_layer_stays_on_its_device(name: str):
    layer = make(name).to("meta")
    output, weights = layer(*(x.to("meta") for x in arguments(layer, BATCH)), return_weights=True)
    assert output.device.type == weights.device.type == "meta"
    assert layer.to_torch().in_proj_bias.device.type == "meta"


def test_the_drop_ins_stay_on_their_device():
    module = nn.MultiheadAttention(EMBED, HEADS, add_bias_kv=True, add_zero_attn=True, device="meta")
    x = torch.empty(N_Q, BATCH, EMBED, device="meta")
    mask = torch.empty(N_Q, N_Q, dtype=torch.bool, device="meta")
    padding = torch.empty(BATCH, N_Q, device="meta")
    for options in ({}, {"attn_mask": mask, "is_causal": True, "need_weights": False}, {"key_padding_mask": padding}):
        assert module(x, x, x, **options)[0].device.type == "meta"
    query = torch.empty(HEADS, N_Q, 4, device="meta")
    shared = torch.empty(1, N_Q, 4, device="meta")
    output = nn.scaled_dot_product_attention(query, shared, shared, is_causal=True, enable_gqa=True)
    assert output.device.type == "meta"
