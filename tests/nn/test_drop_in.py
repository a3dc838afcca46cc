from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon import nn
from attention_surgeon.errors import SurgeonError
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


Wrong = Callable[[Any, Any, Tensor, Tensor], object]
"""A wrong call, given a module class, the function, a query `(n_q, batch, width)` and a key."""

HIDDEN = torch.zeros(N_Q, N_K, dtype=torch.bool)

WRONG_CALLS: dict[str, Wrong] = {
    "no width": lambda kind, *_: kind(0, 2),
    "negative heads": lambda kind, *_: kind(4, -2),
    "heads that do not divide": lambda kind, *_: kind(5, 2),
    "a width with a fraction": lambda kind, *_: kind(4.0, 2),
    "four axes": lambda kind, q, k: kind(EMBED, HEADS)(q[None], k[None], k[None]),
    "one axis": lambda kind, q, k: kind(EMBED, HEADS)(q[0, 0], k[0, 0], k[0, 0]),
    "a batch of queries only": lambda kind, q, k: kind(EMBED, HEADS)(q, k[:, 0], k[:, 0]),
    "a batch of keys only": lambda kind, q, k: kind(EMBED, HEADS)(q[:, 0], k, k),
    "narrow query": lambda kind, q, k: kind(EMBED, HEADS)(q[..., 1:], k, k),
    "narrow key": lambda kind, q, k: kind(EMBED, HEADS)(q, k[..., 1:], k[..., 1:]),
    "narrow key of its own width": lambda kind, q, k: kind(EMBED, HEADS, kdim=13)(q, k, k),
    "fewer values": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k[1:]),
    "fewer values of their own width": lambda kind, q, k: kind(EMBED, HEADS, kdim=13)(q, k[..., :13], k[1:]),
    "another batch": lambda kind, q, k: kind(EMBED, HEADS)(q, k[:, :1], k[:, :1]),
    "another dtype": lambda kind, q, k: kind(EMBED, HEADS)(q.double(), k.double(), k.double()),
    "keys of another dtype": lambda kind, q, k: kind(EMBED, HEADS)(q, k.double(), k.double()),
    "integers": lambda kind, q, k: kind(EMBED, HEADS)(q.long(), k.long(), k.long()),
    "another device": lambda kind, q, k: kind(EMBED, HEADS)(q.to("meta"), k, k),
    "integer padding": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(BATCH, N_K).long()),
    "padding of another length": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(BATCH, N_Q).bool()),
    "padding of another batch": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(1, N_K).bool()),
    "padding without batch": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(N_K).bool()),
    "padding of a single sequence with batch": lambda kind, q, k: kind(EMBED, HEADS)(
        q[:, 0], k[:, 0], k[:, 0], torch.zeros(1, N_K).bool()
    ),
    "integer mask": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN.long()),
    "transposed mask": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN.T),
    "mask without heads": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN.expand(BATCH, -1, -1)),
    "mask with an axis for heads": lambda kind, q, k: kind(EMBED, HEADS)(
        q, k, k, attn_mask=HIDDEN.expand(BATCH, HEADS, -1, -1)
    ),
    "mask of one row": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN[0]),
    "mask of another dtype": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN.double()),
    "padding of another dtype": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(BATCH, N_K).double()),
    "a hint without a mask": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, is_causal=True),
    "dropout above 1": lambda kind, q, k: kind(EMBED, HEADS, dropout=2.0)(q, k, k),
}


@pytest.mark.usefixtures("own_messages")
@pytest.mark.parametrize("name", WRONG_CALLS)
def test_what_pytorch_refuses_is_refused_and_caught_by_the_same_except(name: str):
    arguments = (draw(N_Q, BATCH, EMBED).float(), draw(N_K, BATCH, EMBED).float())
    with pytest.raises(Exception) as theirs:  # noqa: PT011  whatever it is
        WRONG_CALLS[name](torch.nn.MultiheadAttention, *arguments)
    with pytest.raises(SurgeonError) as ours:
        WRONG_CALLS[name](nn.MultiheadAttention, *arguments)
    assert isinstance(ours.value, theirs.type)


def function_arguments(**changed: Any) -> dict[str, Any]:
    module = torch.nn.MultiheadAttention(EMBED, HEADS)
    x = draw(N_Q, BATCH, EMBED).float()
    usual = {
        **dict.fromkeys(("query", "key", "value"), x),
        "embed_dim_to_check": EMBED,
        "num_heads": HEADS,
        "in_proj_weight": module.in_proj_weight,
        "in_proj_bias": module.in_proj_bias,
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
        "out_proj_weight": module.out_proj.weight,
        "out_proj_bias": module.out_proj.bias,
    }
    return {**usual, **changed}


STATIC = torch.zeros(BATCH * HEADS, N_Q, EMBED // HEADS)

WRONG_FUNCTION_CALLS: dict[str, dict[str, Any]] = {
    "another width to check": {"embed_dim_to_check": EMBED + 1},
    "heads that do not divide": {"num_heads": 2},
    "no packed weight": {"in_proj_weight": None},
    "packed weight of another width": {"in_proj_weight": torch.zeros(3 * EMBED, EMBED + 1)},
    "packed bias of another length": {"in_proj_bias": torch.zeros(3 * EMBED + 3)},
    "no separate weights": {"use_separate_proj_weight": True},
    "separate key weight of another width": {
        "use_separate_proj_weight": True,
        "q_proj_weight": torch.zeros(EMBED, EMBED),
        "k_proj_weight": torch.zeros(EMBED, 13),
        "v_proj_weight": torch.zeros(EMBED, EMBED),
    },
    "a learned key without its value": {"bias_k": torch.zeros(1, 1, EMBED)},
    "a value without its learned key": {"bias_v": torch.zeros(1, 1, EMBED)},
    "output weight of another width": {"out_proj_weight": torch.zeros(EMBED, EMBED + 1)},
    "a learned key for static keys": {
        "static_k": STATIC,
        "static_v": STATIC,
        "bias_k": torch.zeros(1, 1, EMBED),
        "bias_v": torch.zeros(1, 1, EMBED),
    },
    "static keys of another batch": {"static_k": STATIC[1:]},
    "static values of another width": {"static_v": STATIC[..., 1:]},
}


@pytest.mark.usefixtures("own_messages")
@pytest.mark.parametrize("name", WRONG_FUNCTION_CALLS)
def test_what_pytorchs_function_refuses_is_refused_and_caught_by_the_same_except(name: str):
    arguments = function_arguments(**WRONG_FUNCTION_CALLS[name])
    with pytest.raises(Exception) as theirs:  # noqa: PT011  whatever it is
        F.multi_head_attention_forward(**arguments)
    with pytest.raises(SurgeonError) as ours:
        nn.multi_head_attention_forward(**arguments)
    assert isinstance(ours.value, theirs.type)
