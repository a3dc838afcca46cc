import dataclasses
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from attention_surgeon.errors import FileAccessError, FileFormatError, NonFiniteError, OptionError
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import Decoder, StepRecord, TrainingConfig, train
from attention_surgeon.models import checkpoint as checkpoints
from attention_surgeon.models.adamw import AdamW
from attention_surgeon.models.checkpoint import list_checkpoints, load_checkpoint
from attention_surgeon.ops import Mechanism, multiply_by
from tests.models.small import CONFIG, CORPUS, LENGTH, decoder


def same_parameters(one: Decoder, other: Decoder) -> bool:
    return all(torch.equal(mine, theirs) for mine, theirs in zip(one.parameters(), other.parameters(), strict=True))


@pytest.fixture(scope="module")
def whole() -> tuple[Decoder, tuple[StepRecord, ...]]:
    model = decoder(dropout=0.3)
    return model, train(model, CORPUS, CONFIG)


def test_it_learns(whole: tuple[Decoder, tuple[StepRecord, ...]]):
    model = decoder()
    config = dataclasses.replace(CONFIG, num_steps=30, learning_rate=0.03)
    records = train(model, CORPUS, config)
    assert [record.step for record in records] == list(range(1, 31))
    assert records[-1].loss < 0.8 * records[0].loss
    assert [record.step for record in records if record.held_out is not None] == list(range(5, 31, 5))


def test_the_first_step_by_hand():
    model, twin = decoder(), decoder()
    config = TrainingConfig(num_steps=1, batch_size=5, num_warmup=0, learning_rate=0.1, weight_decay=0.0)
    (record,) = train(model, CORPUS, config)
    windows = CORPUS.batch(step=1, batch_size=5, length=LENGTH)
    logits = twin(windows[:, :-1], causal_mask(LENGTH))
    loss = cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    loss.backward()
    assert record.loss == loss.item()
    weight, before = model.token_embedding.weight, twin.token_embedding.weight
    assert before.grad is not None
    used = before.grad.abs() > 1e-6
    step = 0.1 * 0.1  # the last step of a cosine goes at a tenth of the rate
    torch.testing.assert_close((before - weight)[used], step * before.grad.sign()[used], rtol=1e-2, atol=1e-6)


def test_the_optimiser_is_that_of_pytorch():
    model, twin = decoder().double(), decoder().double()
    mine = AdamW(model, weight_decay=0.3)
    matrices, others = ([p for p in twin.parameters() if (p.ndim >= 2) is is_matrix] for is_matrix in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}]
    theirs = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99))
    for step in range(1, 5):
        windows = CORPUS.batch(step=step, batch_size=3, length=LENGTH)
        for net in (model, twin):
            net.zero_grad()
            cross_entropy(net(windows[:, :-1], None).flatten(0, 1), windows[:, 1:].flatten()).backward()
        mine.step(0.01, step)
        theirs.step()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("stop", [1, 3, 4, 12])
def test_stopped_and_resumed_it_ends_bit_for_bit_the_same(
    stop: int, whole: tuple[Decoder, tuple[StepRecord, ...]], tmp_path: Path
):
    class Stopped(Exception):
        pass

    def stop_there(record: StepRecord) -> None:
        if record.step == stop:
            raise Stopped

    with pytest.raises(Stopped):
        train(decoder(dropout=0.3), CORPUS, CONFIG, folder=tmp_path, on_step=stop_there)
    torch.manual_seed(stop)  # the global random numbers must not matter
    model, told = decoder(dropout=0.3), []
    records = train(model, CORPUS, CONFIG, folder=tmp_path, on_step=told.append)
    assert records == tuple(told) == whole[1]
    assert same_parameters(model, whole[0])
    assert [path.name for path in list_checkpoints(tmp_path)] == [f"step-000000{step}.safetensors" for step in (13, 12)]


def test_a_finished_training_is_read_and_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = dataclasses.replace(CONFIG, num_steps=3)
    model = decoder()
    records = train(model, CORPUS, config, folder=tmp_path)
    monkeypatch.setattr(AdamW, "step", None)
    again = decoder()
    assert train(again, CORPUS, config, folder=tmp_path) == records
    assert same_parameters(model, again)


def test_a_broken_checkpoint_is_told_and_the_one_before_it_used(tmp_path: Path):
    config = dataclasses.replace(CONFIG, num_steps=6)
    model = decoder()
    records = train(model, CORPUS, config, folder=tmp_path)
    newest = list_checkpoints(tmp_path)[0]
    newest.write_bytes(newest.read_bytes()[:-9])
    told: list[str] = []
    again = decoder()
    assert train(again, CORPUS, config, folder=tmp_path, on_broken=told.append) == records
    assert same_parameters(model, again)
    assert len(told) == 1
    assert "step-00000006.safetensors is no checkpoint, or it was cut short" in told[0]
    assert told[0].endswith("The one before it is used.")


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = checkpoints.write_file

    def full(path: Path, content: bytes) -> None:
        if "00000006" in path.name:
            raise FileAccessError(f"cannot write {path}: the disk is full; free some space and try again.")
        write(path, content)

    monkeypatch.setattr(checkpoints, "write_file", full)
    with pytest.raises(FileAccessError, match="the disk is full"):
        train(decoder(), CORPUS, CONFIG, folder=tmp_path)
    assert load_checkpoint(tmp_path / "step-00000003.safetensors").step == 3


def test_another_training_is_not_continued(tmp_path: Path):
    train(decoder(), CORPUS, dataclasses.replace(CONFIG, num_steps=3), folder=tmp_path)
    with pytest.raises(OptionError, match=r"of another training: training\.learning_rate was 0\.003 and is now 0\.5\."):
        train(decoder(), CORPUS, dataclasses.replace(CONFIG, num_steps=3, learning_rate=0.5), folder=tmp_path)


def test_a_loss_that_is_no_number_stops_at_once():
    model = decoder()
    model.set_mechanism(Mechanism(scale=multiply_by(float("nan"))))
    with pytest.raises(NonFiniteError, match="the loss is nan at step 1; a lower learning rate"):
        train(model, CORPUS, CONFIG)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "its header does not describe one"),
        ("[", "its description is not JSON"),
        (
            '{"version": 9, "step": 1, "settings": {}, "records": []}',
            "of version 9; this package reads 2, so it has to be trained anew",
        ),
    ],
)
def test_a_file_that_is_no_checkpoint(tmp_path: Path, metadata: str | None, message: str):
    path = tmp_path / "step-00000001.safetensors"
    header = None if metadata is None else {"attention_surgeon_checkpoint": metadata}
    path.write_bytes(checkpoints.safetensors.torch.save({"x": torch.ones(1)}, metadata=header))
    with pytest.raises(FileFormatError, match=message):
        load_checkpoint(path)
