"""What is said of weights, or of outputs, that are made of more than one softmax."""

import pytest
import torch
from torch import nn

from attention_surgeon.diagnose.observed import diagnose_observed


class OfWeights(nn.Module):
    """The weights of one map less those of another."""

    def __init__(self, dim: int):
        super().__init__()
        self.q1, self.q2, self.k1, self.k2, self.v = (nn.Linear(dim, dim) for _ in range(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = torch.softmax(self.q1(x) @ self.k1(x).mT * x.shape[-1] ** -0.5, -1)
        two = torch.softmax(self.q2(x) @ self.k2(x).mT * x.shape[-1] ** -0.5, -1)
        return (one - 0.4 * two) @ self.v(x)


class OfPairs(nn.Module):
    """The same, with both maps from one softmax over twice as many heads."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k = (part.unflatten(-1, (2 * self.num_heads, -1)).transpose(1, 2) for part in (self.q(x), self.k(x)))
        v = self.v(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        both = torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, -1).unflatten(1, (self.num_heads, 2))
        return self.out(((both[:, :, 0] - 0.4 * both[:, :, 1]) @ v).transpose(1, 2).flatten(2))


class OfOutputs(nn.Module):
    """The output of one fused call less that of another."""

    def __init__(self, dim: int):
        super().__init__()
        self.q1, self.q2, self.k1, self.k2, self.v, self.out = (nn.Linear(dim, dim) for _ in range(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attend = nn.functional.scaled_dot_product_attention
        one, two = attend(self.q1(x), self.k1(x), self.v(x)), attend(self.q2(x), self.k2(x), self.v(x))
        return self.out(one - 0.4 * two)


class OneAfterOther(nn.Module):
    """Each head with a softmax of its own, and side by side: plain attention."""

    def __init__(self, dim: int):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(dim, 3 * dim) for _ in range(2))
        self.out = nn.Linear(2 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.cat([self.attend(*head(x).chunk(3, -1)) for head in self.heads], -1))

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, -1) @ v


@pytest.mark.parametrize("kind", [OfWeights, OfPairs, OfOutputs])
def test_several_softmaxes_are_said_to_be_so(kind: type[nn.Module]):
    found = diagnose_observed(kind)
    assert found.verdict == "unjudged"
    assert "several softmaxes" in found.reason
    assert "differential attention" in found.reason


def test_a_softmax_for_each_head_is_judged():
    assert diagnose_observed(OneAfterOther).verdict == "right"
