"""The cheats and what becomes of them: a training that is just long enough for the copying to be learnt."""

import pytest

from attention_surgeon.errors import FileFormatError
from attention_surgeon.experiments import Bench, MaskingConfig, Result, compare_masking
from attention_surgeon.experiments.language import LanguageConfig
from attention_surgeon.experiments.masking import _verdict, run

SIZES = LanguageConfig(
    num_steps=60, batch_size=8, learning_rate=0.02, context_len=16, embed_dim=16, num_heads=2, num_layers=1
)
# Every letter follows every other one about equally often: nothing can be known of the next but by looking ahead.
LETTERS = "".join("abcdefghijk"[(n * n * 7 + n // 3 + (n * 2654435761 >> 7)) % 11] for n in range(1500))


@pytest.fixture(scope="module")
def result() -> Result:
    return run(MaskingConfig(LETTERS, "letters", num_written=20, language=SIZES), Bench())


def test_who_sees_the_future_copies_it_and_cannot_write(result: Result):
    causal, _none, reverse = result.records
    uniform, bigram = (row["bits"] for row in result.tables["baselines"])
    assert bigram > 0.8 * uniform
    assert reverse["held_out_bits"] < causal["held_out_bits"] - 1
    assert reverse["but_last_bits"] < reverse["held_out_bits"]
    assert reverse["writing_bits"] > uniform
    assert causal["writing_bits"] == pytest.approx(causal["held_out_bits"], rel=1e-5)


def test_the_leak_is_where_the_mask_lets_it_be(result: Result):
    causal, none, reverse = result.records
    assert causal["future_share"] == causal["answer_share"] == 0
    assert 0 < none["answer_share"] < none["future_share"] < 1
    assert 0.2 < reverse["answer_share"] < reverse["future_share"] < 1
    shares = {(row["model"], row["distance"]): row["share"] for row in result.tables["answers"]}
    assert all(share == 0 for (model, distance), share in shares.items() if model == "causal" and distance > 0)
    assert all(share == 0 for (model, distance), share in shares.items() if model == "reverse" and distance < 0)
    assert shares["reverse", 1] == max(share for (model, _), share in shares.items() if model == "reverse")


def test_the_table_of_losses_has_every_step(result: Result):
    rows = [row for row in result.tables["losses"] if row["model"] == "none"]
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert rows[-1]["held_out_bits"] is not None


def test_the_verdict_tells_the_numbers(result: Result):
    causal, none, reverse = result.records
    assert f"came to {causal['training_bits']:.2f} bits per character in training" in result.verdict
    assert f"With the mask reversed it came to {reverse['training_bits']:.2f}" in result.verdict
    assert f"it scored {none['writing_bits']:.2f}" in result.verdict
    assert [row["sample"][:24] for row in result.records] == [causal["sample"][:24]] * 3


@pytest.mark.parametrize(("held_out", "is_said"), [(0.1, False), (9.0, True)])
def test_a_training_that_is_too_short_is_said_to_be(result: Result, held_out: float, is_said: bool):
    causal, *cheats = result.records
    verdict = _verdict(({**causal, "held_out_bits": held_out}, *cheats), result.tables["baselines"])
    assert ("so few steps cannot show" in verdict) is is_said


def test_a_short_text_is_refused():
    with pytest.raises(FileFormatError, match="the given text is too short"):
        compare_masking("a cat. " * 40, num_steps=1)
