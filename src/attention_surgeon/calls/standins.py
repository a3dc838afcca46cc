"""What stands for the few parts that attention takes from packages that are not there: small, and known by name.

Layers that are split over machines are whole on one; dropping whole residual paths does nothing in evaluation.
"""

from typing import Any


def stand_in(name: str) -> Any:
    """Return what stands for a part of a missing package, None where nothing is known to.

    >>> stand_in("get_model_parallel_world_size")()
    1
    >>> stand_in("rearrange") is None
    True
    """
    import torch
    from torch import nn

    known: dict[str, Any] = {
        "ColumnParallelLinear": _linear,
        "RowParallelLinear": _linear,
        "get_model_parallel_world_size": lambda: 1,
        "get_model_parallel_rank": lambda: 0,
        "DropPath": lambda *given, **named: nn.Identity(),
        "trunc_normal_": nn.init.trunc_normal_,
        "to_2tuple": lambda x: x if isinstance(x, tuple) else (x, x),
        "_assert": lambda condition, message: torch._assert(condition, message),
    }
    return known.get(name)


def _linear(in_features: int, out_features: int, bias: bool = True, **_: Any) -> Any:
    """Return the whole of a linear layer that is split over machines."""
    from torch import nn

    return nn.Linear(in_features, out_features, bias=bias)
