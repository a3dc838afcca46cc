"""The word model that ships: what it is trained on, what it is measured with, and what it can do."""

import json
import math
import zlib
from pathlib import Path

import pytest
import torch

from attention_surgeon.errors import FileFormatError, OptionError
from attention_surgeon.surgery import capture, load_model, operate
from attention_surgeon.surgery import train_writer as training
from attention_surgeon.surgery.writer_card import head_scores, n_gram_bits

FOLDER = Path(training.__file__).parent / "writer"


def _r_string(text: str) -> bytes:
    return b"\x00\x04\x00\x09" + len(text.encode()).to_bytes(4, "big") + text.encode()


def test_novels_come_out_of_the_data_base_of_r_as_paragraphs(tmp_path: Path):
    streams = (["EMMA", "", "Handsome, _clever_,", "and rich.", ""], ["Second", "", "End."])
    packed = [zlib.compress(b"".join(map(_r_string, lines))) for lines in streams]
    path = tmp_path / "Rdata.rdb"
    path.write_bytes(b"".join(len(each).to_bytes(4, "big") + each for each in packed))
    assert training.read_source(path) == "EMMA\nHandsome, clever, and rich.\nSecond\nEnd."
    path.write_bytes(b"nothing of that kind")
    with pytest.raises(FileFormatError, match="no data base of R"):
        training.read_source(path)


def test_what_is_held_out_is_not_trained_on():
    text = "".join(chr(0x4E00 + n) for n in range(20)) * 20_000
    train, held_out = training.split_text(text)
    assert len(train) + len(held_out) == len(text)
    assert len(held_out) == len(text) // 10


def test_the_last_windows_of_a_step_repeat_themselves():
    config = training.WriterConfig(batch_size=3, num_repeating=1, context_len=64)
    tokens = torch.arange(1000)
    windows = training.windows_at(5, tokens, config)
    assert windows.shape == (3, 65)
    assert (windows[:2].diff() == 1).all()
    last = windows[2]
    assert any(torch.equal(last[period:], last[:-period]) for period in range(5, 33))
    assert torch.equal(windows, training.windows_at(5, tokens, config))


def test_the_model_begins_with_a_circuit_that_looks_back():
    config = training.WriterConfig(vocabulary_size=300, context_len=128, num_layers=2)
    scores = head_scores(training.build_model(config).eval(), torch.arange(300))
    assert scores["previous"][0][0] > 0.8
    assert scores["induction"][1][0] > 0.6
    assert max(scores["previous"][0][1:] + scores["induction"][1][1:]) < 0.2


def test_n_grams_by_hand():
    # "aab": a 2 of 3, b 1 of 3, two kinds: p(a) = (2 + 2/3) / 5, p(b) = (1 + 2/3) / 5, with 1/3 for each symbol below
    bits = -math.log2((2 + 2 / 3) / 5) - math.log2((1 + 2 / 3) / 5)
    assert n_gram_bits("aab", "ab", 1) == pytest.approx(bits)
    assert n_gram_bits("ab" * 50, "ab" * 20, 2) < n_gram_bits("ab" * 50, "ab" * 20, 1)


def test_nothing_to_train_on_is_a_sentence():
    with pytest.raises(OptionError, match=r"pass the path of Rdata\.rdb"):
        training.main(["--steps", "3"])


def test_the_model_that_ships_is_small_and_what_its_card_says():
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert sum(files.values()) < 8e6
    card = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
    loaded = load_model("writer")
    assert card["parameters"] == sum(one.numel() for one in loaded.model.parameters())
    assert next(loaded.model.parameters()).dtype == torch.float32
    bits = card["bits_per_byte"]
    assert bits["model"] < bits["bigram of characters"]
    ids = torch.tensor(loaded.tokenizer.encode("The captain was a man of good fortune, and his wife was kind. " * 40))
    scores = head_scores(loaded.model, ids)
    for name, least in (("previous", 0.5), ("induction", 0.3)):
        assert max(max(each) for each in scores[name]) > least, name


def test_the_model_that_ships_is_operated_on_with_a_receipt():
    loaded = load_model("writer")
    text = "the jolly captain and the jolly captain"
    before = capture(loaded.model, text, tokenizer=loaded.tokenizer)
    assert "".join(before.tokens) == text
    with operate(loaded.model, "knock_out", layers=0, heads=0) as receipt:
        after = capture(loaded.model, text, tokenizer=loaded.tokenizer)
    assert receipt.changed
    assert before.loss is not None
    assert after.loss != before.loss
