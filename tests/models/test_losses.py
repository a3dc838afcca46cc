import math

import pytest
import torch

from attention_surgeon.masks import causal_mask, reverse_mask, window_mask
from attention_surgeon.models import (
    MaskBuilder,
    bigram_loss,
    bits,
    future_gradients,
    loss_without_future,
    no_mask,
    teacher_forced_loss,
    uniform_loss,
)
from tests.models.small import CORPUS, LENGTH, decoder

WINDOWS = CORPUS.held_out_windows(LENGTH)[:5]


def test_for_an_honest_model_reading_and_writing_are_the_same():
    model = decoder()
    read, written = (loss(model, WINDOWS, causal_mask) for loss in (teacher_forced_loss, loss_without_future))
    assert written == pytest.approx(read, rel=1e-6)


def test_reversed_it_writes_by_the_last_character_alone():
    model = decoder(use_positions=False)
    last = window_mask(1, size=1)
    alone = sum(teacher_forced_loss(model, WINDOWS[:, at : at + 2], lambda n: last) for at in range(LENGTH)) / LENGTH
    assert loss_without_future(model, WINDOWS, reverse_mask) == pytest.approx(alone, rel=1e-5)


def test_a_part_of_the_positions():
    model = decoder()
    parts = [teacher_forced_loss(model, WINDOWS, causal_mask, num_predicted=count) for count in (1, LENGTH)]
    assert parts[1] == teacher_forced_loss(model, WINDOWS, causal_mask)
    first = torch.log_softmax(model(WINDOWS[:, :1], None), -1)[:, 0].gather(-1, WINDOWS[:, 1:2])
    assert parts[0] == pytest.approx(-first.mean().item(), rel=1e-5)


@pytest.mark.parametrize(("mask", "drawing"), [(causal_mask, "lower"), (reverse_mask, "upper"), (no_mask, "all")])
def test_gradients_are_zero_exactly_where_the_mask_hides(mask: MaskBuilder, drawing: str):
    gradients = future_gradients(decoder(), WINDOWS, mask)
    ones = torch.ones(LENGTH, LENGTH, dtype=torch.bool)
    expected = {"lower": ones.tril(), "upper": ones.triu(), "all": ones}[drawing]
    assert torch.equal(gradients > 0, expected)


def test_the_gradient_is_that_of_a_small_step():
    model = decoder().double()
    x = model.embed(WINDOWS[:1, :-1]).detach()
    follower = WINDOWS[0, 5]

    def prediction(x: torch.Tensor) -> float:
        logits = model.read_off(model.run_blocks(x, causal_mask(LENGTH).dense()))[0, 4]
        return (logits[follower] - logits.mean()).item()

    steps = []
    for entry in range(x.shape[-1]):
        moved = x.clone()
        moved[0, 2, entry] += 1e-6
        steps.append((prediction(moved) - prediction(x)) / 1e-6)
    gradients = future_gradients(model, WINDOWS[:1], causal_mask)
    assert gradients[4, 2].item() == pytest.approx(math.hypot(*steps), rel=1e-3)


def test_baselines_by_hand():
    assert bits(uniform_loss(8)) == pytest.approx(3)
    train, held_out = torch.tensor([0, 0, 1, 0, 0]), torch.tensor([0, 1, 0])
    chances = {
        raised: ((1 + raised) / (3 + 2 * raised), (1 + raised) / (1 + 2 * raised))
        for raised in (1, 0.3, 0.1, 0.03, 0.01)
    }
    best = min(-(math.log(a) + math.log(b)) / 2 for a, b in chances.values())
    assert bigram_loss(train, held_out, 2) == pytest.approx(best)
