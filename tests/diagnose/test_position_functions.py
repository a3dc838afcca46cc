"""Functions that rotate, make a bias or sort distances into buckets, in the forms that people use."""

import math

import pytest
import torch

from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.position_functions import diagnose_positions


def rotate_half(x):
    first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-second, first), dim=-1)


def rotate_every_two(x):
    return torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)


def apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin


def apply_rotary_emb(xq, xk, freqs_cis):
    def turn(x):
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * freqs_cis[None, :, None]).flatten(3).type_as(x)

    return turn(xq), turn(xk)


def apply_rotary_to_tensor(tensor, sin, cos):
    sin, cos = (x.repeat_interleave(2, -1)[None, :, None] for x in (sin, cos))
    return tensor * cos + rotate_every_two(tensor) * sin


def rope(x, positions):
    angles = positions[:, None] * 500_000.0 ** (-torch.arange(0, x.shape[-1], 2) / x.shape[-1])
    angles = torch.cat([angles, angles], -1)
    return x * angles.cos() + rotate_half(x) * angles.sin()


def apply_rope_of_other_layout(x, positions):
    angles = (positions[:, None] * 10_000 ** (-torch.arange(0, x.shape[-1], 2) / x.shape[-1])).repeat_interleave(2, -1)
    return x * angles.cos() + rotate_half(x) * angles.sin()


def get_alibi_slopes(num_heads):
    power = 2 ** math.floor(math.log2(num_heads))
    own = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    between = [2 ** (-4 * (h + 1) / power) for h in range(0, 2 * power, 2)]
    return own + between[: num_heads - power]


def build_alibi_tensor(num_heads, seq_len):
    return (torch.tensor(get_alibi_slopes(num_heads))[:, None, None] * torch.arange(seq_len))[None]


def alibi_of_equal_steps(n_heads, n):
    slopes = torch.linspace(0.5, 1 / 256, n_heads)
    return -slopes[:, None, None] * (torch.arange(n)[:, None] - torch.arange(n)).abs()


def bucket_of_distance(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
    start = 0
    if bidirectional:
        num_buckets //= 2
        start = (relative_position > 0).long() * num_buckets
        distance = relative_position.abs()
    else:
        distance = (-relative_position).clamp(min=0)
    exact = num_buckets // 2
    steps = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact) * (num_buckets - exact)
    return start + torch.where(distance < exact, distance, (exact + steps.long()).clamp(max=num_buckets - 1))


def bucket_of_two_directions_only(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
    return bucket_of_distance(relative_position, True, num_buckets, max_distance)


RIGHT = (
    rotate_half, rotate_every_two, apply_rotary_pos_emb, apply_rotary_emb, apply_rotary_to_tensor, rope,
    get_alibi_slopes, build_alibi_tensor, bucket_of_distance,
)  # fmt: skip


@pytest.mark.parametrize("right", RIGHT, ids=lambda function: function.__name__)
def test_a_right_one_is_right(right):
    found = diagnose_positions(right)
    assert found is not None
    assert (found.verdict, found.names, found.unnamed) == ("right", (), ())
    assert found.kind


def turned(function, name):
    """Return a function of that name that turns by minus the angle."""

    def wrong(q, k, cos, sin):
        return function(q, k, cos, -sin)

    wrong.__name__ = name
    return wrong


def quarter(x):
    first, second = x.chunk(2, -1)
    return torch.cat([second, first], -1)


quarter.__name__ = "rotate_half"


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (turned(apply_rotary_pos_emb, "apply_rotary_pos_emb"), ("rotary_direction",)),
        (quarter, ("rotary_direction",)),
        (apply_rope_of_other_layout, ("rotary_layouts_mixed",)),
        (alibi_of_equal_steps, ("alibi_slopes",)),
        (bucket_of_two_directions_only, ("relative_bucket_wrong",)),
    ],
)
def test_a_wrong_one_is_wrong(wrong, names):
    found = diagnose(wrong)
    assert (found.verdict, found.names) == ("wrong", names)
    assert found.difference is not None


def test_what_is_not_understood_is_unjudged():
    def apply_rotary(x, positions):
        return torch.cat([rope(x[..., :4], positions), x[..., 4:]], -1)

    found = diagnose_positions(apply_rotary)
    assert found is not None
    assert found.verdict == "unjudged"


@pytest.mark.parametrize("other", [lambda x: x, torch.nn.Linear(2, 2), rotate_half(torch.ones(2))])
def test_nothing_else_is_judged(other):
    assert diagnose_positions(other) is None
