import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon import nn
from attention_surgeon.masks import causal_mask, padding_mask
from attention_surgeon.ops import Mechanism, leave_unscaled, softmax_over_keys
from tests.nn.probes import (
    BATCH,
    CONTEXT,
    EMBED,
    GROUPED_EMBED,
    GROUPED_HEADS,
    HEAD_DIM,
    HEADS,
    KV_HEADS,
    MAKERS,
    N_K,
    N_Q,
    arguments,
    attended,
    draw,
    make,
    ragged,
    scores_shape,
)

SELF_ATTENTION = [name for name in MAKERS if name != "CrossAttention"]


def written_out(layer: nn.AttentionLayer, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute a layer head by head with loops and PyTorch's softmax, from its parameters alone."""
    projected = {
        name: F.linear(x if name == "query" else context, *linear(layer, name)) for name in ("query", "key", "value")
    }
    size = layer.embed_dim // layer.num_heads
    unscaled = isinstance(layer, nn.SimpleAttention)
    merged = []
    for head in range(layer.num_heads):
        shared = head * layer.num_kv_heads // layer.num_heads
        query = projected["query"][..., head * size : (head + 1) * size]
        key, value = (projected[name][..., shared * size : (shared + 1) * size] for name in ("key", "value"))
        scores = query @ key.mT / (1.0 if unscaled else math.sqrt(size))
        if mask is not None:
            scores = scores.masked_fill(~mask[..., head, :, :], -math.inf)
        merged.append(torch.softmax(scores, -1) @ value)
    output = torch.cat(merged, -1)
    return output if isinstance(layer.output, torch.nn.Identity) else F.linear(output, *linear(layer, "output"))


def linear(layer: nn.AttentionLayer, name: str) -> tuple[Tensor, Tensor]:
    projection = getattr(layer, name)
    return projection.weight, projection.bias


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_formula_written_out_head_by_head(name: str, masked: bool):
    layer = make(name)
    given = arguments(layer, BATCH)
    mask = ragged(*scores_shape(layer, BATCH)) if masked else None
    assert torch.allclose(layer(*given, mask=mask), written_out(layer, given[0], given[-1], mask), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("batch", [(), (BATCH,), (2, 3)])
def test_output_is_shaped_like_the_input_and_weights_have_every_head(name: str, batch: tuple[int, ...]):
    layer = make(name)
    given = arguments(layer, *batch)
    output, weights = attended(layer, *given)
    assert output.shape == given[0].shape
    assert weights.shape == scores_shape(layer, *batch)
    assert torch.allclose(weights.sum(-1), torch.ones(()).double())
    assert torch.equal(output, layer(*given))
    one_by_one = layer(*(x.reshape(-1, *x.shape[-2:])[-1] for x in given))
    assert torch.allclose(output.reshape(-1, *output.shape[-2:])[-1], one_by_one, rtol=0, atol=1e-14)


@pytest.mark.parametrize("layer", [nn.SimpleAttention(EMBED), nn.SelfAttention(EMBED)], ids=["simple", "self"])
def test_a_layer_of_one_head_returns_weights_without_a_head_axis(layer: nn.AttentionLayer):
    x = torch.randn(BATCH, N_Q, EMBED)
    assert layer(x, return_weights=True)[1].shape == (BATCH, N_Q, N_Q)
    assert layer(x[0], return_weights=True)[1].shape == (N_Q, N_Q)


def test_simple_attention_by_hand():
    layer = nn.SimpleAttention(2)
    with torch.no_grad():
        for projection, rows in (
            (layer.query, [[1.0, 0.0], [0.0, 0.0]]),
            (layer.key, [[2.0, 0.0], [0.0, 0.0]]),
            (layer.value, [[0.0, 1.0], [1.0, 0.0]]),
        ):
            projection.weight.copy_(torch.tensor(rows))
            projection.bias.zero_()
    x = torch.tensor([[1.0, 10.0], [0.0, 20.0]])
    output, weights = layer(x, return_weights=True)
    share = 1 / (1 + math.exp(-2))  # query 0 scores 1·2 = 2 and 0, unscaled; query 1 scores 0 and 0
    assert weights.flatten().tolist() == pytest.approx([share, 1 - share, 0.5, 0.5])
    assert output.flatten().tolist() == pytest.approx([10 * share + 20 * (1 - share), share, 15, 0.5])


def test_self_attention_is_simple_attention_with_the_scale():
    simple, scaled = nn.SimpleAttention(EMBED).double(), nn.SelfAttention(EMBED).double()
    scaled.load_state_dict(simple.state_dict())
    x = draw(BATCH, N_Q, EMBED)
    assert not torch.allclose(simple(x), scaled(x))
    with torch.no_grad():
        simple.query.weight /= math.sqrt(EMBED)
        simple.query.bias /= math.sqrt(EMBED)
    assert torch.allclose(simple(x), scaled(x), rtol=0, atol=1e-14)


def test_parameters_are_those_that_the_name_promises():
    assert [name for name, _ in nn.SimpleAttention(EMBED).named_parameters()] == [
        f"{projection}.{part}" for projection in ("query", "key", "value") for part in ("weight", "bias")
    ]
    shapes = {
        name: tuple(p.shape) for name, p in MAKERS["GroupedQueryAttention"]().named_parameters() if "weight" in name
    }
    assert shapes == {
        "query.weight": (GROUPED_EMBED, GROUPED_EMBED),
        "key.weight": (KV_HEADS * HEAD_DIM, GROUPED_EMBED),
        "value.weight": (KV_HEADS * HEAD_DIM, GROUPED_EMBED),
        "output.weight": (GROUPED_EMBED, GROUPED_EMBED),
    }
    assert nn.MultiQueryAttention(EMBED, HEADS).value.weight.shape == (HEAD_DIM, EMBED)
    assert nn.CrossAttention(EMBED, HEADS, context_dim=CONTEXT).key.weight.shape == (EMBED, CONTEXT)
    assert nn.CrossAttention(EMBED, HEADS).key.weight.shape == (EMBED, EMBED)
    for layer in (
        nn.SelfAttention(EMBED, bias=False),
        nn.MultiHeadAttention(EMBED, HEADS, bias=False),
        nn.CrossAttention(EMBED, HEADS, bias=False),
        nn.MultiQueryAttention(EMBED, HEADS, bias=False),
        nn.GroupedQueryAttention(EMBED, HEADS, 1, bias=False),
    ):
        assert not any("bias" in name for name, _ in layer.named_parameters())


@pytest.mark.parametrize("name", MAKERS)
def test_permuting_the_context_changes_nothing_and_permuting_queries_permutes_the_output(name: str):
    layer = make(name)
    *x, context = arguments(layer, BATCH)
    order = torch.randperm(context.shape[-2], generator=torch.Generator().manual_seed(0))
    if x:
        assert torch.allclose(layer(*x, context[:, order]), layer(*x, context), rtol=0, atol=1e-14)
        order = torch.randperm(N_Q, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(layer(x[0][:, order], context), layer(*x, context)[:, order], rtol=0, atol=1e-14)
    else:
        assert torch.allclose(layer(context[:, order]), layer(context)[:, order], rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", SELF_ATTENTION)
def test_the_future_does_not_move_the_past_and_the_past_moves_the_future(name: str):
    layer = make(name)
    (x,) = arguments(layer, BATCH)
    moved = x.clone()
    moved[:, 3] += 1.0
    before, after = layer(x, causal_mask(N_Q)), layer(moved, causal_mask(N_Q))
    changed = (before != after).any(-1).any(0)
    assert changed.tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("name", MAKERS)
def test_a_mask_finds_its_axes(name: str):
    layer = make(name)
    given = arguments(layer, BATCH)
    shape = scores_shape(layer, BATCH)
    n_q, n_k = shape[-2:]
    for mask, full in (
        (ragged(n_q, n_k), lambda mask: mask),
        (ragged(BATCH, n_q, n_k), lambda mask: mask[:, None]),
        (ragged(BATCH, 1, n_k), lambda mask: mask[:, None]),
        (ragged(1, n_q, n_k), lambda mask: mask[:, None]),
        (ragged(BATCH, 1, n_q, n_k), lambda mask: mask),
        (ragged(1, layer.num_heads, n_q, n_k), lambda mask: mask),
    ):
        weights = attended(layer, *given, mask=mask)[1]
        assert torch.equal(weights > 0, full(mask).expand(shape))
    lengths = [n_k, 2]
    weights = attended(layer, *given, mask=padding_mask(lengths, n_k))[1]
    for row, length in zip(weights, lengths, strict=True):
        assert (row[..., :length] > 0).all()
        assert (row[..., length:] == 0).all()


@pytest.mark.parametrize("name", MAKERS)
def test_without_a_batch_three_axes_are_heads_and_with_two_batches_none_is(name: str):
    layer = make(name)
    shape = scores_shape(layer)
    mask = ragged(*shape)
    assert torch.equal(attended(layer, *arguments(layer), mask=mask)[1] > 0, mask)
    per_sequence = ragged(3, *shape[-2:])
    weights = attended(layer, *arguments(layer, 2, 3), mask=per_sequence)[1]
    assert torch.equal(weights > 0, per_sequence[:, None].expand(weights.shape))


def test_a_floating_mask_is_added_and_gets_a_gradient():
    layer = make("MultiHeadAttention")
    x = draw(BATCH, N_Q, EMBED)
    bias = draw(BATCH, N_Q, N_Q, seed=5).requires_grad_()
    weights = layer(x, bias, return_weights=True)[1]
    plain = layer(x, return_weights=True)[1]
    expected = torch.softmax(plain.log() + bias[:, None], -1)
    assert torch.allclose(weights, expected, rtol=0, atol=1e-14)
    layer(x, bias).sum().backward()
    assert bias.grad is not None
    assert bias.grad.abs().min() > 0


@pytest.mark.parametrize("name", MAKERS)
def test_a_query_without_keys_gets_the_output_bias_and_no_gradient(name: str):
    layer = make(name)
    x, *context = (tensor.requires_grad_() for tensor in arguments(layer, BATCH))
    shape = scores_shape(layer)
    mask = torch.ones(shape[-2:], dtype=torch.bool)
    mask[3] = False
    output, weights = layer(x, *context, mask=mask, return_weights=True)
    expected = layer.output.bias if isinstance(layer.output, torch.nn.Linear) else torch.zeros(layer.embed_dim).double()
    assert torch.equal(output[:, 3], expected.expand(BATCH, -1))
    assert (weights[..., 3, :] == 0).all()
    (gradient,) = torch.autograd.grad(output[:, 3].square().sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "SimpleAttention"])
def test_dropout_acts_on_the_weights_in_training_only(name: str):
    layer = make(name)
    layer.dropout = 0.4
    given = arguments(layer, BATCH)
    before = attended(layer, *given)[1]
    layer.train()
    torch.manual_seed(7)
    output, weights = attended(layer, *given)
    torch.manual_seed(7)
    assert torch.allclose(weights, F.dropout(before, 0.4), rtol=0, atol=1e-15)
    assert 0 < (weights == 0).double().mean() < 0.8
    _, _, V = layer.project(*given)
    merged = (weights @ V).transpose(-3, -2).flatten(-2)
    assert torch.allclose(output, layer.output(merged), rtol=0, atol=1e-14)
    layer.eval()
    assert torch.equal(attended(layer, *given)[1], before)


def test_dropout_composes_with_a_replaced_step():
    def halved(masked: Tensor, operands: object) -> Tensor:
        return softmax_over_keys(masked, operands) / 2  # pyright: ignore[reportArgumentType]

    layer = make("MultiHeadAttention").train()
    layer.mechanism = Mechanism(normalise=halved)
    layer.dropout = 0.0
    x = draw(BATCH, N_Q, EMBED)
    undropped = layer(x, return_weights=True)[1]
    assert torch.allclose(undropped.sum(-1), torch.tensor(0.5).double())
    layer.dropout = 0.5
    weights = layer(x, return_weights=True)[1]
    kept = weights != 0
    assert 0 < kept.double().mean() < 1
    assert torch.allclose(weights[kept], 2 * undropped[kept], rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", MAKERS)
def test_the_mechanism_can_be_replaced_and_knows_the_width_of_the_model(name: str):
    layer = make(name)
    given = arguments(layer, BATCH)
    seen = {}

    def by_model_width(scores: Tensor, operands: object) -> Tensor:
        seen["model_size"] = operands.model_size  # pyright: ignore[reportAttributeAccessIssue]
        return scores / 1e9

    before = layer(*given)
    usual = layer.mechanism
    layer.mechanism = usual.replace(scale=by_model_width)
    weights = layer(*given, return_weights=True)[1]
    assert torch.allclose(weights, torch.full_like(weights, 1 / weights.shape[-1]), rtol=0, atol=1e-8)
    assert seen == {"model_size": layer.embed_dim}
    layer.mechanism = usual
    assert torch.equal(layer(*given), before)


@pytest.mark.parametrize("name", MAKERS)
def test_project_gives_the_mechanism_its_operands(name: str):
    layer = make(name)
    given = arguments(layer, BATCH)
    Q, K, V = layer.project(*given)
    assert Q.shape == (BATCH, layer.num_heads, N_Q, layer.head_dim)
    assert K.shape == V.shape == (BATCH, layer.num_heads, given[-1].shape[-2], layer.head_dim)
    output, weights = layer.mechanism(Q, K, V)
    merged = output.transpose(-3, -2).flatten(-2)
    assert torch.equal(layer.output(merged), layer(*given))
    assert torch.equal(weights, attended(layer, *given)[1])


def test_project_of_a_self_attention_layer_takes_another_context_too():
    layer = make("MultiHeadAttention")
    x, context = draw(BATCH, N_Q, EMBED), draw(BATCH, N_K, EMBED, seed=1)
    Q, K, V = layer.project(x, context)
    assert torch.equal(Q, layer.project(x)[0])
    assert torch.equal(K, layer.project(context)[1])
    assert torch.equal(V, layer.project(context)[2])


def test_grouped_queries_at_both_ends_are_the_other_two_layers():
    x = draw(BATCH, N_Q, EMBED)
    for other, kv_heads in (("MultiHeadAttention", HEADS), ("MultiQueryAttention", 1)):
        layer = make(other)
        grouped = nn.GroupedQueryAttention(EMBED, HEADS, kv_heads).double().eval()
        grouped.load_state_dict(layer.state_dict())
        assert torch.equal(grouped(x), layer(x))


def test_grouped_queries_share_neighbours():
    layer = make("GroupedQueryAttention")
    K = layer.project(draw(BATCH, N_Q, GROUPED_EMBED))[1]
    same = [
        [bool(torch.equal(K[:, one], K[:, other])) for other in range(GROUPED_HEADS)] for one in range(GROUPED_HEADS)
    ]
    group = GROUPED_HEADS // KV_HEADS
    assert same == [[one // group == other // group for other in range(GROUPED_HEADS)] for one in range(GROUPED_HEADS)]


@pytest.mark.parametrize("name", MAKERS)
def test_gradients_reach_every_parameter_and_are_right(name: str):
    torch.manual_seed(0)
    small = {
        "SimpleAttention": lambda: nn.SimpleAttention(3),
        "SelfAttention": lambda: nn.SelfAttention(3),
        "MultiHeadAttention": lambda: nn.MultiHeadAttention(4, 2, dropout=0.0),
        "CrossAttention": lambda: nn.CrossAttention(4, 2, dropout=0.0, context_dim=3),
        "MultiQueryAttention": lambda: nn.MultiQueryAttention(4, 2, dropout=0.0),
        "GroupedQueryAttention": lambda: nn.GroupedQueryAttention(4, 4, 2, dropout=0.0),
    }
    layer = small[name]().double()
    given = tuple(draw(2, n, width).requires_grad_() for n, width in ((2, layer.embed_dim), (3, layer.context_dim)))
    given = given if name == "CrossAttention" else given[:1]
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def call(*values: Tensor) -> Tensor:
        return torch.func.functional_call(
            layer, dict(zip(names, values[: len(names)], strict=True)), values[len(names) :]
        )

    assert torch.autograd.gradcheck(call, (*parameters, *given))


def test_the_usual_steps_are_the_default_and_simple_attention_is_unscaled():
    assert nn.MultiHeadAttention(EMBED, HEADS).mechanism == Mechanism()
    assert nn.SimpleAttention(EMBED).mechanism == Mechanism(scale=leave_unscaled)
    assert nn.MultiHeadAttention(EMBED, HEADS).dropout == 0.1
