"""Queries that are the mean of the tokens: given as one more argument, the mean is a token that can be followed.

A pooling head asks with the mean of what it pools. Whose the mean is cannot be told from what depends on what; with the
mean in the caller's hands the rest is plain attention of one query.
"""

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from attention_surgeon.calls.argument import Argument
from attention_surgeon.witness.asked import asker, asks
from attention_surgeon.witness.flow import TOKEN_ROLES, Plan

_NAME = "mean"
_MEANS = (torch.mean, Tensor.mean)


def without_mean(tried: str) -> str:
    """Return the sizes of a call without those of the mean, which nobody gives.

    >>> without_mean("x (2, 5, 24), mean (2, 1, 24)")
    'x (2, 5, 24)'
    """
    return re.sub(rf", {_NAME} \([\d, ]*\)", "", tried)


def with_mean_query(plan: Plan) -> Plan | None:
    """Return the plan in which the mean of the tokens, which asks, is an argument; None where no mean does."""
    given = [a for a in plan.arguments if a.axes and a.role in TOKEN_ROLES and a.name in plan.draw()]
    if len(given) != 1 or given[0].axes != "bnd" or not isinstance(plan.make(seed=0), nn.Module):
        return None
    found = _asking(plan, given[0])
    return found if asks(found, _NAME) else None


def _asking(plan: Plan, tokens: Argument) -> Plan:
    """Return the plan of a layer that is given the mean in each call."""
    asks = dataclasses.replace(
        tokens, name=_NAME, role="query", kind=inspect.Parameter.KEYWORD_ONLY, default=inspect.Parameter.empty
    )
    others = (
        dataclasses.replace(a, role="context", axes="bmd") if a.name == tokens.name else a for a in plan.arguments
    )
    return dataclasses.replace(
        plan,
        target=_asker(plan),
        sizes=dataclasses.replace(plan.sizes, n_q=1, n_k=plan.sizes.n_q),
        arguments=(*others, asks),
        method="",
        switches=None,
        finder=None,
    )


def _asker(plan: Plan) -> Any:
    """Return the class (or the object) whose calls are given the mean."""

    def call(inner: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        with _Given(named.pop(_NAME)[:, :1], [x for x in (*arguments, *named.values()) if isinstance(x, Tensor)]):
            return (getattr(inner, plan.method) if plan.method else inner)(*arguments, **named)

    return asker(plan, call)


class _Given(TorchFunctionMode):
    """While it is on, the first mean of one of the tensors that has as many numbers as the given one is that one."""

    def __init__(self, mean: Tensor, tensors: list[Tensor]) -> None:
        super().__init__()
        self.mean, self.tensors, self.is_used = mean, tensors, False

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if self.is_used or function not in _MEANS or result.numel() != self.mean.numel():
            return result
        if not any(args[0].shape == x.shape and torch.equal(args[0], x) for x in self.tensors):
            return result
        self.is_used = True
        return self.mean.reshape(result.shape)
