"""Every check passes on sound attention, however extreme, and fails on the step that is broken, and on no other."""

import dataclasses
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import Tensor

from attention_surgeon.ops import (
    Mechanism,
    add_bias_and_hide,
    keep_top_k,
    leave_unscaled,
    multiply_by,
    softmax_with_dropout,
)
from attention_surgeon.trace import TENSOR_NAMES, AttentionTrace, record
from tests.ops.probes import BATCH, D_K, HEADS, N_K, N_Q, additive, draw, qkv, ragged

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


def failed(trace: AttentionTrace) -> set[tuple[str, str]]:
    return {(check.step, check.name) for check in trace.checks() if not check.passed}


def detail(trace: AttentionTrace, step: str, name: str) -> str:
    return next(check.detail for check in trace.checks() if (check.step, check.name) == (step, name))


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("mask", [None, ragged(), additive(ragged()), draw(N_Q, N_K, seed=8)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sound_attention_passes(dtype: torch.dtype, mask: Tensor | None, scale: bool):
    trace = record(*qkv(dtype=dtype), mask, mechanism=Mechanism() if scale else Mechanism(scale=leave_unscaled))
    assert len(trace.checks()) == 24
    assert not failed(trace)


@given(
    dtype=st.sampled_from(DTYPES),
    sizes=st.tuples(*[st.integers(1, 9)] * 4),
    spread=st.sampled_from([1e-30, 1e-4, 1.0, 20.0, 300.0]),
    offset=st.sampled_from([0.0, -3.0, 100.0]),
    kept=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_sound_attention_passes_whatever_the_numbers(dtype, sizes, spread, offset, kept, seed):
    n_q, n_k, d_k, d_v = sizes
    bound = torch.finfo(dtype).max ** 0.5 / 16  # so that a score fits into the dtype
    spread, offset = min(spread, bound), min(offset, bound)
    Q, K, V = (draw(*s, seed=seed + i) * spread + offset for i, s in enumerate([(n_q, d_k), (n_k, d_k), (n_k, d_v)]))
    mask = torch.rand(n_q, n_k, generator=torch.Generator().manual_seed(seed)) < kept
    assert not failed(record(Q.to(dtype), K.to(dtype), V.to(dtype), mask))


@pytest.mark.parametrize("sizes", [(0, 7), (5, 0), (0, 0)])
def test_nothing_to_attend_to_passes(sizes: tuple[int, int]):
    n_q, n_k = sizes
    assert not failed(record(torch.ones(n_q, 3), torch.ones(n_k, 3), torch.ones(n_k, 2)))
    assert not failed(record(torch.ones(n_q, 3), torch.ones(n_k, 3), torch.ones(n_k, 2), torch.ones(n_q, n_k).bool()))


def test_the_figures_are_told():
    trace = record(*qkv(), ragged())
    hidden = int((~ragged()).sum())
    total = BATCH * HEADS * N_Q * N_K
    empty = BATCH * HEADS
    assert detail(trace, "masked", "mask") == f"{hidden} of {total} hidden"
    assert detail(trace, "weights", "hidden") == f"{hidden} hidden cells, all weight 0"
    assert detail(trace, "weights", "rows").endswith(f"; {empty} empty, sum 0")
    assert detail(trace, "query", "shape") == f"{BATCH} x {HEADS} x {N_Q} x {D_K}"
    assert detail(record(*qkv(), mechanism=Mechanism(scale=leave_unscaled)), "scaled", "scale") == (
        "left unscaled, exact"
    )
    biased = record(*qkv(), draw(N_Q, N_K, seed=8))
    assert detail(biased, "masked", "mask") == "nothing hidden, a bias added"


def softmax_over_queries(masked, operands):
    return torch.softmax(masked, dim=-2).nan_to_num(0.0)


def plain_softmax(masked, operands):
    return torch.softmax(masked, dim=-1)


def mask_after_softmax(masked, operands):
    return torch.softmax(operands.query @ operands.key.mT / math.sqrt(D_K), -1) * operands.allowed


def fill(number: float):
    return lambda scaled, operands: scaled.masked_fill(~operands.allowed, number)


def inverted(scaled, operands):
    return scaled.masked_fill(operands.allowed, float("-inf"))


SCORES, SCALE, MASK = ("scores", "dot products"), ("scaled", "scale"), ("masked", "mask")
SOFTMAX, HIDDEN, ROWS = ("weights", "softmax"), ("weights", "hidden"), ("weights", "rows")
SUM, BOUNDS = ("output", "weighted sum"), ("output", "bounds")

FAULTS = {
    "distance in place of the dot product": (
        Mechanism(score=lambda o: -torch.cdist(o.query, o.key)),
        {SCORES},
    ),
    "negated scores": (Mechanism(score=lambda o: -o.query @ o.key.mT), {SCORES}),
    "scale by d_k": (Mechanism(scale=multiply_by(1 / D_K)), {SCALE}),
    "scale by the model width": (Mechanism(scale=multiply_by((HEADS * D_K) ** -0.5)), {SCALE}),
    "scale multiplied": (Mechanism(scale=multiply_by(D_K**0.5)), {SCALE}),
    "scale of another kind": (Mechanism(scale=lambda s, o: s.tanh()), {SCALE}),
    "mask ignored": (Mechanism(mask=lambda s, o: s), {MASK, HIDDEN, ROWS, BOUNDS}),
    "mask inverted": (Mechanism(mask=inverted), {MASK, ("masked", "finite"), HIDDEN, ROWS, BOUNDS}),
    "mask fills with 0": (Mechanism(mask=fill(0.0)), {MASK, HIDDEN, ROWS, BOUNDS}),
    "mask fills with -10": (Mechanism(mask=fill(-10.0)), {MASK, HIDDEN, ROWS, BOUNDS}),
    "an empty row filled with -1e9": (Mechanism(mask=fill(-1e9)), {MASK, HIDDEN, ROWS, BOUNDS}),
    "more hidden than the mask says": (Mechanism(mask=keep_top_k(2)), {MASK, ("masked", "finite")}),
    "softmax over the queries": (Mechanism(normalise=softmax_over_queries), {SOFTMAX, ROWS, BOUNDS}),
    "softmax that knows no empty row": (
        Mechanism(normalise=plain_softmax),
        {SOFTMAX, HIDDEN, ROWS, ("weights", "finite"), ("output", "finite"), SUM, BOUNDS},
    ),
    "weights that do not sum to 1": (
        Mechanism(normalise=lambda m, o: plain_softmax(m, o).nan_to_num(0) * 1.01),
        {SOFTMAX, ROWS},
    ),
    "mask after the softmax": (Mechanism(normalise=mask_after_softmax), {SOFTMAX, ROWS, BOUNDS}),
    "dropout": (Mechanism(normalise=softmax_with_dropout(0.5)), {SOFTMAX, ROWS, BOUNDS}),
    "output twice": (Mechanism(combine=lambda w, o: 2 * w @ o.value), {SUM, BOUNDS}),
    "mean in place of the weighted sum": (
        Mechanism(combine=lambda w, o: o.value.mean(-2, keepdim=True).expand(*w.shape[:-1], -1)),
        {SUM, BOUNDS},
    ),
    "values in the wrong order": (Mechanism(combine=lambda w, o: w.flip(-1) @ o.value), {SUM, BOUNDS}),
    "output turned": (
        Mechanism(combine=lambda w, o: (w @ o.value).mT),
        {("output", "shape"), SUM, BOUNDS},
    ),
}


@pytest.mark.parametrize(("mechanism", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_fault_shows_where_it_is(mechanism: Mechanism, expected: set[tuple[str, str]]):
    torch.manual_seed(0)
    trace = record(*qkv(), ragged(), mechanism=mechanism)
    assert failed(trace) == expected


@pytest.mark.parametrize("name", TENSOR_NAMES[3:])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_wrong_number_is_enough(name: str, dtype: torch.dtype):
    sound = record(*qkv(dtype=dtype), ragged())
    wrong = getattr(sound, name).clone()
    place = (1, 2, 0, 3)
    wrong[place] += 1e-4 if dtype == torch.float32 else 1e-10
    names = {step for step, _ in failed(dataclasses.replace(sound, **{name: wrong}))}
    assert min(names, key=TENSOR_NAMES.index) == name


@pytest.mark.parametrize("name", ["scores", "scaled", "masked", "weights", "output"])
def test_nan_never_passes(name: str):
    sound = record(*qkv(dtype=torch.float32))
    wrong = getattr(sound, name).clone()
    wrong[1, 2, 0, 3] = float("nan")
    of_the_step = [c for c in dataclasses.replace(sound, **{name: wrong}).checks() if c.step == name]
    assert not any(check.passed for check in of_the_step if check.name not in ("shape", "hidden"))
    place = "[1, 2, 0, 3]: nan"
    assert next(c.detail for c in of_the_step if c.name == "finite").endswith(f"the first at {place}")


@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_what_came_in_must_be_finite(name: str):
    tensors = dict(zip(("Q", "K", "V"), qkv(), strict=True))
    tensors[name[0].upper()][0, 1, 2, 3] = float("inf")
    assert (name, "finite") in failed(record(**tensors))


def test_an_infinity_where_nothing_is_hidden_is_not_finite():
    sound = record(*qkv())
    masked = sound.masked.clone()
    masked[0, 0, 0, 0] = float("-inf")
    assert {("masked", "finite"), MASK} <= failed(dataclasses.replace(sound, masked=masked))


def test_filling_with_a_low_number_is_as_good_where_every_row_sees_a_key():
    mask = ragged() | (torch.arange(N_K) == 0)
    trace = record(*qkv(), mask, mechanism=Mechanism(mask=fill(-1e9)))
    assert not failed(trace)
    assert detail(trace, "masked", "mask").endswith(" hidden by -1e+09 or less")


@pytest.mark.parametrize("number", [0.0, -10.0, -100.0])
def test_filling_with_a_number_that_is_not_low_enough_fails_in_every_row(number: float):
    mask = ragged() | (torch.arange(N_K) == 0)
    assert {MASK, HIDDEN} <= failed(record(*qkv(), mask, mechanism=Mechanism(mask=fill(number))))


def test_a_wrong_scale_is_told_as_a_number():
    trace = record(*qkv(), mechanism=Mechanism(scale=multiply_by(0.5)))
    told = detail(trace, *SCALE)
    assert told.endswith("; every score was multiplied by 0.5, where 1/√11 = 0.3015 is due")
    assert "every score" not in detail(record(*qkv(), mechanism=Mechanism(scale=lambda s, o: s + 1.0)), *SCALE)


def test_the_wrong_axis_is_told():
    x = draw(N_Q, D_K, seed=0)
    trace = record(x, x, x, mechanism=Mechanism(normalise=softmax_over_queries))
    assert detail(trace, *ROWS).endswith("not to 1; the columns do: the softmax ran over the queries")


def test_an_empty_row_with_weight_is_told():
    def even(masked, operands):
        return torch.softmax(add_bias_and_hide(masked, operands).clamp(min=-1e9), -1)

    assert detail(record(*qkv(), ragged(), mechanism=Mechanism(normalise=even)), *ROWS) == (
        "6 rows may attend to no key, yet sum to 1; 0 is due"
    )


def test_a_tensor_of_the_wrong_shape_stops_only_what_needs_it():
    sound = record(*qkv())
    trace = dataclasses.replace(sound, weights=sound.weights.mT)
    assert failed(trace) == {("weights", "shape"), SOFTMAX, HIDDEN, ROWS, SUM}
    assert detail(trace, "weights", "shape") == "has shape (2, 3, 7, 5) where the axes say (2, 3, 5, 7)"
    assert detail(trace, *SUM) == "cannot be checked: weights of the wrong shape"


def test_a_wrong_number_is_told_with_its_place():
    sound = record(torch.eye(2), torch.eye(2), torch.eye(2))
    trace = dataclasses.replace(sound, scores=torch.tensor([[1.0, 0.0], [3.0, 1.0]]))
    assert detail(trace, *SCORES) == "1 of 4 differ, the most at [1, 0]: 3 where 0 is due"


def test_the_bounds_are_those_of_the_visible_values_in_strips_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("attention_surgeon.trace.checks._STRIP_CELLS", 1)
    sound = record(*qkv(), ragged())
    assert not failed(sound)
    output = sound.output.clone()
    only_one = ragged().clone()
    only_one[..., 0, 1:] = False
    output[..., 0, :] = sound.value[..., 1, :]  # a value, but one that query 0 may not see
    assert BOUNDS in failed(dataclasses.replace(sound, allowed=only_one, output=output))
