"""A layer whose queries are handed in: what asks in it, a parameter or a mean, becomes one more argument."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from attention_surgeon.witness.canonical import canonical
from attention_surgeon.witness.core import find_cores
from attention_surgeon.witness.flow import Flow, Plan


def asks(plan: Plan, name: str) -> bool:
    """Whether an argument of a plan is what the queries are made of."""
    try:
        flow = Flow(plan, plan.make(seed=0), plan.draw(seed=0), plan.draw(seed=1))
        return canonical(flow, find_cores(flow)[0]).query_argument == name
    except Exception:  # noqa: BLE001  a number that is something else
        return False


def asker(plan: Plan, call: Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Any]) -> Any:
    """Return the class (or the object) whose calls are made by `call`, which is given the layer and the arguments."""

    class Asked(nn.Module):
        def __init__(self, **given: Any) -> None:
            super().__init__()
            self.inner = dataclasses.replace(plan, constructor=given).bare()

        def forward(self, *arguments: Any, **named: Any) -> Any:
            return call(self.inner, arguments, named)

    if not inspect.isclass(plan.target):
        return Asked()
    Asked.__name__, Asked.__doc__ = plan.target.__name__, plan.target.__doc__
    Asked.__signature__ = inspect.signature(plan.target)  # pyright: ignore[reportAttributeAccessIssue]
    return Asked
