"""Choosing combinations: every two pieces that can meet do, and no combination is one that does not fit."""

from itertools import combinations, product

import pytest

from attention_surgeon.diagnose.doctor.healthy.cover import cover

AXES = {"a": [*"123"], "b": [*"45"], "c": [*"67"], "d": [*"8"]}


def pairs(choices):
    return {pair for choice in choices for pair in combinations(sorted(choice.items()), 2)}


def every_choice():
    return [dict(zip(AXES, pieces, strict=True)) for pieces in product(*AXES.values())]


@pytest.mark.parametrize("seed", range(5))
def test_every_two_pieces_meet(seed):
    chosen = cover(AXES, seed=seed)
    assert pairs(chosen) == pairs(every_choice())
    assert len(chosen) < len(every_choice())


@pytest.mark.parametrize("seed", range(5))
def test_only_what_fits_is_chosen_and_all_that_can_meet_does(seed):
    def fits(choice):
        return (choice["a"] == "1") <= (choice["b"] == "4")

    chosen = cover(AXES, seed=seed, fits=fits)
    assert all(fits(choice) for choice in chosen)
    assert pairs(chosen) == pairs(filter(fits, every_choice()))


def test_it_is_the_same_every_time():
    assert cover(AXES, seed=3) == cover(AXES, seed=3)
