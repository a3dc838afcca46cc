"""Faults of what stands beside the steps, and of masks of several parts, against the same mistakes written by hand."""

import math

import torch
from torch import Tensor

from attention_surgeon.faults import find_fault, with_faults
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, QKNorm, RelativeBias, Sink
from tests.faults.probes import HEADS, Layer, draw, given, three

N, SIZE = 6, 8
Q, K, V = three(N, N, SIZE, SIZE)
FUTURE = torch.ones(N, N, dtype=torch.bool).triu(1)
CAUSAL = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense())
RIGHT = (Q @ K.mT / math.sqrt(SIZE)).softmax(-1)


def run(name: str, base: Circuit | None = None, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return with_faults(base or Circuit(), [find_fault(name)]).run(given(Q, K, V, allowed=mask))


def test_norms_along_another_axis_or_upside_down():
    def scores(change):
        return (change(Q) @ change(K).mT / math.sqrt(SIZE)).softmax(-1)

    over_tokens = scores(lambda x: x / x.square().mean(-2, keepdim=True).sqrt())
    assert torch.allclose(run("norm_axis_wrong", Circuit(norm=QKNorm()))[1], over_tokens)
    longer = scores(lambda x: x * x.square().mean(-1, keepdim=True).sqrt())
    assert torch.allclose(run("norm_inverted", Circuit(norm=QKNorm()))[1], longer)


def test_positions_that_reach_too_much_or_too_little():
    places = torch.sin(torch.arange(N)[:, None] * 0.5 ** torch.arange(SIZE, dtype=torch.float64))
    assert torch.allclose(run("positions_on_one_side")[1], ((Q + places) @ K.mT / math.sqrt(SIZE)).softmax(-1))
    assert torch.allclose(run("positions_on_values")[0], RIGHT @ (V + places))


def test_a_bias_behind_the_softmax():
    table = draw(2 * N + 1, HEADS, seed=9)
    gap = torch.arange(N) - torch.arange(N)[:, None]
    found = run("bias_after_softmax", Circuit(bias=RelativeBias(table)))[1]
    assert torch.allclose(found, RIGHT + table[gap + N].permute(2, 0, 1))


def test_sinks_that_answer_and_sinks_that_push():
    sinks = torch.linspace(0.5, 1.5, HEADS, dtype=torch.float64)[:, None, None]
    scores = Q @ K.mT / math.sqrt(SIZE)
    beside = torch.cat([scores, sinks.expand(*scores.shape[:-1], 1)], -1).softmax(-1)
    base = Circuit(sink=Sink(sinks.flatten()))
    assert torch.allclose(run("sink_as_value", base)[0], beside[..., :-1] @ V + beside[..., -1:])
    assert torch.allclose(run("sink_column_wrong", base)[1], beside[..., 1:])


def test_the_mean_in_the_place_of_the_sum():
    assert torch.allclose(run("exp_divided_by_mean")[1], RIGHT * N)


def test_heads_in_another_order_and_what_is_added_at_the_end():
    layer = Layer(2, 2, size=4)
    project, x = layer.linears["output"], layer.x
    query, key, value = (
        layer.linears[role](x).unflatten(-1, (2, 4)).transpose(1, 2) for role in ("query", "key", "value")
    )
    heads = (query @ key.mT / 2.0).softmax(-1) @ value
    right = project(heads.transpose(1, 2).flatten(2))
    expected = {
        "heads_out_of_order": project(heads.flip(1).transpose(1, 2).flatten(2)),
        "heads_unfolded_wrongly": project(heads.transpose(0, 1).reshape(heads.shape).transpose(1, 2).flatten(2)),
        "residual_multiplied": x * right,
        "residual_of_projection": right + layer.linears["query"](x),
    }
    for name, output in expected.items():
        assert torch.allclose(layer(with_faults(Circuit(), [find_fault(name)])), output), name
    wrap = find_fault("residual_missing").wrap
    assert wrap is not None
    assert torch.allclose(wrap(lambda x: x + 1.0)(x), torch.ones_like(x))


def test_an_axis_that_nobody_looks_at():
    wrap = find_fault("softmax_axis_ignored").wrap
    assert wrap is not None
    assert torch.equal(wrap(torch.softmax)(Q, dim=1), Q.softmax(-1))


def test_masks_of_several_parts():
    def soft(seen: Tensor) -> Tensor:
        return (Q @ K.mT / math.sqrt(SIZE)).masked_fill(~seen, -math.inf).softmax(-1)

    real = (torch.arange(N) < 4).expand(N, N)
    assert torch.allclose(run("masks_joined_by_or", CAUSAL, real)[1], soft(real | ~FUTURE))
    assert torch.allclose(run("prefix_misplaced", CAUSAL)[1], soft(~FUTURE | (torch.arange(N) < 2)[:, None]))
    alike = (~FUTURE)[-2].expand(N, N)
    assert torch.allclose(run("mask_rows_alike", mask=~FUTURE)[1], soft(alike))
    wrap = find_fault("documents_mixed").wrap
    assert wrap is not None
    ids = torch.tensor([[0, 0, 1]])
    assert wrap(lambda doc_ids: doc_ids[:, :, None] == doc_ids[:, None])(ids).all()


def test_a_table_that_is_off_by_one():
    table = draw(2 * N + 1, HEADS, seed=9)
    gap = torch.arange(N) - torch.arange(N)[:, None]
    moved = (Q @ K.mT / math.sqrt(SIZE) + table.roll(1, 0)[gap + N].permute(2, 0, 1)).softmax(-1)
    assert torch.allclose(run("relative_bucket_wrong", Circuit(bias=RelativeBias(table)))[1], moved)
