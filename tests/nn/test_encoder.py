"""Inside PyTorch's transformer, where a fused kernel would like to take the module's place."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from attention_surgeon import nn
from tests.nn.probes import BATCH, N_K, N_Q, draw

WIDTH, HEADS, HIDDEN = 22, 2, 17  # an even number of heads, without which PyTorch's fast path is closed anyway
PROTOTYPE = "The PyTorch API of nested tensors is in prototype stage"


@contextmanager
def counted_calls(model: torch.nn.Module) -> Iterator[list[str]]:
    """Count the calls of `forward` of every drop-in, without a hook, which would close the fast path by itself."""
    calls: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            object.__setattr__(module, "forward", _counting(module.forward, name, calls))
    yield calls


def _counting(forward: Any, name: str, calls: list[str]) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return forward(*args, **kwargs)

    return counted


def with_drop_ins(model: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of `model` in which every attention is ours."""
    twin = copy.deepcopy(model)
    for module in twin.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.MultiheadAttention):
                setattr(module, name, nn.MultiheadAttention.from_torch(child))
    return twin


def encoder_layer(**options: Any) -> torch.nn.TransformerEncoderLayer:
    torch.manual_seed(0)
    options = {"batch_first": True, "dropout": 0.0, "dtype": torch.float64, **options}
    return torch.nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, **options)


CAUSAL = torch.nn.Transformer.generate_square_subsequent_mask(N_Q, dtype=torch.float64)
PADDING = torch.zeros(BATCH, N_Q, dtype=torch.bool)
PADDING[1, 3:] = True

CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"src_mask": CAUSAL},
    "causal with the hint": {"src_mask": CAUSAL, "is_causal": True},
    "padding": {"src_key_padding_mask": PADDING},
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("options", [{}, {"norm_first": True}, {"batch_first": False}, {"activation": "gelu"}], ids=str)
@pytest.mark.parametrize("mode", ["train", "eval", "eval without gradients"])
def test_an_encoder_layer_calls_it_and_computes_the_same(mode: str, options: dict[str, Any], call: str):
    theirs = encoder_layer(**options).train(mode == "train")
    ours = with_drop_ins(theirs)
    x = draw(BATCH, N_Q, WIDTH) if theirs.self_attn.batch_first else draw(N_Q, BATCH, WIDTH)
    with torch.set_grad_enabled(mode != "eval without gradients"), counted_calls(ours) as calls:
        assert torch.allclose(ours(x, **CALLS[call]), theirs(x, **CALLS[call]), rtol=0, atol=1e-12)
    assert calls == ["self_attn"]


def stack_call(model: torch.nn.Module, x: Tensor, **options: Any) -> tuple[Tensor, set[str]]:
    with torch.no_grad(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        output = model(x, **options)
    return output, {str(warning.message) for warning in caught}


@pytest.mark.parametrize(
    "options", [{}, {"mask": CAUSAL}, {"mask": CAUSAL, "is_causal": True}], ids=["all", "causal", "hint"]
)
@pytest.mark.parametrize("padding", [None, PADDING], ids=["full", "padded"])
@pytest.mark.parametrize("built", ["with drop-ins", "then exchanged"])
def test_a_stack_calls_each_layer_and_computes_the_same(built: str, padding: Tensor | None, options: dict[str, Any]):
    layer = encoder_layer()
    theirs = torch.nn.TransformerEncoder(layer, num_layers=3).eval()
    if built == "with drop-ins":
        ours = torch.nn.TransformerEncoder(with_drop_ins(layer), num_layers=3).eval()
        assert ours.use_nested_tensor
    else:
        ours = with_drop_ins(theirs)
    if padding is not None and "mask" in options:
        padding = torch.zeros(padding.shape).double().masked_fill(padding, float("-inf"))
    x = draw(BATCH, N_Q, WIDTH)
    expected, _ = stack_call(theirs, x, src_key_padding_mask=padding, **options)
    with counted_calls(ours) as calls:
        output, warned = stack_call(ours, x, src_key_padding_mask=padding, **options)
    assert calls == [f"layers.{index}.self_attn" for index in range(3)]
    assert all(text.startswith(PROTOTYPE) for text in warned)  # PyTorch's stack says that of itself
    seen = slice(None) if padding is None else padding == 0
    assert torch.allclose(output[seen], expected[seen], rtol=0, atol=1e-12)
    if padding is PADDING and not options:  # the stack cuts the padding off and gives it back as zeros, with ours too
        assert (output[PADDING] == 0).all()
        assert torch.allclose(output, expected, rtol=0, atol=1e-12)


def test_padding_on_the_left_of_a_causal_stack_gives_numbers_where_pytorchs_fast_path_gives_nan():
    theirs = torch.nn.TransformerEncoder(encoder_layer(), num_layers=2, enable_nested_tensor=False).eval()
    ours = with_drop_ins(theirs)
    x, padding = draw(BATCH, N_Q, WIDTH), torch.zeros(BATCH, N_Q).double().masked_fill(PADDING.flip(1), float("-inf"))
    options = {"mask": CAUSAL, "src_key_padding_mask": padding}
    assert torch.allclose(ours(x, **options), theirs(x, **options), rtol=0, atol=1e-12)
    with torch.no_grad():
        assert theirs(x, **options)[1].isnan().all()
        output = ours(x, **options)
    without_padding = ours(x[1:, 2:], mask=CAUSAL[2:, 2:])
    assert torch.allclose(output[1:, 2:], without_padding, rtol=0, atol=1e-12)


def test_pytorchs_own_would_not_have_been_called():
    layer = encoder_layer().eval()
    calls: list[str] = []
    object.__setattr__(layer.self_attn, "forward", _counting(layer.self_attn.forward, "self_attn", calls))
    with torch.no_grad():
        layer(draw(BATCH, N_Q, WIDTH))
    assert calls == []


def test_the_same_dropout_is_drawn_in_a_stack():
    theirs = torch.nn.TransformerEncoder(encoder_layer(dropout=0.3), num_layers=2)
    ours = with_drop_ins(theirs)
    outputs = []
    for model in (ours, theirs):
        torch.manual_seed(4)
        outputs.append(model(draw(BATCH, N_Q, WIDTH)))
    assert torch.allclose(*outputs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_decoder_layer_computes_the_same_in_both_its_attentions(mode: str):
    torch.manual_seed(0)
    theirs = torch.nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, dropout=0.0, batch_first=True, dtype=torch.float64)
    theirs.train(mode == "train")
    ours = with_drop_ins(theirs)
    x, memory = draw(BATCH, N_Q, WIDTH), draw(BATCH, N_K, WIDTH, seed=1)
    options = {
        "tgt_mask": CAUSAL,
        "tgt_is_causal": True,
        "memory_key_padding_mask": torch.arange(N_K).expand(BATCH, -1) > 4,
    }
    with counted_calls(ours) as calls:
        assert torch.allclose(ours(x, memory, **options), theirs(x, memory, **options), rtol=0, atol=1e-12)
    assert calls == ["self_attn", "multihead_attn"]


def test_a_whole_transformer_trains_step_by_step_like_pytorchs():
    torch.manual_seed(0)
    theirs = torch.nn.Transformer(WIDTH, HEADS, 1, 1, HIDDEN, dropout=0.0, batch_first=True, dtype=torch.float64)
    ours = with_drop_ins(theirs)
    x, y = draw(BATCH, N_K, WIDTH), draw(BATCH, N_Q, WIDTH, seed=1)
    for model in (ours, theirs):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (model(x, y, tgt_mask=CAUSAL) - y).square().mean().backward()
            optimizer.step()
    for mine, torchs in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, torchs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
@torch.no_grad()
def test_nested_sequences_are_attended_to_one_by_one(layout: torch.layout):
    module = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, dtype=torch.float64).eval()
    sequences = [draw(3, WIDTH), draw(N_Q, WIDTH, seed=1)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", PROTOTYPE)
        nested = torch.nested.as_nested_tensor(sequences, layout=layout)
        output, weights = module(nested, nested, nested)
    assert output.layout == layout
    assert weights.shape == (2, N_Q, N_Q)
    for sequence, made, shares in zip(sequences, output.unbind(), weights, strict=True):
        alone, alone_weights = module(sequence, sequence, sequence)
        assert torch.allclose(made, alone, rtol=0, atol=1e-14)
        assert torch.allclose(shares[: len(sequence), : len(sequence)], alone_weights, rtol=0, atol=1e-14)
