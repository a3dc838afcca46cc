import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_surgeon.masks import causal_mask
from attention_surgeon.stats import MIXED, PATTERNS, head_statistics, name_patterns, patterns_from
from attention_surgeon.stats import row_sums as strips_file
from attention_surgeon.stats.blocks import block_overlap
from tests.stats.drawn import drawn_weights, even, pure_heads, with_noise, with_uneven_weights

SIZES = (29, 64)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_every_pattern_is_named_on_its_own_head(n: int, is_causal: bool):
    heads, allowed, tokens = pure_heads(n, is_causal)
    assert set(heads) == {pattern.name for pattern in PATTERNS} - ({"next"} if is_causal else set())
    found = name_patterns(torch.stack(list(heads.values())), allowed, tokens=tokens)
    assert [found.name(head) for head in range(len(heads))] == list(heads)
    assert all(found.score(head) > 0.85 for head in range(len(heads)))


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("n", SIZES)
@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), share=st.floats(0.0, 0.3))
def test_every_pattern_is_named_with_three_tenths_of_the_weight_at_random(
    n: int, is_causal: bool, seed: int, share: float
):
    heads, allowed, tokens = pure_heads(n, is_causal)
    noisy = torch.stack([with_noise(head, allowed, share, seed) for head in heads.values()])
    found = name_patterns(noisy, allowed, tokens=tokens)
    assert [found.name(head) for head in range(len(heads))] == list(heads)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("n", SIZES)
@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), spread=st.floats(0.0, 0.25))
def test_every_pattern_is_named_with_scores_moved_at_random(n: int, is_causal: bool, seed: int, spread: float):
    heads, allowed, tokens = pure_heads(n, is_causal)
    noisy = torch.stack([with_uneven_weights(head, spread, seed) for head in heads.values()])
    found = name_patterns(noisy, allowed, tokens=tokens)
    assert [found.name(head) for head in range(len(heads))] == list(heads)


@given(seed=st.integers(0, 10**6), is_causal=st.booleans())
def test_sharp_weights_at_random_places_have_no_pattern(seed: int, is_causal: bool):
    allowed = causal_mask(61).dense() if is_causal else torch.ones(61, 61, dtype=torch.bool)
    found = name_patterns(drawn_weights(2, 61, 61, seed=seed, allowed=allowed, sharpness=3.0), allowed)
    assert [found.name(head) for head in range(2)] == [MIXED, MIXED]
    assert found.score(0) == max(float(score[0]) for score in found.scores.values()) < 0.5


@pytest.mark.parametrize("width", [2, 3, 5, 8])
def test_a_band_is_no_block(width: int):
    q = torch.arange(61)
    weights = even((q[:, None] - q).abs() <= width)
    assert name_patterns(weights).name() == MIXED
    assert float(name_patterns(weights).scores["block"]) == 0


def test_scores_are_those_of_the_statistics():
    weights = drawn_weights(2, 3, 5, 7, sharpness=3.0)
    statistics, found = head_statistics(weights), name_patterns(weights)
    for pattern, name in {
        "diagonal": "diagonal_mass",
        "previous": "previous_mass",
        "next": "next_mass",
        "sink": "first_mass",
        "uniform": "evenness",
    }.items():
        assert torch.equal(found.scores[pattern], getattr(statistics, name))
    assert torch.equal(found.scores["vertical"], statistics.received.amax(-1))
    assert not found.scores["induction"].any()
    assert all(((score >= 0) & (score <= 1)).all() for score in found.scores.values())


def test_the_few_keys_of_a_vertical_pattern_grow_to_three():
    received = {16: 1, 31: 1, 32: 2, 48: 3, 640: 3}
    for n, num_keys in received.items():
        weights = torch.zeros(n, n, dtype=torch.float64)
        weights[:, 5:10] = 0.2
        assert float(name_patterns(weights).scores["vertical"]) == pytest.approx(0.2 * num_keys)


def test_a_sink_goes_before_vertical_of_which_it_is_a_case():
    weights = torch.zeros(3, 40, 40)
    weights[0, :, 0], weights[0, :, 7] = 0.55, 0.45
    weights[1, :, 0], weights[1, :, 7] = 0.45, 0.55
    weights[2, :, 0], weights[2, :, 7] = 0.4, 0.4
    weights[2, :, 30:34] = 0.05
    found = name_patterns(weights)
    assert [found.name(head) for head in range(3)] == ["sink", "vertical", "vertical"]
    assert found.score(2) == pytest.approx(0.8)


@pytest.mark.parametrize(("share", "name"), [(0.5, "diagonal"), (0.499, MIXED)])
def test_half_of_the_attention_names_a_head_and_less_does_not(share: float, name: str):
    own = torch.eye(41, dtype=torch.float64)
    assert name_patterns(share * own + (1 - share) * own.roll(20, dims=-1)).name() == name


def test_without_the_tokens_no_head_is_called_induction_but_an_offset_does():
    heads, allowed, tokens = pure_heads(30, is_causal=True)
    weights = heads["induction"]
    assert name_patterns(weights, allowed).name() != "induction"
    assert name_patterns(weights, allowed, tokens=tokens).name() == "induction"
    assert name_patterns(weights, allowed, repeat_offset=15).name() == "induction"


def test_a_head_without_rows_is_mixed():
    weights = torch.stack([torch.eye(5), torch.zeros(5, 5)])
    found = name_patterns(weights)
    assert [found.name(head) for head in range(2)] == ["diagonal", MIXED]
    assert found.score(1) == 0


def test_batches_are_named_one_by_one():
    heads, allowed, tokens = pure_heads(29, is_causal=False)
    one = torch.stack([heads["diagonal"], heads["block"], heads["uniform"]])
    weights = torch.stack([one, one[[2, 0, 1]]])
    found = name_patterns(weights, allowed, tokens=tokens)
    assert [[found.name(batch, head) for head in range(3)] for batch in range(2)] == [
        ["diagonal", "block", "uniform"],
        ["uniform", "diagonal", "block"],
    ]


def test_statistics_alone_tell_all_but_blocks():
    heads, allowed, tokens = pure_heads(29, is_causal=False)
    statistics = head_statistics(torch.stack(list(heads.values())), allowed, tokens=tokens)
    found = patterns_from(statistics)
    names = [found.name(head) for head in range(len(heads))]
    assert [name for name in names if name != MIXED] == [name for name in heads if name != "block"]


def test_blocks_of_documents_by_hand(monkeypatch: pytest.MonkeyPatch):
    run = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2])
    weights = even(run[:, None] == run)
    assert block_overlap(weights, None).item() == pytest.approx(7 / 9)  # the run of two is too short
    assert block_overlap(even(torch.ones(9, 9, dtype=torch.bool)), None).item() == 0
    empty = weights.clone()
    empty[8] = 0
    assert block_overlap(empty, None).item() == pytest.approx(4 / 8)  # the last run has two rows left
    monkeypatch.setattr(strips_file, "CELLS_AT_ONCE", 18)
    assert block_overlap(weights, None).item() == pytest.approx(7 / 9)


def test_no_block_at_all_and_no_row_at_all():
    overlap = block_overlap(torch.stack([torch.eye(5), torch.zeros(5, 5)]), None)
    assert overlap[0] == 0
    assert overlap[1].isnan()


@pytest.mark.parametrize("missing", [3, -3])
def test_blocks_where_there_are_more_keys_or_more_queries(missing: int):
    run = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1])
    square = even(run[:, None] == run)
    if missing > 0:
        weights = torch.cat([torch.zeros(9, missing, dtype=torch.float64), square], dim=-1)
    else:
        weights = torch.cat([torch.zeros(-missing, 9, dtype=torch.float64), square])
    assert block_overlap(weights, None).item() == pytest.approx(1.0)


def test_rows_without_a_choice_name_no_head():
    n = 6
    causal = torch.ones(n, n, dtype=torch.bool).tril()
    weights = torch.zeros(n, n)
    weights[:3] = torch.tril(torch.ones(n, n))[:3] / torch.arange(1, 4)[:, None]  # even, as they must be at first
    weights[torch.arange(3, n), torch.arange(2, n - 1)] = 1.0
    found = name_patterns(weights[None], causal)
    assert (found.name(0), found.score(0)) == ("previous", 1.0)
    short = name_patterns(weights[None, :2, :2], causal[:2, :2])  # all there is
    assert short.score(0) > 0
