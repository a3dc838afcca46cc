import math
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from attention_surgeon.models import embed_tokens

SIZE = 256  # wide, so that chance similarities are small
SPELLING, ENDINGS = slice(0, SIZE // 4), slice(SIZE // 4, SIZE // 2)
NEIGHBOURS, REGION = slice(SIZE // 2, 3 * SIZE // 4), slice(3 * SIZE // 4, SIZE)


def alike(tokens: list[str], band: slice) -> Tensor:
    vectors = embed_tokens(tokens, SIZE)[:, band]
    return vectors @ vectors.T


def test_each_band_of_each_row_has_length_one():
    vectors = embed_tokens(["The", "x", "cat", "antidisestablishmentarianism"], 64)
    assert vectors.shape == (4, 64)
    assert vectors.dtype == torch.float32
    assert torch.allclose(vectors.unflatten(-1, (4, 16)).norm(dim=-1), torch.ones(4, 4))


def test_upper_case_counts_as_lower_case():
    the, THE, other = embed_tokens(["the", "THE", "cat"], 64)[:, :32]
    assert torch.equal(the, THE)
    assert not torch.equal(the, other)


def test_words_spelt_alike_are_alike():
    similarity = alike(["cat", "sat", "catalogue", "dog"], SPELLING)[0]
    assert similarity.tolist() == pytest.approx([1.0, 0.5, 0.5, 0.0], abs=0.25)
    assert similarity[1] > similarity[3] + 0.2
    assert similarity[2] > similarity[3] + 0.2


def test_words_that_end_alike_are_alike():
    similarity = alike(["walking", "singing", "walked", "king"], ENDINGS)[0]
    assert similarity[1] == pytest.approx(1.0)  # the last three letters are the same
    assert similarity[3] > 0.9
    assert abs(similarity[2]) < 0.3


def test_the_similarity_is_the_share_of_common_letter_groups():
    """By hand: "ab" has a, b, <a, ab, b>, <ab, ab>; "abb" has a, b, b, <a, ab, bb, b>, <ab, abb, bb>."""
    wide = embed_tokens(["ab", "abb"], 8 * 4096)[:, : 2 * 4096]
    common, lengths = 1 + 2 + 1 + 1 + 1 + 1, (math.sqrt(7), math.sqrt(12))
    assert float(wide[0] @ wide[1]) == pytest.approx(common / (lengths[0] * lengths[1]), abs=0.03)


def test_accents_are_marks_of_their_own():
    composed, taken_apart, plain = embed_tokens(["é", "e\u0301", "e"], SIZE)[:, SPELLING]
    assert torch.equal(composed, taken_apart)
    assert 0.2 < composed @ plain < 0.9


def test_positions_are_alike_when_near():
    tokens = ["x"] * 64
    for band, reach in ((NEIGHBOURS, 4), (REGION, 16)):
        similarity = alike(tokens, band)
        assert (similarity[0, :reach].diff() < 0).all()
        assert torch.allclose(similarity[3, :29], similarity[13, 10:39], atol=1e-5)  # the distance alone counts
    assert alike(tokens, NEIGHBOURS)[0, 5] < alike(tokens, REGION)[0, 5] - 0.4


def test_the_seed_changes_the_letters_and_not_the_positions():
    one, other = embed_tokens(["cat"], SIZE, seed=0), embed_tokens(["cat"], SIZE, seed=1)
    assert not torch.allclose(one[:, SPELLING], other[:, SPELLING])
    assert not torch.allclose(one[:, ENDINGS], other[:, ENDINGS])
    assert torch.equal(one[:, NEIGHBOURS], other[:, NEIGHBOURS])
    assert torch.equal(one[:, REGION], other[:, REGION])


def test_the_same_vectors_in_every_process():
    """Python's own `hash` changes from process to process."""
    code = "from attention_surgeon.models import embed_tokens; print(embed_tokens(['cat', '猫'], 8).tolist())"
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(embed_tokens(["cat", "猫"], 8).tolist())


def test_known_numbers():
    """Written down once, so that a picture can be made again years later: sums of +1 and -1, made 1 long."""
    spelling, endings = embed_tokens(["cat"], 32)[0, :16].chunk(2)
    ten_groups = torch.tensor([0.0, 2, 2, 0, 8, 0, 0, 0])
    three_groups = torch.tensor([-1.0, 1, -1, -3, -1, 1, -1, -1])
    assert torch.allclose(spelling, ten_groups / ten_groups.norm())
    assert torch.allclose(endings, three_groups / three_groups.norm())


def test_no_tokens_no_rows():
    assert embed_tokens([], 64).shape == (0, 64)


@given(st.lists(st.text(), max_size=4), st.integers())
def test_any_tokens_get_finite_vectors(tokens: list[str], seed: int):
    assert embed_tokens(tokens, 16, seed).isfinite().all()
