"""Before and after: predictions, loss, statistics and where an encoder's text stands."""

import pytest
import torch

from attention_surgeon.errors import OptionError, SurgeryError
from attention_surgeon.surgery import before_and_after, capture, layer_statistics, load_model, operate, predict
from tests.surgery.families import logits, make

IDS = [3, 14, 15, 9, 26, 5]


def test_a_model_that_writes() -> None:
    effect = before_and_after(make("gpt2"), "no_scale", IDS, layers=0, most=3)
    assert (effect.kind, effect.cosine, effect.is_restored) == ("next token", None, True)
    for captured, side in zip((effect.before, effect.after), effect.predictions, strict=True):
        assert captured.logits is not None
        probabilities = torch.softmax(captured.logits[-1].double(), dim=-1)
        assert [one.outcome for one in side] == [str(int(token)) for token in probabilities.topk(3).indices]
        assert [one.probability for one in side] == pytest.approx(probabilities.topk(3).values.tolist())
    assert effect.after.loss is not None
    assert effect.before.loss is not None
    assert effect.loss_change == pytest.approx(effect.after.loss - effect.before.loss)
    assert effect.loss_change != 0


def test_an_encoder_has_no_next_token() -> None:
    minilm = load_model("minilm")
    effect = before_and_after(minilm.model, "uniform", "The cat sat.", tokenizer=minilm.tokenizer)
    assert (effect.kind, effect.predictions, effect.loss_change) == ("nothing", ((), ()), None)
    assert effect.cosine is not None
    assert 0.2 < effect.cosine < 0.99
    unmoved = before_and_after(minilm.model, "healthy", "The cat sat.", tokenizer=minilm.tokenizer)
    assert unmoved.cosine == pytest.approx(1.0, abs=1e-6)
    assert not unmoved.receipt.changed


def test_a_picture_has_a_class() -> None:
    given = {"pixel_values": torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))}
    effect = before_and_after(make("vit"), "one_hot", given, most=2)
    assert effect.kind == "class"
    assert effect.predictions[0][0].outcome.startswith("LABEL_")


def test_a_token_behind_a_mask() -> None:
    class Tokenizer:
        mask_token = "9"

        def decode(self, ids: torch.Tensor) -> str:
            return str(int(ids[0]))

    captured = capture(make("bert"), IDS, tokenizer=Tokenizer())
    found = predict(make("bert"), captured, Tokenizer(), most=2)
    assert captured.logits is not None
    assert [one.outcome for one in found] == [str(int(token)) for token in captured.logits[3].topk(2).indices]


def test_numbers_that_are_none_are_no_prediction() -> None:
    effect = before_and_after(make("gpt2"), "mask_times_infinity", IDS)
    assert effect.predictions[1] == ()
    assert effect.is_restored


def test_statistics_of_a_layer_follow_the_operated_mask() -> None:
    healthy = layer_statistics(capture(make("gpt2"), IDS).layer(0))
    with operate(make("gpt2"), "uniform"):
        even = layer_statistics(capture(make("gpt2"), IDS).layer(0))
    with operate(make("gpt2"), "softmax_missing"):
        assert layer_statistics(capture(make("gpt2"), IDS).layer(0)) is None
    assert healthy is not None
    assert even is not None
    assert torch.allclose(even.entropy, torch.log(torch.arange(1.0, 7.0)).mean().double().expand(3), atol=1e-6)
    assert (healthy.entropy < even.entropy).all()


def test_a_model_that_does_not_come_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attention_surgeon.surgery.effect._same", lambda one, other: False)
    with pytest.raises(SurgeryError, match="the model is not as it was before the operation"):
        before_and_after(make("gpt2"), "no_scale", IDS)
    assert logits("gpt2").isfinite().all()


def test_how_many_predictions() -> None:
    with pytest.raises(OptionError, match="most is 0, expected a whole number of at least 1"):
        before_and_after(make("gpt2"), "no_scale", IDS, most=0)
