import pytest
import torch

from attention_surgeon.errors import FileFormatError
from attention_surgeon.models import Corpus, shipped_corpus
from tests.models.small import CORPUS, TEXT


def test_every_tenth_paragraph_is_held_out_and_nothing_is_lost():
    paragraphs = [f"paragraph {n} " * 3 for n in range(30)]
    corpus = Corpus.from_text("\n\n".join(paragraphs))
    train, held_out = (corpus.tokenizer.decode(part).split("\n\n") for part in (corpus.train, corpus.held_out))
    assert held_out == paragraphs[9::10]
    assert train == [paragraph for n, paragraph in enumerate(paragraphs) if n % 10 != 9]


def test_a_text_of_one_paragraph_is_cut_near_its_end():
    train, held_out = (CORPUS.tokenizer.decode(part) for part in (CORPUS.train, CORPUS.held_out))
    assert train + held_out == TEXT
    assert len(held_out) == len(TEXT) // 10


def test_a_window_is_followed_by_the_next_character():
    batch = CORPUS.batch(step=3, batch_size=7, length=5)
    assert batch.shape == (7, 6)
    for window in batch:
        assert CORPUS.tokenizer.decode(window) in TEXT


def test_windows_depend_on_seed_and_step_alone():
    first = CORPUS.batch(step=3, batch_size=7, length=5, seed=2)
    torch.manual_seed(99)
    assert torch.equal(first, CORPUS.batch(step=3, batch_size=7, length=5, seed=2))
    assert not torch.equal(first, CORPUS.batch(step=4, batch_size=7, length=5, seed=2))
    assert not torch.equal(first, CORPUS.batch(step=3, batch_size=7, length=5, seed=3))


def test_every_held_out_character_but_the_first_is_predicted_once():
    windows = CORPUS.held_out_windows(5)
    assert torch.equal(windows[:, 1:].flatten(), CORPUS.held_out[1 : 1 + 5 * len(windows)])
    assert len(CORPUS.held_out) - 1 - 5 * len(windows) < 5
    assert torch.equal(windows[:-1, -1], windows[1:, 0])


def test_a_text_that_is_too_short_says_by_how_much():
    with pytest.raises(
        FileFormatError, match=r"mine\.txt is too short: .* have 90 and 10 characters, and each needs more"
    ):
        Corpus.from_text("a b c d e " * 10).require_length(10, "mine.txt")


def test_the_shipped_text_is_plain_and_long_enough():
    text = shipped_corpus()
    assert 25_000 < len(text) < 40_000
    assert text.isascii()
    assert len(set(text)) < 70
    assert len(text.split("\n\n")) > 100
