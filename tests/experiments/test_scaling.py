import math

import pytest
import torch

from attention_surgeon.experiments import Bench, Result, ScalingConfig, experiment_scaling_factor
from attention_surgeon.experiments.scaling import run


@pytest.fixture(scope="module")
def result() -> Result:
    return experiment_scaling_factor()


def column(result: Result, field: str, scaled: bool) -> list[float]:
    return [record[field] for record in result.records if record["scaled"] is scaled]


def test_every_width_is_measured_with_and_without_the_scale(result: Result):
    measured = [(record["d_k"], record["scaled"]) for record in result.records]
    assert measured == [(d_k, scaled) for d_k in (16, 64, 256, 1024) for scaled in (True, False)]


def test_the_course_table_belongs_to_four_keys(result: Result):
    assert column(result, "mean_max_weight", False) == pytest.approx([0.82, 0.91, 0.955, 0.98], abs=0.01)
    assert column(result, "mean_max_weight", True) == pytest.approx([0.515] * 4, abs=0.01)
    many = experiment_scaling_factor([64], num_keys=64, num_draws=500)
    assert column(many, "mean_max_weight", True) == pytest.approx([0.13], abs=0.03)


def test_scores_grow_with_the_root_of_the_width(result: Result):
    assert column(result, "score_std", False) == pytest.approx([4, 8, 16, 32], rel=0.03)
    assert column(result, "score_std", True) == pytest.approx([1, 1, 1, 1], rel=0.03)


def test_without_the_scale_gradient_and_entropy_vanish_and_with_it_they_stay(result: Result):
    for field in ("score_gradient", "entropy_share"):
        plain, scaled = column(result, field, False), column(result, field, True)
        assert plain == sorted(plain, reverse=True)
        assert plain[0] / plain[-1] > 5
        assert max(scaled) / min(scaled) < 1.05


def test_one_draw_by_hand():
    config = ScalingConfig(d_k_values=(5,), num_keys=3, num_draws=1, seed=7)
    seeded = torch.Generator().manual_seed(7 * 1_000_003 + 5)
    query, key = torch.randn(1, 1, 5, generator=seeded), torch.randn(1, 3, 5, generator=seeded)
    weights = torch.softmax((query.double() @ key.double().mT).flatten() / math.sqrt(5), -1)
    record = run(config).records[0]
    assert record["mean_max_weight"] == record["mean_max_weight_low"] == pytest.approx(weights.max().item())
    entropy = -(weights * weights.log()).sum().item()
    assert record["entropy_share"] == pytest.approx(entropy / math.log(3))
    jacobian = torch.diag(weights) - torch.outer(weights, weights)
    assert record["score_gradient"] == pytest.approx(jacobian.norm().item())


def test_the_same_seed_gives_the_same_result_and_another_does_not():
    first, again, other = (experiment_scaling_factor([16], num_draws=50, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.records != other.records


def test_the_verdict_says_what_was_measured(result: Result):
    low, high = (column(result, "mean_max_weight", False)[at] for at in (0, -1))
    assert f"{low:.3f} to {high:.3f}" in result.verdict
    assert result.verdict.startswith("From d_k = 16 to 1024, with 4 keys: ")
    assert experiment_scaling_factor([64], num_draws=9).verdict.startswith("At d_k = 64, with 4 keys: ")


def test_progress_is_told_per_width():
    told: list[tuple[int, int]] = []
    bench = Bench(on_progress=lambda progress: told.append((progress.done, progress.total)))
    run(ScalingConfig(d_k_values=(2, 3), num_draws=2), bench)
    assert told == [(0, 2), (1, 2), (2, 2)]
