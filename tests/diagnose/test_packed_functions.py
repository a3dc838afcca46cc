"""Attention over packed sequences: each sees its own keys, and nothing of its neighbours."""

import pytest
import torch

from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.packed_functions import diagnose_packed


def packed(change=""):
    def attend(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q=None, causal=False):
        parts = []
        for i in range(len(cu_seqlens_q) - 1):
            own_q = q[cu_seqlens_q[i] : cu_seqlens_q[i + 1]]
            first = 0 if change == "from the first" else cu_seqlens_k[i]
            own_k, own_v = (x[first : cu_seqlens_k[i + 1]] for x in (k, v))
            if change == "tiled":
                own_k, own_v = (x.repeat(1, q.shape[1] // k.shape[1], 1) for x in (own_k, own_v))
            own_k, own_v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (own_k, own_v))
            scores = torch.einsum("qhd,khd->hqk", own_q, own_k) / q.shape[-1] ** 0.5
            if causal and change != "future":
                n, m = scores.shape[1:]
                offset = 0 if change == "start" else m - n
                scores = scores.masked_fill(torch.ones(n, m).triu(1 + offset).bool(), -torch.inf)
            parts.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), own_v))
        return torch.cat(parts)

    return attend


def test_a_right_one_is_right():
    found = diagnose(packed())
    assert (found.verdict, found.kind) == ("right", ("attention over packed sequences",))
    assert any("causal" in call for call in found.calls)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("from the first", "mask_misread"),
        ("tiled", "heads_tiled"),
        ("future", "causal_ignored"),
        ("start", "causal_aligned_at_start"),
    ],
)
def test_a_wrong_one_is_named(change, name):
    found = diagnose(packed(change))
    assert (found.verdict, found.names) == ("wrong", (name,))
    assert "sequences of" in found.mistakes[0].seen[0]


def test_the_text_says_where_its_causal_mask_lies():
    found = diagnose_packed(packed("start"), "the mask is aligned to the top left corner")
    assert found is not None
    assert found.verdict == "right"


def test_nothing_else_is_judged():
    assert diagnose_packed(lambda q, k, v: q, "") is None
    assert diagnose_packed(lambda q, k, v, cu_seqlens, table: q, "") is None
    assert diagnose_packed(torch.nn.Linear(2, 2), "") is None
