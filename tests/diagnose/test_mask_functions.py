"""Functions that make a mask of tokens: what is the same for each sequence, or for each query, is one mask."""

import pytest
import torch

from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.mask_functions import diagnose_mask


def subsequent_masking(x):
    batch, n = x.size()
    return torch.ones(n, n).triu(1).bool().expand(batch, n, n)


def reversed_subsequent_mask(tokens):
    return torch.ones(tokens.shape[1], tokens.shape[1]).triu().bool().expand(len(tokens), -1, -1)


def pad_masking(x, target_len):
    return (x == 0).unsqueeze(1).expand(len(x), target_len, x.shape[1])


def pad_mask(x, q_len):
    return (x == 0).unsqueeze(2).expand(len(x), x.shape[1], q_len)


@pytest.mark.parametrize(
    ("function", "verdict"),
    [(subsequent_masking, "right"), (reversed_subsequent_mask, "wrong"), (pad_masking, "right")],
)
def test_axes_that_are_the_same_again_are_taken_off(function, verdict: str):
    found = diagnose_mask(function, "")
    assert found is not None
    assert found.verdict == verdict


def test_a_padding_mask_of_queries_is_not_taken_for_one_of_keys():
    found = diagnose_mask(pad_mask, "")
    assert found is not None
    assert found.names == ("mask_hides_queries",)


def test_what_is_called_a_mask_is_not_held_to_be_a_softmax():
    def strange_mask(x):
        return torch.zeros_like(x)

    found = diagnose(strange_mask)
    assert found.verdict == "unjudged"
    assert found.reason == "I do not know what it is meant to be; say it with --contract (contract=...)."
