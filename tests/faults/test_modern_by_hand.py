"""Faults of today's attention against the same mistake written once more by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attention_surgeon.faults import find_fault, with_faults
from attention_surgeon.faults.modern_ways import BLOCK
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Alibi, Circuit, QKNorm, RelativeBias, Rotary, Sink, SoftCap, Window
from tests.faults.probes import BATCH, HEADS, Layer, close, draw, given, padding, three

N, SIZE = 6, 8
Q, K, V = three(N, N, SIZE, SIZE)
FUTURE = torch.ones(N, N, dtype=torch.bool).triu(1)
SCALED = Q @ K.mT / math.sqrt(SIZE)
STEPS = torch.arange(N)[:, None] - torch.arange(N)


def causal(**parts: object) -> Circuit:
    return Circuit(**({"pattern": lambda n_q, n_k: causal_mask(n_q, n_k).dense()} | parts))  # pyright: ignore


def weights(name: str, base: Circuit) -> Tensor:
    return with_faults(base, [find_fault(name)]).run(given(Q, K, V))[1]


def output(name: str, base: Circuit) -> Tensor:
    return with_faults(base, [find_fault(name)]).run(given(Q, K, V))[0]


def soft(scores: Tensor, hidden: Tensor | None = None) -> Tensor:
    return (scores if hidden is None else scores.masked_fill(hidden, -math.inf)).softmax(-1)


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Turn features i and i + 4 of each row by the angles `(n, 4)`, as complex numbers."""
    complex_x = torch.complex(x[..., : SIZE // 2], x[..., SIZE // 2 :])
    result = complex_x * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([result.real, result.imag], dim=-1)


def angles(positions: Tensor) -> Tensor:
    return positions.double()[:, None] * 10_000.0 ** (-torch.arange(SIZE // 2, dtype=torch.float64) / (SIZE // 2))


def by_rotated(query: Tensor, key: Tensor) -> Tensor:
    return soft(query @ key.mT / math.sqrt(SIZE))


PLACES = torch.arange(N)
ROTARY: dict[str, Callable[[], Tensor]] = {
    "rotary_direction": lambda: by_rotated(turned(Q, angles(-PLACES)), turned(K, angles(-PLACES))),
    "rotary_positions_wrong": lambda: by_rotated(turned(Q, angles(PLACES // 2)), turned(K, angles(PLACES // 2))),
    "rotary_on_one_side": lambda: by_rotated(turned(Q, angles(PLACES)), K),
    "rotary_over_heads": lambda: by_rotated(
        *(turned(x.transpose(1, 2), angles(torch.arange(HEADS))).transpose(1, 2) for x in (Q, K))
    ),
}


@pytest.mark.parametrize("name", ROTARY)
def test_how_queries_and_keys_turn(name: str):
    assert torch.allclose(weights(name, Circuit(position=Rotary())), ROTARY[name]())


def test_mixed_layouts_change_the_length_of_a_vector():
    circuit = with_faults(Circuit(position=Rotary()), [find_fault("rotary_layouts_mixed")])
    mixed, right = (part.position(Q, K, V)[0] for part in (circuit, Circuit(position=Rotary())))
    assert torch.allclose(right.norm(dim=-1), Q.norm(dim=-1))
    assert not torch.allclose(mixed[..., 1:, :].norm(dim=-1), Q[..., 1:, :].norm(dim=-1), rtol=1e-2)
    speeds = 10_000.0 ** (-torch.arange(4, dtype=torch.float64) / 4)
    by_pairs = (speeds[:, None] * torch.ones(2)).flatten()  # 0 0 1 1 2 2 3 3
    half_turned = torch.cat([-Q[..., 4:], Q[..., :4]], dim=-1)
    at = PLACES[:, None] * by_pairs
    assert torch.allclose(mixed, Q * at.cos() + half_turned * at.sin())


def test_values_that_turn():
    right = by_rotated(turned(Q, angles(PLACES)), turned(K, angles(PLACES)))
    assert torch.allclose(output("rotary_on_values", Circuit(position=Rotary())), right @ turned(V, angles(PLACES)))


def test_turned_before_the_heads_are_cut():
    layer = Layer(2, 2, size=4)
    circuit = with_faults(Circuit(position=Rotary()), [find_fault("rotary_before_split")])
    query, _, value = circuit.heads(layer.x, layer.x, layer.linears, num_heads=2, num_kv_heads=2)
    whole = turned(layer.linears["query"](layer.x), angles(torch.arange(layer.x.shape[1])))
    assert torch.allclose(query.transpose(1, 2).flatten(2), whole)
    assert torch.equal(value.transpose(1, 2).flatten(2), layer.linears["value"](layer.x))
    assert circuit.position is Circuit().position


SLOPES = torch.tensor([0.0625, 0.00390625, 0.25], dtype=torch.float64)[:, None, None]
"""Of three heads, as the paper's code gives them."""


def test_alibi():
    far = STEPS.abs()
    assert torch.allclose(weights("alibi_sign", causal(bias=Alibi())), soft(SCALED + SLOPES * far, FUTURE))
    assert torch.allclose(weights("alibi_slopes", causal(bias=Alibi())), soft(SCALED - SLOPES.flip(0) * far, FUTURE))


def test_a_table_that_is_reshaped():
    table = draw(5, HEADS, seed=9)
    rows = torch.stack([table[(j - i).clamp(-2, 2) + 2] for i in PLACES for j in PLACES])  # (n * n, heads)
    misplaced = rows.flatten().reshape(HEADS, N, N)
    assert torch.allclose(
        weights("relative_bias_misplaced", Circuit(bias=RelativeBias(table))), soft(SCALED + misplaced)
    )


def test_windows():
    in_sight = {"window_off_by_one": STEPS < 4, "window_ignored": STEPS < N}
    for name, seen in in_sight.items():
        assert torch.allclose(weights(name, Circuit(pattern=Window(3))), soft(SCALED, FUTURE | ~seen))


def test_caps():
    base = causal(cap=SoftCap(0.5))
    assert torch.allclose(weights("cap_missing", base), soft(SCALED, FUTURE))
    capped = 0.5 * torch.tanh(SCALED / 0.5)
    assert torch.allclose(weights("cap_after_mask", base), soft(capped.masked_fill(FUTURE, -0.5)))


def test_sinks():
    sinks = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    assert torch.allclose(weights("sink_missing", Circuit(sink=Sink(sinks))), soft(SCALED))
    beside = (sinks / math.sqrt(SIZE))[:, None, None].expand(BATCH, HEADS, N, 1)
    expected = torch.cat([SCALED, beside], dim=-1).softmax(-1)[..., :-1]
    assert torch.allclose(weights("sink_scaled", Circuit(sink=Sink(sinks))), expected)


def test_a_norm_on_queries_alone():
    level = Q / Q.square().mean(-1, keepdim=True).sqrt()
    found = weights("norm_missing_on_keys", Circuit(norm=QKNorm(eps=0.0)))
    assert torch.allclose(found, soft(level @ K.mT / math.sqrt(SIZE)))


def test_masks_of_sequences_are_tiled_in_the_folded_order():
    allowed = padding(N, N)
    circuit = with_faults(Circuit(), [find_fault("mask_batch_order")])
    found = circuit.run(given(Q, K, V, allowed=allowed))[1]
    for folded in range(BATCH * HEADS):
        sequence, head = divmod(folded, HEADS)
        assert torch.allclose(found[sequence, head], soft(SCALED[sequence, head], ~allowed[folded % BATCH, 0]))


def test_a_cache_lets_new_tokens_see_each_other():
    circuit = with_faults(causal(), [find_fault("cache_future_seen")])
    assert torch.allclose(circuit.run(given(Q, K, V))[1], soft(SCALED, FUTURE))
    assert torch.allclose(circuit.run(given(Q[..., 4:, :], K, V))[1], soft(SCALED[..., 4:, :]))


def test_what_a_kernel_gets_wrong():
    assert BLOCK == 4
    first, second = SCALED.split([4, 2], dim=-1)
    peak = first.amax(-1, keepdim=True)
    later = torch.maximum(peak, second.amax(-1, keepdim=True))
    parts = torch.cat([(first - peak).exp(), (second - later).exp()], dim=-1)
    found = weights("online_softmax_not_rescaled", Circuit())
    assert torch.allclose(found, parts / parts.sum(-1, keepdim=True))
    grows = (later > peak).squeeze(-1)
    assert torch.allclose(found[~grows], soft(SCALED)[~grows])
    assert not torch.isclose(found[grows], soft(SCALED)[grows]).all(-1).any()
    assert torch.allclose(weights("tail_dropped", Circuit()), soft(SCALED, torch.arange(N) >= 4))


def test_a_maximum_that_starts_at_zero_shows_far_below_it():
    circuit = with_faults(Circuit(), [find_fault("running_maximum_finite")])
    assert torch.allclose(circuit.run(given(Q, K, V))[1], soft(SCALED))
    assert circuit.run(given(-1e5 * Q.abs(), K.abs(), V))[1].isnan().all()


def test_sums_that_are_kept_in_low_precision():
    grown = (SCALED - SCALED.amax(-1, keepdim=True)).exp()
    total = grown[..., 0].bfloat16()
    for key in range(1, N):
        total = total + grown[..., key].bfloat16()
    found = weights("sums_in_low_precision", Circuit())
    assert torch.equal(found, grown / total.double()[..., None])
    assert 1e-4 < (found.sum(-1) - 1).abs().max() < 1e-2


def test_scores_that_do_not_know_the_query():
    found = weights("query_ignored", Circuit())
    assert torch.allclose(found, soft(SCALED.mean(-2, keepdim=True)).expand_as(SCALED))
    assert torch.allclose(found[..., :1, :].expand_as(found), found)


def test_what_layers_get_wrong():
    layer = Layer(2, 2, size=4)
    right, names = layer(Circuit()), ("values_not_projected", "output_projected_twice", "heads_merged_by_feature")
    found = {name: layer(with_faults(Circuit(), [find_fault(name)])) for name in names}
    assert torch.allclose(found["output_projected_twice"], layer.linears["output"](right))
    tensors = circuit_heads(layer)
    gathered = tensors[0] @ layer.x.unflatten(-1, (2, 4)).transpose(1, 2)
    assert torch.allclose(found["values_not_projected"], layer.linears["output"](gathered.transpose(1, 2).flatten(2)))
    by_feature = (tensors[0] @ tensors[1]).permute(0, 2, 3, 1).flatten(2)
    assert torch.allclose(found["heads_merged_by_feature"], layer.linears["output"](by_feature))


def circuit_heads(layer: Layer) -> tuple[Tensor, Tensor]:
    """Return the right weights and values of a layer."""
    query, key, value = Circuit().heads(layer.x, layer.x, layer.linears, num_heads=2, num_kv_heads=2)
    return soft(query @ key.mT / 2.0), value


def test_what_is_gathered_and_returned():
    right = soft(SCALED)
    assert torch.allclose(output("values_out_of_order", Circuit()), right @ V[..., [5, 0, 1, 2, 3, 4], :])
    assert torch.allclose(weights("weights_returned_transposed", Circuit()), right.mT)
    assert torch.allclose(weights("weights_returned_differ", Circuit()), soft(right))
    for name in ("weights_returned_transposed", "weights_returned_differ"):
        assert torch.allclose(output(name, Circuit()), right @ V)
    assert close(weights("mask_misread", causal()), soft(SCALED, FUTURE.roll(1, -1)))


def test_scores_that_are_dropped_are_not_hidden():
    torch.manual_seed(3)
    found = weights("dropout_before_softmax", causal())
    assert (found[..., FUTURE] > 0).any()
    assert torch.allclose(found.sum(-1), torch.ones((), dtype=torch.float64))
