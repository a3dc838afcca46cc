"""Implementations by name, of the function and of the layers."""

import pytest
import torch
from torch import Tensor

from attention_surgeon import masks, nn
from attention_surgeon.errors import OptionError
from attention_surgeon.masks import Mask
from attention_surgeon.ops import Mechanism, attention, leave_unscaled, multiply_by
from attention_surgeon.testing import check_attention
from tests.kernels.probes import N_K, N_Q, draw, operands

BATCH, N, WIDTH, CONTEXT = 2, 13, 12, 7

LAYERS = {
    "simple": lambda: nn.SimpleAttention(WIDTH),
    "self": lambda: nn.SelfAttention(WIDTH),
    "heads": lambda: nn.MultiHeadAttention(WIDTH, 3, dropout=0.0),
    "cross": lambda: nn.CrossAttention(WIDTH, 3, dropout=0.0, context_dim=CONTEXT),
    "one shared": lambda: nn.MultiQueryAttention(WIDTH, 3, dropout=0.0),
    "grouped": lambda: nn.GroupedQueryAttention(WIDTH, 6, 2, dropout=0.0),
}

LAYER_MASKS = {
    "none": lambda n_k: None,
    "causal": lambda n_k: masks.causal_mask(N, n_k),
    "padding": lambda n_k: masks.padding_mask([n_k, 3], n_k=n_k),
    "boolean for each sequence": lambda n_k: draw(BATCH, N, n_k, seed=1) > 0,
}


def inputs(layer: nn.AttentionLayer) -> list[Tensor]:
    x = draw(BATCH, N, WIDTH, seed=3)
    return [x, draw(BATCH, 17, CONTEXT, seed=4)] if layer.context_dim == CONTEXT else [x]


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("mask", [None, masks.causal_mask(N_Q, N_K)])
def test_the_function(scale: bool, mask: Mask | None) -> None:
    given = operands()
    output, weights = attention(*given, mask, scale, implementation="tiled")
    assert weights is None
    torch.testing.assert_close(output, attention(*given, mask, scale)[0])


@pytest.mark.parametrize("mask", LAYER_MASKS)
@pytest.mark.parametrize("name", LAYERS)
def test_the_layers(name: str, mask: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    given = inputs(layer)
    hiding = LAYER_MASKS[mask](given[-1].shape[1])
    answers = []
    for implementation in ("readable", "tiled"):
        layer.zero_grad()
        output = layer(*given, hiding, implementation=implementation)
        output.square().sum().backward()
        answers.append([output.detach(), *(parameter.grad.clone() for parameter in layer.parameters())])
    torch.testing.assert_close(answers[1], answers[0])


def test_a_layer_drops_in_training_only() -> None:
    layer, x = nn.MultiHeadAttention(WIDTH, 3, dropout=0.5).double(), draw(BATCH, N, WIDTH, seed=3)
    first, second = (layer(x, implementation="tiled") for _ in range(2))
    assert not torch.equal(first, second)
    layer.eval()
    torch.testing.assert_close(layer(x, implementation="tiled"), layer(x))


def test_weights_are_refused(own_messages: None) -> None:
    with pytest.raises(OptionError, match="'tiled' never forms the weights; leave return_weights out"):
        nn.SelfAttention(WIDTH)(torch.ones(N, WIDTH), return_weights=True, implementation="tiled")


@pytest.mark.parametrize("step", [multiply_by(0.5), leave_unscaled])
def test_the_scale_of_the_circuit_is_obeyed_or_refused(step: object, own_messages: None) -> None:
    layer, x = nn.SelfAttention(WIDTH).double(), draw(N, WIDTH, seed=3)
    layer.mechanism = Mechanism(scale=step)
    if step is leave_unscaled:
        torch.testing.assert_close(layer(x, implementation="tiled"), layer(x))
        return
    with pytest.raises(OptionError, match=r"usual circuit only, and this layer has scale=multiply_by\(0.5\)"):
        layer(x, implementation="tiled")


def test_any_other_change_of_the_circuit_is_refused(own_messages: None) -> None:
    layer = nn.MultiHeadAttention(WIDTH, 3)
    layer.circuit = layer.circuit.replace(share=lambda x, num_heads: x, combine=lambda weights, operands: weights)
    with pytest.raises(OptionError, match="share=<lambda>, combine=<lambda>; use implementation='readable'"):
        layer(torch.ones(N, WIDTH), implementation="tiled")


def test_the_contract_of_attention_holds_by_name() -> None:
    def by_name(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None, scale: bool = True) -> Tensor:
        return attention(Q, K, V, mask, scale, implementation="tiled")[0]

    check_attention(by_name)
