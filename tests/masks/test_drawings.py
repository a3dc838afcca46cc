"""Every mask, drawn: an over-strict mask passes every test for leaks, but not this one."""

import pytest
import torch

from attention_surgeon.masks import (
    Mask,
    causal_mask,
    document_mask,
    draw_mask,
    padding_mask,
    prefix_mask,
    reverse_mask,
    tensor_mask,
    token_padding_mask,
    window_mask,
)

IDS = torch.tensor([4, 4, 9, 4, 9])

DRAWINGS: dict[str, tuple[Mask, str]] = {
    "causal": (causal_mask(5), "x.... xx... xxx.. xxxx. xxxxx"),
    "causal, a cache": (causal_mask(3, 5), "xxx.. xxxx. xxxxx"),
    "causal, a cache, start": (causal_mask(3, 5, "start"), "x.... xx... xxx.."),
    "causal, few keys": (causal_mask(5, 3), "... ... x.. xx. xxx"),
    "causal, few keys, start": (causal_mask(5, 3, "start"), "x.. xx. xxx xxx xxx"),
    "causal, one": (causal_mask(1), "x"),
    "causal, one query": (causal_mask(1, 4), "xxxx"),
    "causal, one query, start": (causal_mask(1, 4, "start"), "x..."),
    "causal, one key": (causal_mask(3, 1), ". . x"),
    "reverse": (reverse_mask(5), "xxxxx .xxxx ..xxx ...xx ....x"),
    "reverse, a cache": (reverse_mask(3, 5), "..xxx ...xx ....x"),
    "reverse, a cache, start": (reverse_mask(3, 5, "start"), "xxxxx .xxxx ..xxx"),
    "reverse, few keys": (reverse_mask(5, 3), "xxx xxx xxx .xx ..x"),
    "reverse, few keys, start": (reverse_mask(5, 3, "start"), "xxx .xx ..x ... ..."),
    "reverse, one": (reverse_mask(1), "x"),
    "window of 1": (window_mask(3, size=1), "x.. .x. ..x"),
    "window of 1, two-sided": (window_mask(3, size=1, is_causal=False), "x.. .x. ..x"),
    "window of 3": (window_mask(5, size=3), "x.... xx... xxx.. .xxx. ..xxx"),
    "window of 3, two-sided": (window_mask(5, size=3, is_causal=False), "xxx.. xxxx. xxxxx .xxxx ..xxx"),
    "window of 2, a cache": (window_mask(3, 5, size=2), ".xx.. ..xx. ...xx"),
    "window of 2, a cache, start": (window_mask(3, 5, size=2, align="start"), "x.... xx... .xx.."),
    "window of 2, few keys": (window_mask(5, 3, size=2), "... ... x.. xx. .xx"),
    "window of 2, few keys, start": (window_mask(5, 3, size=2, align="start"), "x.. xx. .xx ..x ..."),
    "window of 2, two-sided, a cache": (window_mask(2, 5, size=2, is_causal=False), "..xxx ...xx"),
    "window wider than all": (window_mask(3, size=99), "x.. xx. xxx"),
    "prefix": (prefix_mask(5, prefix_len=3), "xxx.. xxx.. xxx.. xxxx. xxxxx"),
    "prefix of nothing": (prefix_mask(3, prefix_len=0), "x.. xx. xxx"),
    "prefix of all": (prefix_mask(3, prefix_len=3), "xxx xxx xxx"),
    "prefix, a cache": (prefix_mask(2, 5, prefix_len=1), "xxxx. xxxxx"),
    "prefix, a cache, start": (prefix_mask(2, 5, prefix_len=1, align="start"), "x.... xx..."),
    "prefix, few keys": (prefix_mask(5, 3, prefix_len=1), "x.. x.. x.. xx. xxx"),
    "padding, one sequence": (padding_mask(torch.tensor(2), 5), "xx..."),
    "padding, nothing real": (padding_mask(torch.tensor(0), 3), "..."),
    "padding, tokens": (token_padding_mask(torch.tensor([0, 7, 0, 5, 0]), 0), ".x.x."),
    "padding, an id that does not fit the dtype": (token_padding_mask(torch.tensor([44]).byte(), 300), "x"),
    "documents": (document_mask(IDS), "xx.x. xx.x. ..x.x xx.x. ..x.x"),
    "documents, other keys": (document_mask(IDS[1:4], IDS), "xx.x. ..x.x xx.x."),
    "tensor": (tensor_mask(torch.tensor([[1, 0, 1], [0, 0, 1]])), "x.x ..x"),
    "tensor, boolean": (tensor_mask(torch.tensor([[True, False, True]])), "x.x"),
    "both": (causal_mask(5) & document_mask(IDS), "x.... xx... ..x.. xx.x. ..x.x"),
    "both, a tensor first": (torch.tensor([[1, 0, 1]]) & causal_mask(3), "x.. x.. x.x"),
    "either": (causal_mask(3) | padding_mask(torch.tensor(2), 3), "xx. xx. xxx"),
    "either, a tensor first": (torch.tensor([[1, 0, 1]]) | causal_mask(3), "x.x xxx xxx"),
    "neither": (~(causal_mask(3) | padding_mask(torch.tensor(2), 3)), "..x ..x ..."),
    "what comes after": (~causal_mask(3), ".xx ..x ..."),
    "twice around": (~~causal_mask(3), "x.. xx. xxx"),
    "a band as a difference": (causal_mask(5) & ~window_mask(5, size=2), "..... ..... x.... xx... xxx.."),
    "padding spread over the queries": (padding_mask(torch.tensor(2), 3).broadcast_to((2, 3)), "xx. xx."),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_mask_is_what_its_drawing_shows(name: str):
    mask, drawing = DRAWINGS[name]
    assert mask.draw().split() == drawing.split()
    assert draw_mask(mask) == draw_mask(mask.dense()) == mask.draw()
    assert mask.shape == (len(drawing.split()), len(drawing.split()[0]))


@pytest.mark.parametrize(
    "make",
    [
        causal_mask,
        reverse_mask,
        lambda n_q, n_k: window_mask(n_q, n_k, size=2),
        lambda n_q, n_k: prefix_mask(n_q, n_k, prefix_len=0),
        lambda n_q, n_k: document_mask(torch.zeros(n_q).long(), torch.zeros(n_k).long()),
        lambda n_q, n_k: tensor_mask(torch.zeros(n_q, n_k).bool()),
    ],
)
@pytest.mark.parametrize(("n_q", "n_k"), [(0, 0), (0, 3), (3, 0)])
def test_no_queries_or_no_keys_is_a_mask_too(make, n_q: int, n_k: int):
    mask = make(n_q, n_k)
    assert mask.shape == (n_q, n_k)
    assert mask.dense().shape == (n_q, n_k)
    assert mask.dense().dtype == torch.bool
    assert mask.draw() == "\n" * max(n_q - 1, 0)


def test_no_sequences_is_a_mask_too():
    assert padding_mask([]).shape == (0, 1, 0)
    assert padding_mask(torch.tensor([], dtype=torch.int64), 5).dense().shape == (0, 1, 5)
    assert (padding_mask([], 5) & causal_mask(5)).dense().shape == (0, 5, 5)


def test_a_batch_is_drawn_in_blocks():
    assert padding_mask([1, 3]).draw() == "[0]\nx..\n\n[1]\nxxx"
    lengths = torch.tensor([[1, 2], [0, 1], [2, 2]])
    assert (padding_mask(lengths) & causal_mask(2)).draw().replace("\n\n", "|").replace("\n", " ") == (
        "[0, 0] x. x.|[0, 1] x. xx|[1, 0] .. ..|[1, 1] x. x.|[2, 0] x. xx|[2, 1] x. xx"
    )


def test_a_part_of_a_huge_mask_can_be_drawn():
    mask = causal_mask(1_000_000)
    assert mask.draw(slice(500_000, 500_002), slice(499_999, 500_003)) == "xx..\nxxx."
    assert mask.draw(slice(-2, None), slice(-3, None)) == "xx.\nxxx"


def test_lengths_may_be_a_tensor_a_list_or_a_tuple_of_any_integers():
    drawing = padding_mask([2, 3], 4).draw()
    assert padding_mask((2, 3), 4).draw() == drawing
    for dtype in (torch.uint8, torch.uint16, torch.int16, torch.int32, torch.int64):
        assert padding_mask(torch.tensor([2, 3], dtype=dtype), 4).draw() == drawing


def test_plain_tensors_are_drawn_as_attention_understands_them():
    low = torch.finfo(torch.float32).min
    drawing = "x..\nxx."
    for tensor in (
        torch.tensor([[True, False, False], [True, True, False]]),
        torch.tensor([[1, 0, 0], [1, 1, 0]]),
        torch.tensor([[0.0, -torch.inf, low], [0.0, 0.0, -torch.inf]]),
        torch.tensor([[0.5, -torch.inf, low], [-3.0, 1.0, -torch.inf]]),  # a bias is no reason to hide
    ):
        assert draw_mask(tensor) == drawing
    assert draw_mask(torch.zeros(2, 1, 3)) == "[0]\nxxx\n\n[1]\nxxx"
