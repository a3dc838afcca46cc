import pytest
import torch
from torch import Tensor

from attention_surgeon import nn
from attention_surgeon.ops import Mechanism, keep_top_k, leave_unscaled
from tests.nn.probes import (
    BATCH,
    CONTEXT,
    EMBED,
    GROUPED_EMBED,
    GROUPED_HEADS,
    HEADS,
    KV_HEADS,
    MAKERS,
    N_Q,
    arguments,
    attended,
    draw,
    make,
    ragged,
    scores_shape,
)

WIDTHS = {"CrossAttention": {"kdim": CONTEXT, "vdim": CONTEXT}}


def torchs(embed_dim: int = EMBED, num_heads: int = HEADS, **options: object) -> torch.nn.MultiheadAttention:
    """Return PyTorch's module in float64, its parameters drawn, the biases too."""
    torch.manual_seed(1)
    module = torch.nn.MultiheadAttention(embed_dim, num_heads, dtype=torch.float64, **options).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return module


def call(module: torch.nn.MultiheadAttention, given: tuple[Tensor, ...], mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Call PyTorch's module as one of our layers is called."""
    hidden = None if mask is None else ~mask.flatten(0, 1)  # (batch, heads, q, k) -> (batch * heads, q, k)
    inputs = [x if module.batch_first else x.transpose(0, 1) for x in (given[0], given[-1], given[-1])]
    output, weights = module(*inputs, attn_mask=hidden, average_attn_weights=False)
    return output if module.batch_first else output.transpose(0, 1), weights


def assert_same(layer: nn.AttentionLayer, module: torch.nn.MultiheadAttention) -> None:
    given = arguments(layer, BATCH)
    for mask in (None, ragged(*scores_shape(layer, BATCH))):
        for ours, theirs in zip(attended(layer, *given, mask=mask), call(module, given, mask), strict=True):
            assert torch.allclose(ours, theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("has_bias", [True, False])
def test_to_torch_computes_the_same(name: str, has_bias: bool):
    layer = make(name)
    if not has_bias and name != "SimpleAttention":
        for projection in (layer.query, layer.key, layer.value, layer.output):
            projection.bias = None
    module = layer.to_torch()
    assert (module.in_proj_bias is None) == (not has_bias and name != "SimpleAttention")
    assert_same(layer, module)


FROM_TORCH = {
    "SimpleAttention": (nn.SimpleAttention.from_torch, {"num_heads": 1}),
    "SelfAttention": (nn.SelfAttention.from_torch, {"num_heads": 1}),
    "MultiHeadAttention": (nn.MultiHeadAttention.from_torch, {"dropout": 0.3}),
    "CrossAttention": (nn.CrossAttention.from_torch, {"dropout": 0.3, "kdim": CONTEXT, "vdim": CONTEXT}),
    "CrossAttention of one width": (nn.CrossAttention.from_torch, {}),
}


@pytest.mark.parametrize("name", FROM_TORCH)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_from_torch_computes_the_same(name: str, bias: bool, batch_first: bool):
    convert, options = FROM_TORCH[name]
    module = torchs(**options, bias=bias, batch_first=batch_first)
    layer = convert(module)
    assert layer.dropout == module.dropout
    assert_same(layer, module)


@pytest.mark.parametrize("name", MAKERS)
def test_there_and_back_gives_the_same_layer(name: str):
    layer = make(name)
    kind = type(layer)
    again = (
        kind.from_torch(layer.to_torch(), KV_HEADS) if name.startswith("Grouped") else kind.from_torch(layer.to_torch())
    )
    assert again.extra_repr() == layer.extra_repr()
    for (one_name, one), (other_name, other) in zip(layer.named_parameters(), again.named_parameters(), strict=True):
        assert one_name == other_name
        assert torch.allclose(one, other, rtol=0, atol=1e-15)
        assert one.data_ptr() != other.data_ptr()


def test_shared_heads_are_repeated_next_to_each_other():
    layer = make("GroupedQueryAttention")
    weight = layer.to_torch().in_proj_weight[GROUPED_EMBED : 2 * GROUPED_EMBED].unflatten(0, (GROUPED_HEADS, -1))
    shared = layer.key.weight.unflatten(0, (KV_HEADS, -1))
    for head in range(GROUPED_HEADS):
        assert torch.equal(weight[head], shared[head * KV_HEADS // GROUPED_HEADS])


@pytest.mark.parametrize("changed", ["weight", "bias"])
@pytest.mark.parametrize("part", [1, 2])
def test_heads_that_differ_are_not_shared(changed: str, part: int):
    module = make("GroupedQueryAttention").to_torch()
    parameter = module.in_proj_weight if changed == "weight" else module.in_proj_bias
    with torch.no_grad():
        parameter.chunk(3)[part][-1] += 1e-9
    with pytest.raises(
        ValueError, match=f"in groups of 3, the module's {('query', 'key', 'value')[part]} heads are not equal"
    ):
        nn.GroupedQueryAttention.from_torch(module, KV_HEADS)


def test_dtype_device_and_mode_come_along():
    module = torch.nn.MultiheadAttention(EMBED, HEADS, dtype=torch.bfloat16).eval()
    layer = nn.MultiHeadAttention.from_torch(module)
    assert layer.query.weight.dtype == torch.bfloat16
    assert not layer.training
    assert layer.to_torch().in_proj_weight.dtype == torch.bfloat16
    assert not layer.to_torch().training
    assert nn.MultiHeadAttention.from_torch(module.train()).training
    meta = nn.MultiHeadAttention.from_torch(torch.nn.MultiheadAttention(EMBED, HEADS, device="meta"))
    assert meta.output.weight.device.type == "meta"


def test_an_output_bias_of_zero_lets_dropout_pass():
    module = torchs(num_heads=1, dropout=0.3)
    torch.nn.init.zeros_(module.out_proj.bias)
    layer = nn.SelfAttention.from_torch(module).train()
    module.train()
    x = draw(BATCH, N_Q, EMBED)
    torch.manual_seed(3)
    ours = layer(x)
    torch.manual_seed(3)
    theirs = module(*(x.transpose(0, 1),) * 3)[0].transpose(0, 1)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-13)


def test_a_missing_scale_in_any_layer_moves_into_the_query():
    layer = make("MultiHeadAttention")
    layer.mechanism = Mechanism(scale=leave_unscaled)
    assert_same(layer, layer.to_torch())


def test_the_drop_in_comes_and_goes_with_all_options():
    for options in (
        {"add_bias_kv": True, "add_zero_attn": True, "dropout": 0.3},
        {"kdim": 13, "vdim": 17, "bias": False},
    ):
        module = torchs(**options, batch_first=True)
        layer = nn.MultiheadAttention.from_torch(module)
        back = layer.to_torch()
        for other in (layer, back):
            assert not other.training
            assert other.dropout == module.dropout
            assert other.add_zero_attn == module.add_zero_attn
            assert other.batch_first
            for (one_name, one), (other_name, two) in zip(
                module.state_dict().items(), other.state_dict().items(), strict=True
            ):
                assert one_name == other_name
                assert torch.equal(one, two)
                assert one.data_ptr() != two.data_ptr()


@pytest.mark.parametrize("kind", ["layer", "drop-in"])
def test_a_replaced_step_has_no_counterpart(kind: str):
    layer = nn.MultiheadAttention(EMBED, HEADS) if kind == "drop-in" else nn.MultiHeadAttention(EMBED, HEADS)
    layer.mechanism = Mechanism(mask=keep_top_k(2))
    with pytest.raises(ValueError, match=r"no counterpart of mask=keep_top_k\(2\)"):
        layer.to_torch()
