"""The valid modules are right: their parameters are read by name, the rest is computed number by number."""

import contextlib
import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tests.implementations.implementation import VALID
from tests.implementations.reference import references

BATCH, N_Q, N_K, HEADS, KV_HEADS, HEAD_SIZE, CONTEXT = 7, 11, 13, 6, 2, 5, 17
WIDTH = HEADS * HEAD_SIZE
CONTRACTS = ("simple", "self", "multihead", "causal_multihead", "cross", "grouped", "multiquery")
REFUSED = (RuntimeError, ValueError, IndexError, TypeError, AssertionError)

# Class: the parts that hold query, key, value and the output; a lone first name is packed; a tuple packs two.
PARTS = {
    "SimpleAttention": "query key value",
    "KeyFirstWithoutBias": "W_q W_k W_v",
    "ScaledSelfAttention": "q_proj k_proj v_proj",
    "SimpleArrays": "W_q W_k W_v",
    "SelfAttention": "query key value",
    "Projected": "to_q to_k to_v to_out",
    "Packed": "qkv",
    "Parameters": "W_query W_key W_value",
    "WithDropout": "q k v",
    "Hiding": "wq wk wv wo",
    "SelfArrays": "W_q W_k W_v W_o",
    "MultiHeadAttention": "query key value out",
    "MultiHeadedAttention": "linears.0 linears.1 linears.2 linears.3",
    "BertSelfAttention": "query key value dense",
    "EinsumHeads": "wq wk wv wo",
    "HeadsFoldedIntoTheBatch": "q_linear k_linear v_linear fc",
    "ReshapeAndSwap": "W_q W_k W_v W_o",
    "LoopOverHeads": "q k v o",
    "ListOfHeads": "heads.*.query heads.*.key heads.*.value proj",
    "SumOverHeads": "query key value out",
    "MaskOfKeys": "lin_q lin_k lin_v lin_out",
    "PackedChunk": "qkv proj",
    "VisionAttention": "qkv proj",
    "PackedParameters": "in_proj_ out_proj",
    "Delegating": "mha.in_proj_ mha.out_proj",
    "FastFunction": "q_proj k_proj v_proj o_proj",
    "InnerModule": "project.query project.key project.value project.out",
    "HeadwiseParameters": "W_q W_k W_v W_o",
    "MultiHeadArrays": "W_q W_k W_v W_o",
    "MultiHeadArraysWithBiases": "Wq Wk Wv Wo",
    "NanoSelfAttention": "c_attn c_proj",
    "SlowNanoSelfAttention": "c_attn c_proj",
    "MinSelfAttention": "query key value proj",
    "FromTheBook": "W_query W_key W_value out_proj",
    "MaskOnTheFly": "qkv_proj o_proj",
    "ListOfCausalHeads": "heads.*.query heads.*.key heads.*.value proj",
    "CrossAttention": "q_proj k_proj v_proj out_proj",
    "PackedKeysAndValues": "to_q to_kv to_out",
    "EncoderDecoder": "query key value output",
    "PackedOfTorch": "in_proj out_proj",
    "CrossArrays": "W_q W_k W_v W_o",
    "LlamaAttention": "wq wk wv wo",
    "RepeatInterleave": "query key value out",
    "GroupsInTheEinsum": "q_proj k_proj v_proj o_proj",
    "TorchGroups": "q_proj kv_proj o_proj",
    "LoopOverQueryHeads": "W_q W_k W_v W_o",
    "MultiQuery": "query key value out",
    "MultiQueryEinsum": "wq wk wv wo",
    "QueriesAsOneLongSequence": "q_proj k_proj v_proj out_proj",
}
SIZES = {
    **dict.fromkeys("embed_dim d_model n_embd dim hidden_size hidden_dim d_in d_out".split(), WIDTH),
    **dict.fromkeys("num_heads n_heads heads h n_head num_attention_heads".split(), HEADS),
    **dict.fromkeys("num_kv_heads n_kv_heads".split(), KV_HEADS),
    **dict.fromkeys("context_length block_size".split(), CONTEXT),
    **dict.fromkeys("dropout attn_drop proj_drop attn_pdrop resid_pdrop".split(), 0.3),
}
modules = pytest.mark.parametrize(
    "implementation", [i for i in VALID if i.contract in CONTRACTS], ids=lambda implementation: implementation.name
)


def build(implementation):
    """The module in evaluation mode and float64, with parameters of the size of one."""
    config = SimpleNamespace(**SIZES, bias=True)
    known = {**SIZES, "config": config}
    names = inspect.signature(implementation.target).parameters
    torch.manual_seed(11)
    module = implementation.target(**{name: known[name] for name in names if name in known})
    if isinstance(module, nn.Module):
        module.double().eval()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3)
    return module


def matrix_and_bias(module, path: str) -> tuple[np.ndarray, np.ndarray]:
    """What is used as `x @ matrix + bias`; heads in a list stand side by side."""
    if "*" in path:
        parts = [matrix_and_bias(module, path.replace("*", str(h))) for h in range(HEADS)]
        return np.concatenate([w for w, _ in parts], 1), np.concatenate([b for _, b in parts])
    if isinstance(module, nn.Module):
        with contextlib.suppress(AttributeError):
            linear = module.get_submodule(path)
            bias = np.zeros(len(linear.weight)) if linear.bias is None else linear.bias.detach().numpy()
            return linear.weight.detach().numpy().T, bias
        named = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
        if path.endswith("_"):
            return named[path + "weight"].T, named[path + "bias"]
        return named[path], np.zeros(WIDTH)
    matrix = getattr(module, path)
    return matrix, getattr(module, path.replace("W", "b"), np.zeros(matrix.shape[1]))


def parts_of(module):
    """Query, key, value and, if there is one, the output, each as (matrix, bias)."""
    parts = [matrix_and_bias(module, path) for path in PARTS[type(module).__name__].split()]
    if len(parts) < 3:
        cut = zip(*(np.split(t, 3, axis=-1) for t in parts[0]), strict=True)
        return [*cut, *parts[1:]]
    if parts[0][0].shape[1] < parts[1][0].shape[1] or "kv" in PARTS[type(module).__name__]:
        cut = zip(*(np.split(t, 2, axis=-1) for t in parts[1]), strict=True)
        return [parts[0], *cut, parts[2]]
    return parts


def expected(implementation, module, x, context, keep):
    """Output and weights (with heads) of the module, from its parameters."""
    single = implementation.contract in ("simple", "self")
    heads = 1 if single else HEADS
    parts = parts_of(module)
    size = WIDTH // heads
    q, k, v = (
        np.stack([t[..., i : i + size] for i in range(0, t.shape[-1], size)], axis=1)
        for t in (s @ w + b for s, (w, b) in zip((x, context, context), parts[:3], strict=True))
    )
    k, v = (np.stack([t[:, h * t.shape[1] // heads] for h in range(heads)], axis=1) for t in (k, v))
    factor = 1.0 if implementation.contract == "simple" else size**-0.5
    output, weights = references(q, k, v, keep, factor)
    output = np.concatenate([output[:, h] for h in range(heads)], axis=-1)
    if len(parts) == 4:
        output = output @ parts[3][0] + parts[3][1]
    return output, weights[:, 0] if single else weights


def inputs(implementation):
    rng = np.random.default_rng(12)
    x = rng.normal(size=(BATCH, N_Q, WIDTH))
    return (x, rng.normal(size=(BATCH, N_K, WIDTH))) if implementation.contract == "cross" else (x,)


def call(module, arrays, mask=None):
    numpy = not isinstance(module, nn.Module)
    run = module if callable(module) else module.forward
    convert = np.array if numpy else torch.tensor
    options = {}
    if mask is not None:
        name = next(n for n in inspect.signature(getattr(module, "forward", run)).parameters if "mask" in n)
        options = {name: convert(mask)}
    with torch.no_grad():
        result = run(*map(convert, arrays), **options)
    result = result if isinstance(result, tuple) else (result,)
    return [np.asarray(r) for r in result]


def agrees(implementation, got, right) -> None:
    tolerance = 1e-6 if implementation.name.endswith(".Projected") else 1e-10  # its scale was born in float32
    for mine, theirs in zip(got, right, strict=False):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


@modules
def test_module_without_a_mask(implementation):
    module, arrays = build(implementation), inputs(implementation)
    keep = np.tri(N_Q, dtype=bool) if implementation.contract == "causal_multihead" else np.array(True)
    agrees(implementation, call(module, arrays), expected(implementation, module, arrays[0], arrays[-1], keep))


def masks(n_k: int):
    """The shapes that people give, each with the mask as (batch, 1, queries, keys)."""
    rng = np.random.default_rng(13)
    shapes = [(N_Q, n_k), (BATCH, N_Q, n_k), (BATCH, 1, N_Q, n_k), (BATCH, 1, n_k), (BATCH, 1, 1, n_k), (BATCH, n_k)]
    for shape in shapes:
        keep = rng.random(shape) < 0.5
        keep[..., 0] = True
        yield keep, keep if keep.ndim == 4 else (keep if keep.shape[0] == N_Q else keep.reshape(BATCH, 1, -1, n_k))


@modules
def test_module_with_a_mask(implementation):
    """Right with each shape of mask that it takes, and it takes one."""
    if implementation.contract in ("simple", "causal_multihead"):
        return
    module, arrays = build(implementation), inputs(implementation)
    polarity = implementation.options.get("mask", "keep")
    taken = 0
    for keep, full in masks(arrays[-1].shape[1]):
        given = {"keep": keep, "hide": ~keep, "additive": np.where(keep, 0.0, -np.inf)}[polarity]
        got = None
        with contextlib.suppress(*REFUSED):
            got = call(module, arrays, given)
        if got and got[0].shape == arrays[0].shape:
            agrees(implementation, got, expected(implementation, module, arrays[0], arrays[-1], full))
            taken += 1
    assert taken


@modules
def test_dropout_keeps_the_mean(implementation):
    """In training the outputs scatter around the one in evaluation; without dropout they are equal to it."""
    module = build(implementation)
    if not isinstance(module, nn.Module):
        return
    arrays = [a[:1, :5] for a in inputs(implementation)]
    right = call(module, arrays)[0]
    module.train()
    draws = call(module, [a.repeat(4000, axis=0) for a in arrays])[0]
    error = np.abs(draws.mean(0) - right[0])
    assert (error <= 6 * draws.std(0) / 4000**0.5 + 1e-10).all()
    again = call(module, [a.repeat(2, axis=0) for a in arrays])[0]
    module.eval()
    assert np.array_equal(call(module, arrays)[0], right)
    random = not np.allclose(again[0], again[1], atol=1e-10)
    assert random == any(name in str(inspect.signature(implementation.target)) for name in ("drop", "config"))
