"""Masks under `&`, `|`, `~`, spread over a batch and heads; as keys of a dictionary; and where Python would mislead."""

import copy
import pickle

import numpy as np
import pytest
import torch

from attention_surgeon.errors import ArgumentTypeError, MaskError, ShapeError
from attention_surgeon.masks import (
    Mask,
    causal_mask,
    document_mask,
    padding_mask,
    prefix_mask,
    reverse_mask,
    tensor_mask,
    token_padding_mask,
    window_mask,
)
from tests.masks.probes import random_cells


def test_batches_broadcast():
    lengths, ids = torch.tensor([[3], [5], [2]]), torch.arange(2 * 5).reshape(2, 5) // 3
    mask = causal_mask(5) & padding_mask(lengths, 5) & document_mask(ids)
    assert mask.shape == (3, 2, 5, 5)
    keep = torch.arange(5) < lengths[..., None, None]
    same = ids[:, :, None] == ids[:, None, :]
    assert torch.equal(mask.dense(), torch.ones(5, 5).tril().bool() & keep & same)


def test_heads_come_between_batch_and_positions():
    per_sequence = causal_mask(5, 7) & padding_mask([7, 3])
    per_head = random_cells(3, 5, 7, seed=2)
    assert per_sequence.with_heads().shape == (2, 1, 5, 7)
    assert padding_mask([7, 3]).with_heads().shape == (2, 1, 1, 7)
    assert causal_mask(5, 7).with_heads().shape == (1, 5, 7)
    mask = per_sequence.with_heads() & tensor_mask(per_head)
    assert torch.equal(mask.dense(), per_sequence.dense()[:, None] & per_head)
    assert torch.equal((per_head | per_sequence.with_heads()).dense(), per_sequence.dense()[:, None] | per_head)


def test_one_row_for_all_queries_goes_on_being_one():
    keys = padding_mask([2, 3]) & ~token_padding_mask(torch.tensor([0, 4, 4]), 4) & torch.ones(1, 3).bool()
    assert keys.shape == (2, 1, 3)
    assert (keys.with_heads() & causal_mask(5, 3)).shape == (2, 1, 5, 3)
    assert keys.broadcast_to((2, 11, 3)).draw(slice(6, 8)) == "[0]\n.x.\n.x.\n\n[1]\n.xx\n.xx"
    assert keys.broadcast_to((2, 0, 3)).dense().shape == (2, 0, 3)


def test_a_mask_of_one_query_is_no_row_for_all():
    for mask in (causal_mask(1, 7), document_mask(torch.zeros(1).long(), torch.zeros(7).long())):
        with pytest.raises(ShapeError, match="n_q, must be the same, not 1 and 5"):
            mask & causal_mask(5, 7)
        with pytest.raises(ShapeError, match=r"\(1, 7\) cannot be broadcast to \(5, 7\)"):
            mask.broadcast_to((5, 7))
        spread = (mask & padding_mask([7])).with_heads()
        with pytest.raises(ShapeError, match="n_q, must be the same, not 5 and 1"):
            causal_mask(5, 7) | spread


def test_spreading_to_its_own_shape_is_the_mask_itself():
    mask = causal_mask(5) & padding_mask([2, 5])
    assert mask.broadcast_to((2, 5, 5)) is mask
    spread = mask.broadcast_to(torch.Size((3, 2, 5, 5)))
    assert type(spread.shape) is tuple
    assert torch.equal(spread.dense(), mask.dense().expand(3, 2, 5, 5))


def test_and_or_not_as_words_are_refused():
    for wrong in (
        lambda: causal_mask(3) and padding_mask([3]),
        lambda: not causal_mask(3),
        lambda: bool(causal_mask(3)),
        lambda: causal_mask(3) or None,
    ):
        with pytest.raises(MaskError, match="neither true nor false"):
            wrong()


@pytest.mark.usefixtures("own_messages")
@pytest.mark.parametrize("other", [None, True, [[True]], np.ones((3, 3), dtype=bool)])
def test_only_masks_and_tensors_combine_from_either_side(other: object):
    expected = f"{type(other).__name__}: a mask is combined with another mask or a boolean torch.Tensor."
    for wrong in (
        lambda: causal_mask(3) & other,
        lambda: other & causal_mask(3),
        lambda: causal_mask(3) | other,
        lambda: other | causal_mask(3),
    ):
        with pytest.raises(ArgumentTypeError) as caught:
            wrong()
        assert str(caught.value)[7:] == expected


IDS = torch.tensor([0, 0, 1, 1, 2])
ALIKE = [
    lambda: causal_mask(5),
    lambda: causal_mask(5, 7),
    lambda: causal_mask(5, 7, "start"),
    lambda: reverse_mask(5),
    lambda: window_mask(5, size=2),
    lambda: window_mask(5, size=3),
    lambda: prefix_mask(5, prefix_len=1),
    lambda: prefix_mask(5, prefix_len=2),
    lambda: padding_mask([2, 3], 5),
    lambda: padding_mask([2, 4], 5),
    lambda: token_padding_mask(IDS, 2),
    lambda: document_mask(IDS),
    lambda: document_mask(IDS, 2 - IDS),
    lambda: document_mask(IDS % 2),
    lambda: tensor_mask(torch.ones(5, 5).bool()),
    lambda: tensor_mask(torch.eye(5).bool()),
    lambda: ~causal_mask(5),
    lambda: causal_mask(5) & document_mask(IDS),
    lambda: causal_mask(5) | document_mask(IDS),
    lambda: document_mask(IDS) & causal_mask(5),
    lambda: causal_mask(5).with_heads(),
    lambda: causal_mask(5).broadcast_to((2, 5, 5)),
]


def test_masks_written_alike_are_equal_and_hash_alike():
    first, again = [make() for make in ALIKE], [make() for make in ALIKE]
    for i, mask in enumerate(first):
        assert [mask == other for other in again] == [i == j for j in range(len(again))]
        assert hash(mask) == hash(again[i])
    assert len(set(first + again)) == len(ALIKE)
    assert causal_mask(5) != "causal"


def test_masks_survive_copying_and_pickling():
    for make in ALIKE:
        mask = make()
        assert copy.deepcopy(mask) == pickle.loads(pickle.dumps(mask)) == mask


def test_masks_do_not_change():
    with pytest.raises(AttributeError):
        causal_mask(5).shape = (3, 3)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("mask", "shown"),
    [
        (causal_mask(5, 7), "<mask (5, 7): k - q <= 2>"),
        (reverse_mask(5, 7), "<mask (5, 7): k - q >= 2>"),
        (window_mask(5, 7, size=3), "<mask (5, 7): 0 <= k - q <= 2>"),
        (prefix_mask(5, prefix_len=3), "<mask (5, 5): k < 3 or k - q <= 0>"),
        (padding_mask([2, 3]).with_heads(), "<mask (2, 1, 1, 3): kept keys>"),
        (document_mask(IDS), "<mask (5, 5): same document>"),
        (tensor_mask(torch.eye(3).bool()), "<mask (3, 3): given cells>"),
        (
            ~(causal_mask(3) | padding_mask([2], 3)) & causal_mask(3),
            "<mask (1, 3, 3): (~((k - q <= 0) | (kept keys))) & (k - q <= 0)>",
        ),
    ],
)
def test_a_mask_shows_shape_and_rule(mask: Mask, shown: str):
    assert repr(mask) == shown
