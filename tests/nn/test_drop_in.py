from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon import nn
from attention_surgeon.ops import Mechanism, leave_unscaled
from tests.nn.probes import BATCH, EMBED, HEADS, N_K, N_Q, draw, ragged

OPTIONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "no bias": {"bias": False},
    "learned key": {"add_bias_kv": True},
    "zero key": {"add_zero_attn": True},
    "both keys": {"add_bias_kv": True, "add_zero_attn": True},
    "other widths": {"kdim": 13, "vdim": 17},
    "one other width": {"vdim": 17, "bias": False, "add_bias_kv": True},
    "batch first": {"batch_first": True},
    "dropout": {"dropout": 0.4},
}


def pair(**options: Any) -> tuple[nn.MultiheadAttention, torch.nn.MultiheadAttention]:
    """Return ours and PyTorch's, with equal parameters, none of which is 0."""
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(EMBED, HEADS, dtype=torch.float64, **options)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return nn.MultiheadAttention.from_torch(theirs), theirs


def inputs(module: Any, is_batched: bool = True, n_k: int = N_K) -> tuple[Tensor, Tensor, Tensor]:
    def sequence(length: int, width: int, seed: int) -> Tensor:
        if not is_batched:
            return draw(length, width, seed=seed)
        return draw(*((BATCH, length) if module.batch_first else (length, BATCH)), width, seed=seed)

    return sequence(N_Q, EMBED, 1), sequence(n_k, module.kdim, 2), sequence(n_k, module.vdim, 3)


def assert_same(ours: Any, theirs: Any, *args: Any, **options: Any) -> None:
    for mine, torchs in zip(ours(*args, **options), theirs(*args, **options), strict=True):
        assert (mine is None) == (torchs is None)
        if mine is not None:
            assert mine.shape == torchs.shape
            assert mine.dtype == torchs.dtype
            assert torch.allclose(mine, torchs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_seed_gives_the_same_parameters_under_the_same_names(name: str):
    torch.manual_seed(5)
    ours = nn.MultiheadAttention(EMBED, HEADS, **OPTIONS[name])
    torch.manual_seed(5)
    theirs = torch.nn.MultiheadAttention(EMBED, HEADS, **OPTIONS[name])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [key for key, _ in ours.named_parameters()] == [key for key, _ in theirs.named_parameters()]
    for key, parameter in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], parameter), key
    assert torch.equal(torch.rand(3), torch.manual_seed(5) and _rand_after(OPTIONS[name]))
    for attribute in ("embed_dim", "kdim", "vdim", "num_heads", "head_dim", "dropout", "batch_first", "add_zero_attn"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    for attribute in ("in_proj_weight", "q_proj_weight", "in_proj_bias", "bias_k", "bias_v", "_qkv_same_embed_dim"):
        assert (getattr(ours, attribute) is None) == (getattr(theirs, attribute) is None)


def _rand_after(options: dict[str, Any]) -> Tensor:
    torch.nn.MultiheadAttention(EMBED, HEADS, **options)
    return torch.rand(3)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("is_batched", [True, False])
@pytest.mark.parametrize(("need_weights", "average"), [(True, True), (True, False), (False, True)])
def test_equals_pytorch_in_training_with_the_same_draws(name: str, is_batched: bool, need_weights: bool, average: bool):
    ours, theirs = pair(**OPTIONS[name])
    args = inputs(ours, is_batched)
    mask = ~ragged(BATCH * HEADS if is_batched else HEADS, N_Q, N_K)
    padding = ~ragged(*((BATCH, N_K) if is_batched else (N_K,)), seed=4)
    results = []
    for module in (ours, theirs):
        assert module.training
        torch.manual_seed(9)
        results.append(module(*args, padding, need_weights=need_weights, attn_mask=mask, average_attn_weights=average))
    assert_same(lambda: results[0], lambda: results[1])


@pytest.mark.parametrize("has_padding", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("name", ["usual", "both keys", "batch first"])
def test_the_hint_means_what_it_means_in_pytorch(name: str, need_weights: bool, has_padding: bool):
    ours, theirs = pair(**OPTIONS[name])
    args = inputs(ours)
    hidden = torch.ones(N_Q, N_K, dtype=torch.bool).triu(1)
    padding = ~ragged(BATCH, N_K) if has_padding else None
    for mask in (hidden, torch.zeros(N_Q, N_K).double().masked_fill(hidden, float("-inf")), ~ragged(N_Q, N_K)):
        if mask.is_floating_point() and has_padding:
            continue  # PyTorch warns about two kinds of masks
        options = {"attn_mask": mask, "is_causal": True, "key_padding_mask": padding, "need_weights": need_weights}
        assert_same(ours, theirs, *args, **options)


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_false_hint_replaces_the_mask_only_where_pytorch_does_that(need_weights: bool):
    ours, _ = pair()
    args = inputs(ours, n_k=N_Q)
    causal = torch.ones(N_Q, N_Q, dtype=torch.bool).triu(1)
    other = ~ragged(N_Q, N_Q)
    hinted = ours(*args, attn_mask=other, is_causal=True, need_weights=need_weights)[0]
    assert torch.equal(hinted, ours(*args, attn_mask=other if need_weights else causal)[0])


def test_two_kinds_of_masks_go_together_without_a_warning():
    ours, _ = pair()
    args = inputs(ours)
    hidden, padding = ~ragged(N_Q, N_K), ~ragged(BATCH, N_K, seed=6)
    both = ours(*args, padding, attn_mask=hidden)[0]
    added = torch.zeros(N_Q, N_K).masked_fill(hidden, float("-inf"))
    assert torch.equal(ours(*args, padding, attn_mask=added)[0], both)
    added = torch.zeros(BATCH, N_K).masked_fill(padding, float("-inf"))
    assert torch.equal(ours(*args, added, attn_mask=hidden)[0], both)


def test_a_floating_mask_of_zeros_and_ones_is_added_as_in_pytorch():
    ours, theirs = pair()
    mask = ragged(N_Q, N_K).double()
    for need_weights in (True, False):
        assert_same(ours, theirs, *inputs(ours), attn_mask=mask, need_weights=need_weights)


@pytest.mark.parametrize("lowest", [torch.finfo(torch.float64).min, torch.finfo(torch.float32).min])
def test_rows_of_the_lowest_number_are_uniform_as_in_pytorch(lowest: float):
    ours, theirs = pair()
    mask = torch.zeros(N_Q, N_K).double()
    mask[3] = lowest
    mask[4, 2:] = lowest
    args = inputs(ours)
    for need_weights in (True, False):
        assert_same(ours, theirs, *args, attn_mask=mask, need_weights=need_weights)
    weights = ours(*args, attn_mask=mask)[1]
    assert torch.allclose(weights[:, 3], torch.tensor(1 / N_K).double())
    assert (weights[:, 4, 2:] == 0).all()


@pytest.mark.parametrize("additive", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
def test_a_query_without_keys_gets_the_output_bias_and_zero_gradients(additive: bool, need_weights: bool):
    ours, theirs = pair()
    query, key, value = (x.requires_grad_() for x in inputs(ours))
    hidden = ~ragged(N_Q, N_K)
    hidden[3] = True
    mask = torch.zeros(N_Q, N_K).double().masked_fill(hidden, float("-inf")) if additive else hidden
    output, weights = ours(query, key, value, attn_mask=mask, need_weights=need_weights)
    assert torch.equal(output[3], ours.out_proj.bias.expand(BATCH, -1))
    seen = [row for row in range(N_Q) if row != 3]
    torchs = theirs(query, key, value, attn_mask=mask, need_weights=need_weights)[0]
    assert torch.allclose(output[seen], torchs[seen], rtol=0, atol=1e-13)
    assert torchs[3].isnan().all() == need_weights  # PyTorch's two paths differ; ours do not
    if weights is not None:
        assert (weights[:, 3] == 0).all()
    loss = output[3].square().sum()
    gradients = torch.autograd.grad(loss, (query, key, value), retain_graph=True, materialize_grads=True)
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)
    assert all(g.isfinite().all() for g in torch.autograd.grad(output.sum(), list(ours.parameters())))


def test_padding_of_a_whole_sequence_leaves_the_others_alone():
    ours, theirs = pair(batch_first=True)
    args = inputs(ours)
    padding = torch.zeros(BATCH, N_K, dtype=torch.bool)
    padding[1] = True
    output, weights = ours(*args, padding)
    assert torch.equal(output[1], ours.out_proj.bias.expand(N_Q, -1))
    assert (weights[1] == 0).all()
    assert torch.allclose(output[0], theirs(*args, padding)[0][0], rtol=0, atol=1e-13)


def test_gradients_of_floating_masks_are_pytorchs():
    ours, theirs = pair(add_zero_attn=True)
    args = inputs(ours)
    gradients = []
    for module in (ours, theirs):
        mask, padding = draw(N_Q, N_K, seed=7).requires_grad_(), draw(BATCH, N_K, seed=8).requires_grad_()
        output, weights = module(*args, padding, attn_mask=mask)
        gradients.append(torch.autograd.grad(output.sum() + weights.square().sum(), (mask, padding)))
    for mine, torchs in zip(*gradients, strict=True):
        assert torch.allclose(mine, torchs, rtol=0, atol=1e-13)


def test_empty_inputs_have_pytorchs_shapes():
    ours, theirs = pair()
    full = inputs(ours)
    for query, keys in ((slice(0), slice(None)), (slice(None), slice(0))):
        args = (full[0][query], full[1][keys], full[2][keys])
        assert_same(ours, theirs, *args)
    nobody = tuple(x[:, :0] for x in full)
    assert_same(ours, theirs, *nobody, attn_mask=torch.zeros(0, N_Q, N_K, dtype=torch.bool))


def test_the_mechanism_can_be_replaced():
    ours, _ = pair()
    args = inputs(ours)
    ours.mechanism = Mechanism(scale=leave_unscaled)
    with torch.no_grad():
        unscaled = ours(*args)[0]
        ours.mechanism = Mechanism()
        for part in (ours.in_proj_weight, ours.in_proj_bias):
            part[:EMBED] *= (EMBED // HEADS) ** 0.5
        assert torch.allclose(ours(*args)[0], unscaled, rtol=0, atol=1e-13)
    ours.mechanism = Mechanism(scale=leave_unscaled)
    assert ours.extra_repr().endswith("vdim=33, scale=leave_unscaled")


def test_keys_that_are_projected_already_are_used_as_they_are():
    ours, _ = pair(add_zero_attn=True)
    query, key, value = inputs(ours)
    size, other_length = EMBED // HEADS, N_K + 4
    static = {
        name: draw(BATCH * HEADS, other_length, size, seed=seed) for name, seed in (("static_k", 5), ("static_v", 6))
    }
    masks = {"key_padding_mask": torch.zeros(BATCH, other_length).double(), "attn_mask": None}
    arguments = (
        *(query, key, value, EMBED, HEADS, ours.in_proj_weight, ours.in_proj_bias, None, None, True, 0.0),
        *(ours.out_proj.weight, ours.out_proj.bias),
    )
    for given in (static, {"static_k": static["static_k"][:, :N_K]}, {"static_v": static["static_v"][:, :N_K]}):
        options = {**given, **(masks if len(given) == 2 else {})}
        assert_same(
            lambda options=options: nn.multi_head_attention_forward(*arguments, **options),
            lambda options=options: F.multi_head_attention_forward(*arguments, **options),
        )


def test_the_function_takes_separate_projections_of_any_width():
    ours, _ = pair(kdim=13, vdim=17)
    args = (*inputs(ours), EMBED, HEADS, None, ours.in_proj_bias, None, None, False, 0.0)
    args = (*args, ours.out_proj.weight, ours.out_proj.bias)
    weights = {f"{name}_proj_weight": getattr(ours, f"{name}_proj_weight") for name in "qkv"}
    options = {"use_separate_proj_weight": True, **weights}
    assert_same(
        lambda: nn.multi_head_attention_forward(*args, **options),
        lambda: F.multi_head_attention_forward(*args, **options),
    )


@pytest.mark.parametrize("name", ["self", "memory"])
def test_one_tensor_in_several_places_gets_one_gradient_rounded_once(name: str):
    low = nn.MultiheadAttention(EMBED, HEADS)
    exact = torch.nn.MultiheadAttention(EMBED, HEADS, dtype=torch.float64)
    exact.load_state_dict(low.state_dict())
    upstream = draw(N_K, BATCH, EMBED, seed=2).float()
    gradients = []
    for module, kind in ((low, torch.float32), (exact, torch.float64)):
        x = draw(N_K, BATCH, EMBED).float().to(kind).requires_grad_()
        query = x if name == "self" else draw(N_K, BATCH, EMBED, seed=1).float().to(kind)
        module(query, x, x)[0].backward(upstream.to(kind))
        gradients.append(x.grad)
    assert torch.equal(gradients[0], gradients[1].float())
