"""Samples of rows: what they estimate, how sure they say they are, and how long they take."""

import pytest
import torch

from attention_surgeon.errors import OptionError
from attention_surgeon.masks import causal_mask
from attention_surgeon.stats import head_statistics, scan_attention
from attention_surgeon.stats.scan.sample import RATIOS, Strata
from tests.stats.scan_probes import dense_weights, draw

pytestmark = pytest.mark.usefixtures("computed_by")

N = 601
QUERY, KEY, VALUE = draw(1, N, 6) * 2, draw(1, N, 6, seed=1), draw(1, N, 3, seed=2)
TOKENS = torch.arange(N) % 37


def test_intervals_hold_the_truth_as_often_as_they_say():
    rows, draws = 1009, 50
    query, key, value = draw(rows, 6), draw(rows, 6, seed=1), draw(rows, 3, seed=2)
    tokens = torch.randint(0, 40, (rows,), generator=torch.Generator().manual_seed(0))
    asked = {"mask": causal_mask(rows), "tokens": tokens, "resolution": 50}
    truth = scan_attention(query, key, value, **asked)
    held = dict.fromkeys(RATIOS, 0)
    for seed in range(draws):
        scan = scan_attention(query, key, value, num_rows=300, seed=seed, **asked)
        assert not scan.is_exact
        for name in RATIOS:
            low, high = scan.interval(name)
            held[name] += bool(low <= truth.number(name) <= high)
    shares = {name: count / draws for name, count in held.items()}
    assert all(share >= 0.8 for share in shares.values()), shares
    assert 0.9 <= sum(shares.values()) / len(shares) <= 0.985, shares


def test_a_larger_sample_errs_less_and_all_rows_not_at_all():
    errors = [
        scan_attention(QUERY, KEY, mask=causal_mask(N), resolution=20, num_rows=rows).errors["entropy"].item()
        for rows in (60, 200, 500, N)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_each_head_has_the_error_of_its_own_rows():
    level = torch.zeros_like(QUERY)  # all weights of a row are the same, and its entropy is known from its length
    both = scan_attention(torch.cat([level, QUERY]), KEY, num_rows=100, resolution=20)
    scans = [scan_attention(query, KEY, num_rows=100, resolution=20) for query in (level, QUERY)]
    alone = torch.cat([scan.errors["entropy"] for scan in scans])
    assert alone[0] < 1e-5 < 1e-3 < alone[1]
    torch.testing.assert_close(both.errors["entropy"], alone)


def test_a_sample_is_of_the_size_asked_for_and_the_same_for_a_seed():
    one, same, other = (
        scan_attention(QUERY, KEY, mask=causal_mask(N), resolution=20, num_rows=100, seed=seed) for seed in (3, 3, 4)
    )
    assert one.num_looked_at.item() == 31 + 19 * 5, "the first row of cells whole, five of each other"
    assert one.num_queries == N
    assert one.statistics.entropy == same.statistics.entropy != other.statistics.entropy
    assert one.statistics.num_rows.item() == N


@pytest.mark.parametrize(("n", "resolution", "num_rows"), [(601, 20, 128), (601, 20, 161)])
def test_rows_that_a_sample_speaks_for_are_whole(n: int, resolution: int, num_rows: int):
    """Their weights, in these samples, add up to a little more and to a little less."""
    query, key = draw(n, 6), draw(n, 6, seed=1)
    found = scan_attention(query, key, mask=causal_mask(n), resolution=resolution, num_rows=num_rows).statistics
    assert (found.num_rows.item(), found.num_empty.item()) == (n, 0)


def test_large_scores_of_a_sample_are_those_of_the_weights_written_out():
    query = QUERY.clone()
    query[:, ::3] *= 200
    scan = scan_attention(query, KEY, resolution=20, num_rows=100)
    assert not scan.is_exact
    largest = dense_weights(query, KEY).amax(-1).mean()
    low, high = scan.interval("mean_max_attention")
    assert low <= largest <= high


def test_a_sampled_map_holds_the_rows_that_were_looked_at():
    weights = dense_weights(QUERY, KEY, causal_mask(N).dense())
    scan = scan_attention(QUERY, KEY, mask=causal_mask(N), resolution=20, num_rows=100)
    exact = scan_attention(QUERY, KEY, mask=causal_mask(N), resolution=20)
    assert (scan.map.largest <= exact.map.largest).all()
    rows = scan.map.mean * scan.map.areas
    heights = torch.tensor(scan.map.row_edges).diff()
    torch.testing.assert_close(rows.sum(-1)[0], heights.float(), rtol=1e-5, atol=0)
    received = head_statistics(weights, causal_mask(N)).received
    assert scan.statistics.received.sum().item() == pytest.approx(received.sum().item(), rel=1e-6)


def test_past_its_time_a_scan_samples():
    scan = scan_attention(QUERY, KEY, mask=causal_mask(N), resolution=20, at_most=1e-9)
    assert scan.num_looked_at.item() == 31 + 19 * 2, "the first row of cells whole, two of each other"
    assert scan.errors["entropy"].item() > 0


def test_within_its_time_a_scan_is_exact():
    scan = scan_attention(QUERY, KEY, mask=causal_mask(N), resolution=20, at_most=600)
    assert scan.is_exact
    assert scan.interval("entropy") == (scan.statistics.entropy, scan.statistics.entropy)


def test_the_largest_weight_of_a_sample_has_no_interval():
    scan = scan_attention(QUERY, KEY, num_rows=60, resolution=20)
    with pytest.raises(OptionError, match="the error of 'max_attention' is not known"):
        scan.interval("max_attention")
    with pytest.raises(OptionError, match="a scan has no number 'induction', or it was not measured"):
        scan.number("induction")


def test_strata_are_drawn_evenly_and_without_repetition():
    strata = Strata.draw((0, 5, 12, 14), seed=1)
    assert strata.sizes.tolist() == [5, 7, 2]
    assert torch.equal(strata.rows(0, strata.largest), torch.arange(14))
    first, second = strata.rows(0, 2), strata.rows(2, 4)
    assert strata.stratum[first].tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 2], "the first run whole"
    assert not set(first.tolist()) & set(second.tolist())
    assert strata.weights(first).tolist() == [1, 1, 1, 1, 1, 3.5, 3.5, 1, 1]
    counts = torch.zeros(14)
    for seed in range(400):
        counts[Strata.draw((0, 5, 12, 14), seed).rows(0, 1)] += 1
    torch.testing.assert_close(counts[5:12] / 400, torch.full((7,), 1 / 7), rtol=0, atol=0.06)
