"""Every head alone: the loss that it costs, task by task, here or elsewhere."""

from collections.abc import Iterator, Mapping

import pytest
import torch

from attention_surgeon.errors import OptionError, SurgeonError, SurgeryError
from attention_surgeon.models import Corpus, Decoder, DecoderConfig, TrainingConfig, train
from attention_surgeon.surgery import LoadedModel, capture, load_model, operate
from attention_surgeon.surgery.sweep import HeadResult, HeadTask, plan_heads, sweep_heads, try_head, try_here
from tests.surgery.families import make

TEXT = "the cat sat on the mat and the dog sat on the cat. " * 8


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder, corpus = tmp_path_factory.mktemp("decoder"), Corpus.from_text(TEXT)
    model = Decoder(DecoderConfig(vocabulary_size=corpus.tokenizer.size, context_len=11, embed_dim=12, num_heads=3))
    train(model, corpus, TrainingConfig(num_steps=3, batch_size=3), folder=folder)
    return load_model(folder / "step-00000003.safetensors")


def test_the_loss_of_each_head(decoder: LoadedModel) -> None:
    text = "the cat sat on the mat"
    tasks = plan_heads(decoder, "knock_out", text)
    assert [(task.layer, task.head) for task in tasks] == [(str(layer), head) for layer in (0, 1) for head in range(3)]
    pieces = [text[:11], text[11:]]
    results = sweep_heads(tasks, try_here(decoder))
    for one in results:
        with operate(decoder.model, "knock_out", layers=one.layer, heads=one.head):
            losses = [capture(decoder.model, piece, tokenizer=decoder.tokenizer).loss for piece in pieces]
        assert None not in losses
        assert one.after == pytest.approx(sum(loss or 0.0 for loss in losses) / 2)
        assert (one.measure, one.kv_head, one.changed) == ("loss", one.head, True)
    assert len({one.before for one in results}) == 1
    assert len({one.after for one in results}) == 6
    assert results[0].change == results[0].after - results[0].before


def test_what_is_known_is_not_made_again(decoder: LoadedModel) -> None:
    tasks = plan_heads(decoder, "uniform", "the cat sat", layers=1)
    all_of_them = sweep_heads(tasks, try_here(decoder))
    known = {tasks[1].name: all_of_them[1]}
    asked: list[str] = []

    def tried(missing: Mapping[str, HeadTask]) -> Iterator[tuple[str, HeadResult | SurgeonError]]:
        asked.extend(missing)
        yield from reversed(list(try_here(decoder)(missing)))

    seen: list[HeadTask] = []
    assert sweep_heads(tasks, tried, known=known, on_result=lambda task, _: seen.append(task)) == all_of_them
    assert asked == [tasks[0].name, tasks[2].name]
    assert seen == [tasks[2], tasks[0]]


def test_a_task_in_another_process_is_the_same(decoder: LoadedModel) -> None:
    tasks = plan_heads(decoder, "no_scale", "the cat sat", heads=[2])
    assert [try_head(task) for task in tasks] == list(sweep_heads(tasks, try_here(decoder)))
    gone = HeadTask("no such model!", "no_scale", tasks[0].windows, "0", 1)
    assert "there is no folder" in str(try_head(gone))


def test_tasks_have_names_of_their_own(decoder: LoadedModel) -> None:
    texts, faults = ("the cat", "the mat"), ("knock_out", "uniform")
    tasks = [task for text in texts for fault in faults for task in plan_heads(decoder, fault, text)]
    assert len({task.name for task in tasks}) == len(tasks) == 24


def test_models_without_a_loss() -> None:
    minilm = load_model("minilm")
    tasks = plan_heads(minilm, "knock_out", "The cat sat on the mat. The dog sat.", layers=0, heads=[3], window=7)
    assert [len(ids) for ids in tasks[0].windows] == [9, 6]  # with [CLS] and [SEP] around each
    (one,) = sweep_heads(tasks, try_here(minilm))
    assert (one.measure, one.before) == ("distance", 0.0)
    assert 0 < one.after < 0.1

    class Numbers:
        def encode(self, text: str) -> list[int]:
            return [int(word) for word in text.split()]

    bert = LoadedModel(make("bert"), Numbers(), "bert")
    (one,) = sweep_heads(plan_heads(bert, "knock_out", "3 14 15 9", layers=0, heads=1), try_here(bert))
    own = capture(make("bert"), [3, 14, 15, 9]).logits
    with operate(make("bert"), "knock_out", layers=0, heads=1):
        new = capture(make("bert"), [3, 14, 15, 9]).logits
    assert own is not None
    assert new is not None
    expected = torch.nn.functional.kl_div(
        new.double().log_softmax(-1), own.double().log_softmax(-1), log_target=True, reduction="none"
    )
    assert one.measure == "divergence"
    assert one.after == pytest.approx(float(expected.sum(-1).mean()), rel=1e-5)


def test_what_cannot_be_swept(decoder: LoadedModel) -> None:
    with pytest.raises(OptionError, match="the text has 1 tokens, expected at least two"):
        plan_heads(decoder, "knock_out", "t")
    with pytest.raises(SurgeryError, match="projection_shared cannot act"):
        plan_heads(decoder, "projection_shared", "the cat")
    with pytest.raises(OptionError, match="there is no head 3 in layer 0"):
        plan_heads(decoder, "knock_out", "the cat", heads=3)
    with pytest.raises(OptionError, match="came without a tokenizer"):
        plan_heads(LoadedModel(make("gpt2"), None, "gpt2"), "knock_out", "the cat")
    with pytest.raises(OptionError, match="window is 1, expected a whole number of at least 2"):
        plan_heads(decoder, "knock_out", "the cat", window=1)
    tasks = plan_heads(decoder, "key_not_transposed", "the cat")
    with pytest.raises(SurgeryError, match="layer 0: query"):
        sweep_heads(tasks, try_here(decoder))
