"""What must be true of every experiment, and of each one what it is there to show."""

import dataclasses
import json
import math
import re
from typing import Any

import pytest
import torch

from attention_surgeon.errors import OptionError
from attention_surgeon.experiments import EXPERIMENTS, Bench, Experiment, Progress, Result, experiment_named
from attention_surgeon.plots import save_figure
from tests.experiments.tiny import TINY

MADE: dict[str, tuple[Result, list[Progress]]] = {}


def made(name: str, **settings: Any) -> Result:
    if settings:
        experiment = experiment_named(name)
        return experiment.run(experiment.make_config(**{**TINY[name], **settings}), Bench())
    if name not in MADE:
        experiment, told = experiment_named(name), []
        MADE[name] = experiment.run(experiment.make_config(**TINY[name]), Bench(on_progress=told.append)), told
    return MADE[name][0]


def test_every_experiment_is_tried_here():
    assert list(TINY) == [experiment.name for experiment in EXPERIMENTS]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_the_settings_are_frozen_and_have_a_seed(experiment: Experiment):
    for is_quick in (True, False):
        config = experiment.make_config(is_quick=is_quick, seed=3)
        assert config.seed == 3
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.seed = 4
    assert experiment.question.endswith("?")
    assert experiment.uses_text == hasattr(experiment.make_config(), "source")


@pytest.mark.parametrize("name", TINY)
def test_the_records_are_tidy_and_fit_json(name: str):
    result = made(name)
    assert result.name == name
    for table in (result.records, *result.tables.values()):
        assert len(table) > 0
        assert {tuple(row) for row in table} == {tuple(table[0])}
        assert json.loads(json.dumps(table, allow_nan=False)) == [dict(row) for row in table]
    json.dumps(result.config, allow_nan=False)


@pytest.mark.parametrize("name", TINY)
def test_every_number_of_the_verdict_comes_from_the_run(name: str):
    verdict = made(name).verdict
    assert verdict.endswith(".")
    assert not re.search(r"\bnan\b|(?<!-)\binf\b|None|\{|\}", verdict)


@pytest.mark.parametrize("name", ["growth", "scaling", "order", "topk"])
def test_other_draws_give_other_words(name: str):
    assert made(name).verdict != made(name, seed=5).verdict


@pytest.mark.parametrize("name", TINY)
def test_every_figure_can_be_saved(name: str, tmp_path):
    figures = made(name).figures
    assert figures
    for title, figure in figures.items():
        assert save_figure(figure, tmp_path / f"{title}.png").stat().st_size > 3000


@pytest.mark.parametrize("name", TINY)
def test_progress_goes_from_nothing_to_everything(name: str):
    made(name)
    told = MADE[name][1]
    rows = {progress.row for progress in told}
    planned = [progress for progress in told if progress.done == 0]
    assert {progress.row for progress in planned} == rows
    for row in rows:
        done = [progress.done for progress in told if progress.row == row]
        assert done == sorted(done)
        assert done[-1] == next(progress.total for progress in told if progress.row == row)


@pytest.mark.parametrize("name", ["growth", "heads"])
def test_the_same_settings_give_the_same_numbers(name: str):
    assert made(name) == made(name, seed=0)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(OptionError, match=r"no experiment 'maskin'; there are growth, .*\. Did you mean masking\?"):
        experiment_named("maskin")
    with pytest.raises(OptionError, match=r"fills has no setting 'num_token'; it has num_tokens, .*num_tokens\?"):
        experiment_named("fills").make_config(num_token=3)


def test_growth_is_that_of_the_root_only_for_independent_vectors():
    at = {(row["drawn"], row["d_k"]): row for row in made("growth", d_k_values=(256,), num_draws=4000).records}
    assert at["normal", 256]["over_root"] == pytest.approx(1, abs=0.05)
    assert at["signs", 256]["over_root"] == pytest.approx(1, abs=0.05)
    assert at["shifted", 256]["mean"] == pytest.approx(0.25 * 256, rel=0.03)
    assert at["alike", 256]["over_width"] == pytest.approx(1, rel=0.03)


def test_fills_by_hand():
    at = {row["fill"]: row for row in made("fills", num_tokens=5, num_draws=2000).records}
    assert [name for name, row in at.items() if row["hidden_weight"] > 1e-12] == ["0"]
    assert [name for name, row in at.items() if row["empty_row"] == "NaN"] == ["-inf"]
    assert [name for name, row in at.items() if row["empty_gradient"] == "NaN"] == ["plus -inf, NaN to 0"]
    assert at["-1e9"]["empty_row"] == pytest.approx(1 / 5)
    assert at["weights x 0"]["row_sum"] < 0.5 < at["-inf, ours"]["row_sum"]


def test_the_output_is_as_wide_as_a_value():
    assert all(row["output_width"] == row["answers"] == row["d_v"] for row in made("width").records)


def test_one_head_keeps_the_rank_and_several_raise_it():
    for row in made("rank").records:
        expected = row["input_rank"] * max(row["heads"], 1)
        assert row["output_rank"] == min(expected, 24)
        assert row["outside"] < 1e-12


def test_order_is_lost_exactly_where_nothing_tells_it():
    at = {row["given"]: row for row in made("order").records}
    assert at["nothing"]["moved_along"] < 1e-14
    assert at["nothing"]["averaged"] < 1e-14
    assert min(at[given]["moved_along"] for given in ("positions", "causal mask", "both")) > 0.05
    assert at["nothing"]["unmoved"] > 0.5


def test_the_vertical_line_sends_out():
    column, row = made("lines", num_tokens=12).records
    assert column["in_column"] > 0.5
    assert column["moved"] > 5 * row["moved"]
    assert row["reads"] == 12


def test_all_keys_lose_nothing_and_one_loses_something():
    for row in made("topk").records:
        assert (row["lost"] < 1e-6) == (row["k"] == 13)
        assert (row["kept"] > 1 - 1e-6) == (row["k"] == 13)


def test_every_promise_is_kept():
    broken = [row["promise"] for row in made("promises").records if not row["kept"]]
    assert broken == []


def test_a_saturated_softmax_does_not_learn():
    result = made("saturation", num_steps=100, spreads=(1.0, 32.0), d_k_values=(64,), learning_rates=(0.3, 3.0))
    ends = {(row["d_k"], row["scaled"]): row for row in result.tables["lookup"]}
    assert ends[64, True]["found"] > 0.9
    assert ends[64, True]["loss"] < 0.1 < ends[64, False]["loss"]
    answers = [row["answer_median"] for row in result.records]
    assert answers[0] > 100 * answers[1]


def test_dropout_by_hand():
    """With p = 0.5 a weight w is 0 or 2 w, so the sum of a row has the variance of the sum of the squared weights."""
    rows = made("dropout", num_draws=20_000).records
    assert (rows[0]["row_sum_std"], rows[0]["noise"]) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    assert rows[1]["row_sum"] == pytest.approx(1, abs=0.01)
    weights = torch.softmax(torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -1)
    assert rows[1]["row_sum_std"] == pytest.approx(math.sqrt(weights.square().sum().item()), rel=0.02)


def test_scaling_tells_what_the_number_of_keys_does():
    result = made("scaling", num_draws=800)
    means = {(row["num_keys"], row["d_k"]): row["mean_max_weight"] for row in result.records if row["scaled"]}
    assert means[4, 256] == pytest.approx(0.515, abs=0.02)
    assert means[8, 256] == pytest.approx(0.36, abs=0.02)
    assert f"{(means[8, 4] + means[8, 256]) / 2:.3f} with 8" in result.verdict
    for row in result.records:
        for measure in ("mean_max_weight", "query_gradient", "output_variance"):
            assert row[f"{measure}_low"] <= row[f"{measure}_median"] <= row[f"{measure}_high"]
