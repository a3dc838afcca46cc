"""A fault as an ablation: it is really in the model, and the healthy one beside it really is healthy."""

import pytest

from attention_surgeon.errors import OptionError
from attention_surgeon.experiments import Bench, experiment_named
from attention_surgeon.experiments.language import LanguageConfig

SMALL = LanguageConfig(
    num_steps=15, batch_size=8, learning_rate=1e-2, context_len=24, embed_dim=24, num_heads=2, num_layers=1
)


def run(name, tmp_path):
    experiment = experiment_named("fault")
    return experiment.run(experiment.make_config(name=name, language=SMALL), Bench(tmp_path / name))


def test_a_mask_that_is_ignored_lets_the_model_see_the_answer(tmp_path):
    healthy, faulty = run("mask_ignored", tmp_path).records
    assert (healthy["model"], faulty["model"]) == ("healthy", "mask_ignored")
    assert healthy["held_out_bits"] == pytest.approx(healthy["written_bits"], abs=0.3)
    assert faulty["written_bits"] != pytest.approx(healthy["written_bits"], abs=1e-6)
    assert faulty["entropy"] > healthy["entropy"]  # more keys to spread over


def test_the_same_fault_gives_the_same_records(tmp_path):
    first, again = run("scale_multiplied", tmp_path / "a"), run("scale_multiplied", tmp_path / "b")
    assert first.records == again.records
    assert "scale_multiplied" in first.verdict


def test_a_fault_that_no_layer_can_have_is_refused():
    with pytest.raises(OptionError, match="entropy_in_bits is a fault of statistics"):
        experiment_named("fault").make_config(name="entropy_in_bits")


def test_an_unknown_fault_is_refused_with_the_near_names():
    with pytest.raises(OptionError, match="scale_missing"):
        experiment_named("fault").make_config(name="scale_mising")
