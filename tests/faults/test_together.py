"""Several faults at once: each does its part, whatever order they are given in."""

import itertools
import math
import random

import pytest
import torch

from attention_surgeon.errors import OptionError
from attention_surgeon.faults import Fault, catalogue, find_fault, with_faults
from attention_surgeon.faults.parts import PARTS, Part
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Rotary
from tests.faults.probes import D_K, draw, given, probes, ragged, same, three, tried

THREE = three()
ALLOWED = ragged(2, 3, 5, 7)
SCORES = THREE[0] @ THREE[1].mT
SCALED = SCORES / math.sqrt(D_K)


def weights_of(*names: str, allowed: torch.Tensor | None = ALLOWED, **parts: object) -> torch.Tensor:
    circuit = with_faults(Circuit(**parts), [find_fault(name) for name in names])  # pyright: ignore[reportArgumentType]
    return circuit.run(given(*THREE, allowed=allowed))[1]


def hidden(scores: torch.Tensor, allowed: torch.Tensor = ALLOWED, fill: float = -math.inf) -> torch.Tensor:
    return scores.masked_fill(~allowed, fill)


def softmax(scores: torch.Tensor, dim: int = -1) -> torch.Tensor:
    return torch.softmax(scores, dim).nan_to_num(0.0)  # ours gives 0 to a row without keys


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("scale_missing", "softmax_over_queries"), softmax(hidden(SCORES), -2)),
        (("scale_by_key_size", "mask_filled_with_zero"), softmax(hidden(SCORES / D_K, fill=0.0))),
        (("scores_negated", "scale_missing"), softmax(hidden(-SCORES))),
        (("mask_inverted", "mask_after_softmax"), softmax(SCALED) * ~ALLOWED),
        (("mask_inverted", "mask_filled_with_zero"), softmax(hidden(SCALED, ~ALLOWED, 0.0))),
        (("mask_after_softmax", "softmax_over_queries"), softmax(SCALED, -2) * ALLOWED),
        (("mask_after_softmax", "scale_after_softmax"), softmax(SCORES) / math.sqrt(D_K) * ALLOWED),
        (("scale_after_softmax", "scale_by_key_size"), softmax(hidden(SCORES)) / D_K),
        (("scale_after_softmax", "softmax_twice"), softmax(softmax(hidden(SCORES))) / math.sqrt(D_K)),
        (("softmax_twice", "softmax_over_queries"), softmax(softmax(hidden(SCALED), -2))),
        (("softmax_twice", "mask_after_softmax"), softmax(softmax(SCALED)) * ALLOWED),
        (("mask_inverted", "softmax_twice"), softmax(softmax(hidden(SCALED, ~ALLOWED)))),
        (("scale_twice", "scale_by_fourth_root"), softmax(hidden(SCALED))),
        (
            ("heads_averaged", "mask_after_softmax"),
            (softmax(SCALED) * ALLOWED).mean(1, keepdim=True).expand(2, 3, 5, 7),
        ),
        (("scores_combined", "softmax_over_queries"), softmax(hidden(SCALED), -2)),
        (("weights_before_mask_returned", "softmax_over_queries"), softmax(SCALED, -2)),
        (("scores_returned", "scale_missing"), SCORES),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_each_does_its_part(names: tuple[str, str], expected: torch.Tensor):
    assert torch.allclose(weights_of(*names), expected)
    assert torch.equal(weights_of(*names).nan_to_num(), weights_of(*reversed(names)).nan_to_num())


def test_what_a_mask_is_read_as_holds_for_a_pattern_too():
    allowed = causal_mask(5, 7).dense()
    found = weights_of("mask_off_by_one", "mask_after_softmax", allowed=None, pattern=lambda n_q, n_k: allowed)
    assert torch.allclose(found, softmax(SCALED) * torch.ones(5, 7, dtype=torch.float64).tril(3))


def test_swapped_returns_swap_what_others_changed():
    names = [find_fault(name) for name in ("returns_swapped", "scores_returned", "output_zero")]
    first, second = with_faults(Circuit(), names).run(given(*THREE))
    assert torch.equal(first, SCALED)
    assert (second == 0).all()


def test_three_at_once():
    found = weights_of("scale_missing", "mask_filled_with_zero", "softmax_over_queries")
    assert torch.allclose(found, softmax(hidden(SCORES, fill=0.0), -2))


TELLING = [probe for probe in probes() if probe.name in ("ragged", "bias", "equal, ragged")]


def circuits(count: int) -> list[tuple[Fault, ...]]:
    """Return drawn sets of faults of different stages."""
    in_steps = [
        fault
        for fault in catalogue()
        if fault.operate and fault.needs is None and fault.stage not in ("statistics", "state")
    ]
    source = random.Random(0)
    drawn: list[tuple[Fault, ...]] = []
    while len(drawn) < count:
        some = tuple(source.sample(in_steps, 3))
        if len({fault.stage for fault in some}) == 3:
            drawn.append(some)
    return drawn


@pytest.mark.parametrize("some", circuits(25), ids=lambda some: "+".join(fault.name for fault in some))
def test_the_order_in_which_they_are_given_does_not_matter(some: tuple[Fault, ...]):
    for probe in TELLING:
        answers = [tried(probe.ask, with_faults(probe.base, order)) for order in itertools.permutations(some)]
        assert all(same(answer, answers[0]) for answer in answers), probe.name


def test_a_fault_without_an_operation_changes_no_circuit():
    circuit = Circuit()
    assert with_faults(circuit, [find_fault("mutates_inputs")]) is circuit
    assert with_faults(circuit, []) is circuit


def test_a_fault_goes_into_whatever_is_there():
    circuit = Circuit().replace(normalise=lambda masked, operands: masked.sigmoid())
    found = with_faults(circuit, [find_fault("weights_divided_by_num_keys")]).run(given(*THREE))[1]
    assert torch.allclose(found, SCALED.sigmoid() / 7)


def test_a_circuit_says_which_parts_are_changed():
    names = ("scale_missing", "mask_after_softmax")
    changed = with_faults(Circuit(), [find_fault(name) for name in names]).changed()
    assert changed == ["scale=leave_unscaled", "mask=add_bias", "normalise=normalise_then_hide"]
    assert with_faults(Circuit(), [find_fault("mask_inverted")]).changed() == ["mask=read_and_step"]


def test_a_part_that_is_not_there_is_refused():
    with pytest.raises(OptionError, match="Circuit has no part 'softmax'"):
        Circuit().replace(softmax=draw)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.words)
def test_a_fault_of_a_part_that_is_not_there_is_refused(part: Part):
    name = next(fault.name for fault in catalogue() if fault.needs is part)
    with pytest.raises(OptionError, match=f"^{name} needs {part.words}, and this attention has none .*{part.place}="):
        with_faults(Circuit(), [find_fault("scale_missing"), find_fault(name)])


@pytest.mark.parametrize("name", ["window_ignored", "sink_scaled"])
def test_no_fault_is_put_in_without_its_part_by_hand_either(name: str):
    with pytest.raises(OptionError, match=r"this fault needs .*, and this attention has none"):
        find_fault(name).operate(Circuit())  # pyright: ignore[reportOptionalCall]


def test_faults_of_one_part_add_up_to_what_both_do():
    """Values turn, too, and all turn the wrong way: the values by what the queries and keys really turn by."""
    query, key, value = three(5, 5, 12, 12)
    faults = [find_fault(name) for name in ("rotary_on_values", "rotary_direction")]
    for order in (faults, faults[::-1]):
        position = with_faults(Circuit(position=Rotary()), order).position
        turned = position(query, key, value)
        for found, x in zip(turned, (query, key, value), strict=True):
            assert torch.allclose(found, Rotary().rotate(x, -torch.arange(5, dtype=torch.float64)))
