"""Models by name: what is read, what is refused, and what is said where the hub is far away."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import torch

from attention_surgeon.errors import FileAccessError, FileFormatError, LoadError
from attention_surgeon.models import Corpus, Decoder, DecoderConfig, TrainingConfig, train
from attention_surgeon.surgery import capture, load_model, operate
from tests.surgery.families import logits, make

TEXT = "the cat sat on the mat and the dog sat on the cat. " * 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make("gpt2").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_is_read(folder: Path) -> None:
    loaded = load_model(folder)
    assert (type(loaded.model).__name__, loaded.tokenizer, loaded.model.training) == ("GPT2LMHeadModel", None, False)
    for own, read in zip(make("gpt2").state_dict().values(), loaded.model.state_dict().values(), strict=True):
        assert torch.equal(own, read)


def test_weights_that_can_run_code_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileFormatError, match="holds no weights; expected a file"):
        load_model(folder)
    (folder / "pytorch_model.bin").write_bytes(b"no pickle is read")
    with pytest.raises(FileFormatError, match=r"holds weights as pytorch_model\.bin, which can run code when read"):
        load_model(folder)


def test_code_of_its_own_is_never_run(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(LoadError, match=r"brings code of its own .* which is never run here"):
        load_model(folder)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "holds no config.json"), ("{", "is no JSON"), ("[]", "does not describe a model")]
)
def test_no_model_in_the_folder(folder: Path, content: str | None, message: str) -> None:
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(FileFormatError, match=message):
        load_model(folder)


def test_damaged_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(FileFormatError, match="holds no model that transformers can load"):
        load_model(folder)


def test_the_hub_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> object:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(FileAccessError) as told:
        load_model("nobody/nothing")
    assert str(told.value) == (
        "there is no folder nobody/nothing, and the Hugging Face hub cannot be reached ([Errno -2] Name or service "
        "not known). Pass a folder, or a built-in example: writer, minilm, tiny."
    )


def test_no_id_of_the_hub() -> None:
    with pytest.raises(FileAccessError, match="there is no folder no such model!, and it is no id of the hub"):
        load_model("no such model!")


def test_a_checkpoint_of_this_package(tmp_path: Path) -> None:
    corpus = Corpus.from_text(TEXT)
    model = Decoder(DecoderConfig(vocabulary_size=corpus.tokenizer.size, context_len=11, embed_dim=12, num_heads=3))
    train(model, corpus, TrainingConfig(num_steps=2, batch_size=2), folder=tmp_path)
    loaded = load_model(tmp_path / "step-00000002.safetensors")
    before = capture(loaded.model, "the cat", tokenizer=loaded.tokenizer)
    assert before.tokens == tuple("the cat")
    assert before.logits is not None
    assert before.loss is not None
    with operate(loaded.model, "knock_out", layers=1) as receipt:
        after = capture(loaded.model, "the cat", tokenizer=loaded.tokenizer)
    assert receipt.changed
    assert after.loss != before.loss
    shutil.copy(tmp_path / "step-00000002.safetensors", tmp_path / "other.safetensors")
    assert type(load_model(tmp_path / "other.safetensors").model) is Decoder


def test_the_tiny_decoder_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("attention_surgeon.surgery.tiny._TRAINING", TrainingConfig(num_steps=2, batch_size=2))
    notes: list[str] = []
    first = load_model("tiny", notes.append)
    second = load_model("tiny", notes.append)
    assert notes == ["training the tiny decoder, 2 steps, once"]
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_loaded_model_writes_what_was_saved(folder: Path) -> None:
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        assert torch.equal(load_model(str(folder)).model(ids).logits, make("gpt2", "sdpa")(ids).logits)
    assert logits("gpt2").isfinite().all()
