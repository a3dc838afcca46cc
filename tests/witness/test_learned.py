"""Queries that are a parameter become an argument, and two sequences at once are compared with each alone."""

import torch
from torch import Tensor, nn

from attention_surgeon.calls import Plan, find_plan
from attention_surgeon.diagnose import diagnose
from attention_surgeon.witness.learned import mixes_sequences, with_learned_queries


class Pool(nn.Module):
    """A learned query asks all tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.probes = heads, nn.Parameter(torch.randn(1, 1, dim))
        self.to_q, self.to_kv, self.to_out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        rows = (self.to_q(self.probes).expand(len(x), -1, -1), *self.to_kv(x).chunk(2, -1))
        q, k, v = (row.unflatten(-1, (self.heads, -1)).transpose(1, 2) for row in rows)
        return self.to_out(self.mixed(q, k, v).transpose(1, 2).flatten(1))

    def mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


class UnscaledPool(Pool):
    """The same, and no root of the size."""

    def mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT).softmax(-1) @ v


class MixingPool(Pool):
    """The same, and sequences share their values."""

    def mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mixed(q, k, v.mean(0, keepdim=True).expand_as(v))


class Asking(nn.Module):
    """Tokens ask, and a parameter is added to them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.places, self.to_qkv = nn.Parameter(torch.randn(1, 1, dim)), nn.Linear(dim, 3 * dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(x + self.places).chunk(3, -1)
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


def plan_of(target: type[nn.Module]) -> Plan:
    plan = find_plan(target)
    assert isinstance(plan, Plan)
    return plan


def test_the_parameter_that_asks_is_found():
    plan = with_learned_queries(plan_of(Pool))
    assert plan is not None
    asks = plan.given("probes")
    assert (asks.role, asks.axes, plan.sizes.n_q, plan.given("x").axes) == ("query", "1nd", 1, "1md")
    inputs = plan.draw()
    given, other = (plan.call(plan.make(), inputs | {"probes": inputs["probes"] * by}) for by in (1, 2))
    assert not torch.allclose(given, other)


def test_a_layer_whose_tokens_ask_has_none():
    assert with_learned_queries(plan_of(Asking)) is None


def test_sequences_that_meet_are_seen():
    assert not mixes_sequences(plan_of(Pool))
    assert mixes_sequences(plan_of(MixingPool))


def test_it_is_judged_like_any_other():
    assert diagnose(Pool).verdict == "right"
    assert diagnose(UnscaledPool).names == ("scale_missing",)
    assert diagnose(MixingPool).verdict != "right"
