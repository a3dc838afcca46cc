"""What PyTorch's own tests of `nn.MultiheadAttention` ask, written anew: wording, nested tensors, hints."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attention_surgeon.nn import MultiheadAttention

BOTH = {"stock": nn.MultiheadAttention, "ours": MultiheadAttention}
Make = Callable[..., Any]

X3, X2, BOOLEAN = torch.ones(4, 4, 4), torch.ones(4, 4), torch.zeros(4, dtype=torch.bool)
WORDINGS: dict[str, tuple[Sequence[Tensor], dict[str, Tensor], str]] = {
    "key of 2 axes": ((X3, X2, X3), {}, "`key` and `value` to be 3-D but found 2-D and 3-D tensors respectively"),
    "value of 2 axes": ((X3, X3, X2), {}, "`key` and `value` to be 3-D but found 3-D and 2-D tensors respectively"),
    "key of 3 axes": ((X2, X3, X2), {}, "`key` and `value` to be 2-D but found 3-D and 2-D tensors respectively"),
    "value of 3 axes": ((X2, X2, X3), {}, "`key` and `value` to be 2-D but found 2-D and 3-D tensors respectively"),
    "padding of 1 axis": (
        (X3, X3, X3),
        {"key_padding_mask": BOOLEAN},
        "expected `key_padding_mask` to be `None` or 2-D but found 1-D tensor instead",
    ),
    "padding of 2 axes": (
        (X2, X2, X2),
        {"key_padding_mask": BOOLEAN[None]},
        "expected `key_padding_mask` to be `None` or 1-D but found 2-D tensor instead",
    ),
    "mask of 1 axis": (
        (X3, X3, X3),
        {"attn_mask": BOOLEAN},
        "expected `attn_mask` to be `None`, 2-D or 3-D but found 1-D tensor instead",
    ),
    "mask of 1 axis, no batch": (
        (X2, X2, X2),
        {"attn_mask": BOOLEAN},
        "expected `attn_mask` to be `None`, 2-D or 3-D but found 1-D tensor instead",
    ),
    "mask of 5 heads": (
        (X2, X2, X2),
        {"attn_mask": torch.zeros(5, 4, 4, dtype=torch.bool)},
        r"Expected `attn_mask` shape to be \(4, 4, 4\)",
    ),
    "integer padding": (
        (X3, X3, X3),
        {"key_padding_mask": torch.zeros(4, 4, dtype=torch.uint8)},
        "key_padding_mask",
    ),
}


@pytest.mark.parametrize("side", BOTH)
@pytest.mark.parametrize("name", WORDINGS)
@pytest.mark.parametrize("is_inference", [False, True])
def test_wording(side: str, name: str, is_inference: bool) -> None:
    inputs, masks, wording = WORDINGS[name]
    with torch.set_grad_enabled(not is_inference), pytest.raises(AssertionError, match=wording):
        BOTH[side](4, 4).train(not is_inference)(*inputs, **masks)


def nested(lengths: Sequence[int], layout: torch.layout = torch.strided) -> Tensor:
    sequences = [torch.randn(n, 4, generator=torch.Generator().manual_seed(n)) for n in lengths]
    return torch.nested.nested_tensor(sequences, layout=layout)


def refused(layer: Any, *inputs: Tensor, **masks: Tensor) -> str:
    with pytest.raises(AssertionError) as raised:
        layer(*inputs, **masks)
    return str(raised.value)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("side", BOTH)
def test_nested_tensors_outside_of_what_is_supported(side: str) -> None:
    layer, outside = BOTH[side](4, 4, batch_first=True).eval(), "does not support NestedTensor outside of its fast path"
    x, other = nested([3, 2]), nested([3, 2])
    assert "at least one of query or the input/output projection weights" in refused(layer, x, x, x)
    with torch.no_grad():
        assert "non-self attention was used" in refused(layer, x, x, other)
        mask = torch.zeros(2, 3, dtype=torch.bool)
        if side == "ours":  # stock takes a mask here and does not say what it does with it
            assert "not supported with NestedTensor input" in refused(layer, x, x, x, key_padding_mask=mask)
    assert outside in refused(layer, x, x, x)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
@pytest.mark.parametrize("lengths", [[3, 2], [0, 3], [2, 0, 1], [0], [1]])
@torch.no_grad()
def test_nested_tensors_with_empty_sequences(lengths: list[int], layout: torch.layout) -> None:
    layer, given = MultiheadAttention(4, 4, batch_first=True).eval(), nested(lengths, layout)
    output = layer(given, given, given)[0]
    for made, sequence in zip(output.unbind(), given.unbind(), strict=True):
        assert made.shape == sequence.shape
        if len(sequence):
            torch.testing.assert_close(made, layer(*[sequence[None]] * 3)[0][0])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_a_nested_tensor_of_nothing() -> None:
    layer, nothing = MultiheadAttention(4, 4, batch_first=True), torch.nested.nested_tensor([])
    text = refused(layer, nothing, nothing, nothing)
    assert "2D or batched 3D tensor but received 1-D query tensor" in text
    assert "MultiheadAttention does not support NestedTensor outside" in text


@pytest.mark.parametrize("side", BOTH)
def test_a_padding_mask_of_another_shape_is_no_runtime_error(side: str) -> None:
    layer, x = BOTH[side](4, 2, batch_first=True), torch.ones(3, 5, 4)
    with pytest.raises(AssertionError) as raised:
        layer(x, x, x, key_padding_mask=torch.zeros(4, 6, dtype=torch.bool))
    assert not isinstance(raised.value, RuntimeError)


@pytest.mark.parametrize("side", BOTH)
def test_a_hint_takes_the_place_of_a_mask_of_any_size(side: str) -> None:
    layer, x = BOTH[side](4, 2, batch_first=True), torch.randn(1, 1, 4)
    hinted = layer(x, x, x, attn_mask=torch.zeros(2, 2), is_causal=True, need_weights=False)[0]
    torch.testing.assert_close(hinted, layer(x, x, x)[0])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("shape", [(3, 4), (2, 5), (5,)])
def test_a_wrong_padding_mask_in_an_encoder(mode: bool, shape: tuple[int, ...]) -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    layer.self_attn = MultiheadAttention.from_torch(layer.self_attn)
    encoder = nn.TransformerEncoder(layer, 2).train(mode)
    with torch.set_grad_enabled(mode), pytest.raises((AssertionError, RuntimeError)):
        encoder(torch.randn(3, 5, 4), src_key_padding_mask=torch.zeros(shape, dtype=torch.bool))


@pytest.mark.parametrize("side", BOTH)
@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("smaller", [torch.float16, torch.bfloat16, torch.float32])
def test_biases_with_fewer_digits_are_added(side: str, mode: bool, smaller: torch.dtype) -> None:
    layer, x = BOTH[side](4, 2, batch_first=True).double().train(mode), torch.randn(3, 5, 4, dtype=torch.float64)
    expected = MultiheadAttention(4, 2, batch_first=True).double()
    for name in ("in_proj_bias", "out_proj.bias"):
        rounded = torch.randn(layer.get_parameter(name).shape).to(smaller)
        if name == "in_proj_bias" or side == "ours":  # behind the heads stock adds none of another dtype
            layer.get_parameter(name).data = rounded
        else:
            layer.get_parameter(name).data = rounded.double()
    expected.load_state_dict({name: weight.double() for name, weight in layer.state_dict().items()})
    with torch.set_grad_enabled(mode):
        torch.testing.assert_close(layer(x, x, x)[0], expected(x, x, x)[0])


def test_a_bias_with_more_digits_is_refused() -> None:
    layer, x = MultiheadAttention(4, 2), torch.ones(3, 5, 4)
    layer.in_proj_bias.data = layer.in_proj_bias.data.double()
    with pytest.raises(RuntimeError, match=r"query is torch.float32 and in_proj_bias is torch.float64"):
        layer(x, x, x)
