"""Queries that are parameters: given as one more argument, they are tokens like any others, and can be followed.

A pooling head asks with a vector of its own, an encoder of the Perceiver's kind with several. Nothing in the call says
which; each parameter that holds vectors, and is no matrix of a layer, is tried.
"""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from attention_surgeon.calls.argument import Argument
from attention_surgeon.witness.asked import asker, asks
from attention_surgeon.witness.flow import TOKEN_ROLES, Plan

_MOST = 6  # parameters that are tried


def with_learned_queries(plan: Plan) -> Plan | None:
    """Return the plan in which the queries, that are a parameter of the layer, are an argument; None for none.

    Args:
        plan: How the layer is called. Its sequences are given one at a time, since the parameter has no axis for them.
    """
    made = plan.make(seed=0)
    if not isinstance(made, nn.Module):
        return None
    for name, parameter in list(_vectors(made))[:_MOST]:
        found = _asking(plan, name, parameter)
        if asks(found, name):
            return found
    return None


def mixes_sequences(plan: Plan) -> bool:
    """Whether two sequences at once give another output than each alone, which one at a time cannot show."""
    made, inputs = plan.make(seed=0), plan.draw(seed=0)
    axes = {a.name: a.axes.index("b") for a in plan.arguments if "b" in a.axes and a.name in inputs}
    alone = ({n: v.narrow(axes[n], i, 1) if n in axes else v for n, v in inputs.items()} for i in (0, 1))
    with torch.no_grad():
        both, *each = (plan.arrays(plan.call(made, given))[max(plan.output, 0)] for given in (inputs, *alone))
    place = plan.output_axes.index("b") if "b" in plan.output_axes else 0
    joined = torch.cat(each, place)
    return both.shape != joined.shape or not torch.allclose(
        both, joined, rtol=1e-3, atol=1e-4 * float(both.abs().max())
    )


def _vectors(made: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters that hold vectors, one or several, and are no weights of a layer of PyTorch's."""
    for path, module in made.named_modules():
        if type(module).__module__.startswith("torch.nn.modules") and not isinstance(module, nn.Embedding):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            is_flat = parameter.ndim >= 2 and all(size == 1 for size in parameter.shape[:-2])
            if is_flat and parameter.shape[-1] > 1:
                yield f"{path}.{name}" if path else name, parameter


def _asking(plan: Plan, name: str, parameter: Tensor) -> Plan:
    """Return the plan of a layer that is given a parameter in each call."""
    n, d = parameter.shape[-2:]
    asks = Argument(
        name,
        "query",
        required=True,
        default=inspect.Parameter.empty,
        kind=inspect.Parameter.KEYWORD_ONLY,
        axes="1" * (parameter.ndim - 2) + "nd",
        form="tokens",
        width=d,
    )
    moved = str.maketrans("bn", "1m")
    others = (
        dataclasses.replace(a, role="context" if a.role == "x" else a.role, axes=a.axes.translate(moved))
        if a.axes and a.role in TOKEN_ROLES
        else a
        for a in plan.arguments
    )
    return dataclasses.replace(
        plan,
        target=_asker(plan, name),
        sizes=dataclasses.replace(plan.sizes, batch=1, n_q=n, n_k=plan.sizes.n_q),
        arguments=(*others, asks),
        method="",
        switches=None,
        finder=None,
    )


def _asker(plan: Plan, name: str) -> Any:
    """Return the class (or the object) whose calls are given a parameter by its name."""

    def call(inner: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        kept = {name: named.pop(name)}
        return torch.func.functional_call(_Method(inner, plan.method), _inside(kept), arguments, named)

    return asker(plan, call)


class _Method(nn.Module):
    """A module whose call is a method of another."""

    def __init__(self, inner: nn.Module, method: str) -> None:
        super().__init__()
        self.inner, self.method = inner, method

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return (getattr(self.inner, self.method) if self.method else self.inner)(*arguments, **named)


def _inside(kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"inner.{name}": value for name, value in kept.items()}
