"""The cases in `modern/` are what they say: each wrong one misses what its right twin answers.

Right twins agree with PyTorch where it has the same, and with themselves where the sequence is given in pieces.
"""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests.cases.calls import MODERN, call_of, load, make, rand, x
from tests.cases.run import read_case

RIGHT = sorted(MODERN.glob("right_*.py"))
WRONG = sorted(MODERN.glob("wrong_*.py"))
CALLS = set(vars(__import__("tests.cases.calls", fromlist=["calls"])))


def named(file: Path) -> str:
    return file.stem


def call_and_twin(file: Path) -> tuple[str, Path]:
    """Return the name of the call of a wrong file, and the right file beside it."""
    name = file.stem.removeprefix("wrong_")
    right = name.partition("__")[0]
    return name if name in CALLS else right, MODERN / f"right_{right}.py"


answers_of = cache(call_of)  # a right file has five wrong twins


def same(left: torch.Tensor, right: torch.Tensor) -> bool:
    return left.shape == right.shape and torch.allclose(left, right, rtol=0, atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("file", [*RIGHT, *WRONG], ids=named)
def test_the_first_line_names_an_object_of_the_file(file: Path):
    case = read_case(file)
    assert case is not None
    name = case.target.rpartition(":")[2]
    assert hasattr(load(file), name)
    assert bool(case.kinds) == file.name.startswith("wrong_")


def test_there_are_as_many_as_were_asked_for():
    cases = [case for file in WRONG if (case := read_case(file))]
    assert len(RIGHT) >= 80
    assert len(WRONG) >= 160
    assert sum(len(case.kinds) == 2 for case in cases) >= 20


@pytest.mark.parametrize("file", RIGHT, ids=named)
def test_a_right_case_answers_its_call_alike_and_with_numbers(file: Path):
    name = file.stem.removeprefix("right_")
    first, second = answers_of(name, file), call_of(name, file)
    assert not any(part.isnan().any() for part in first)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("file", WRONG, ids=named)
def test_a_wrong_case_differs_from_its_right_twin(file: Path):
    name, twin = call_and_twin(file)
    pairs = list(zip(answers_of(name, twin), call_of(name, file), strict=True))
    assert pairs
    assert not all(same(right, wrong) for right, wrong in pairs)


def right(name: str):
    return load(MODERN / f"right_{name}.py")


def answers(name: str) -> list[torch.Tensor]:
    return answers_of(name, MODERN / f"right_{name}.py")


def close(left: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(left, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_causal", [False, True])
def test_functions_agree_with_pytorch(is_causal: bool):
    q, k, v = x(2, 4, 7, 6), x(2, 4, 7, 6), x(2, 4, 7, 6)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
    close(right("own_sdpa").scaled_dot_product_attention(q, k, v, is_causal=is_causal), expected)
    close(right("attn_online_blocks").flash_attention_forward(q, k, v, 3, causal=is_causal), expected)
    moved = [part.transpose(1, 2) for part in (q, k, v)]
    close(right("attn_einsum_bnhd_gqa").grouped_attention(*moved, causal=is_causal), expected.transpose(1, 2))
    lens = torch.tensor([0, 7, 14])
    packed = [part.flatten(0, 1) for part in moved]
    varlen = right("varlen_packed").flash_attn_varlen_func(*packed, lens, lens, 7, 7, causal=is_causal)
    close(varlen, expected.transpose(1, 2).flatten(0, 1))
    if not is_causal:
        close(right("xformers_bnhd").memory_efficient_attention(*moved), expected.transpose(1, 2))


def test_functions_with_a_mask_agree_with_pytorch():
    q, k, v, keep = x(2, 5, 4), x(2, 7, 4), x(2, 7, 4), rand(2, 5, 7) > 0.4
    keep[..., 0] = True
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
    close(right("own_sdpa").scaled_dot_product_attention(q, k, v, keep), expected)
    close(right("annotated_transformer").attention(q, k, v, keep)[0], expected)
    close(right("attn_fn_keys_first").attend(k, v, q, keep), expected)
    close(right("attn_fn_mask_after_renormalised").masked_attention(q, k, v, keep.float()), expected)
    one = right("numpy_helpers").scaled_dot_product_attention(
        *(t[0].numpy() for t in (q, k, v)), keep[0].float().numpy()
    )
    close(torch.as_tensor(one[0]).float(), expected[0])


def test_the_clone_agrees_with_the_layer_of_pytorch():
    clone, layer = (
        make(right("torch_mha_clone").MultiheadAttention, 12, 3),
        torch.nn.MultiheadAttention(12, 3, batch_first=True),
    )
    layer.load_state_dict(clone.state_dict())
    q, k, pad = x(2, 5, 12), x(2, 7, 12), torch.zeros(2, 7, dtype=torch.bool)
    pad[0, 5:] = True
    for options in ({}, {"key_padding_mask": pad}, {"key_padding_mask": pad.float() * -2}, {"attn_mask": x(6, 5, 7)}):
        for got, expected in zip(clone(q, k, k, **options), layer(q, k, k, **options), strict=True):
            close(got, expected)


def test_a_sequence_in_pieces_is_answered_as_the_whole():
    def joined(parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(parts, 1)

    whole, *pieces = answers("dynamic_cache_object")
    close(joined(pieces), whole)
    whole, *pieces = answers("gpt_fast_input_pos")
    close(joined(pieces), whole)
    whole, _, *pieces = answers("dict_cache")
    close(joined(pieces), whole)
    close(*answers("mistral_window"))
    close(*answers("whisper")[:2])
    first, second, last, _, whole, _ = answers("hf_gpt2_layer_past")
    close(joined([first, second, last]), whole)


def test_llama_in_pieces_is_llama_as_a_whole():
    module = right("llama_facebook")
    layer, given, freqs = make(module.Attention, module.ModelArgs()), x(2, 6, 64), module.rotation_table(8, 64)
    whole = layer(given, 0, freqs[:6], torch.full((6, 6), -torch.inf).triu(1))
    layer(given[:, :5], 0, freqs[:5], torch.full((5, 5), -torch.inf).triu(1))
    close(layer(given[:, 5:], 5, freqs[5:6], None), whole[:, 5:])


def test_both_paths_of_a_switch_agree():
    module = right("nanogpt")
    given = x(2, 7, 48)
    slow, fast = (make(module.CausalSelfAttention, module.GPTConfig(flash=flash)) for flash in (False, True))
    close(fast(given), slow(given))
