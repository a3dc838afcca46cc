"""What stands for the few parts that attention takes from packages that are not there: small, and known by name.

Layers that are split over machines are whole on one; dropping whole residual paths does nothing in evaluation.
"""

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

from attention_surgeon.calls.source import is_installed


def moved_part(module: str, name: str) -> Any:
    """Return a part of an installed package that stands in another of its files than it once did; None for none.

    >>> moved_part("transformers.modeling_utils", "Conv1D").__module__
    'transformers.pytorch_utils'
    >>> moved_part("transformers.modeling_utils", "no_such_part") is None
    True
    """
    root = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(root)
        folders = [] if spec is None or not is_installed(spec.origin or "") else spec.submodule_search_locations or []
        here = getattr(importlib.import_module(module), name, None) if folders else None
        if here is not None:
            return here
        is_defined = re.compile(rf"^(class|def) {re.escape(name)}\b", re.MULTILINE)
        files = (file for folder in folders for file in sorted(Path(folder).glob("*.py")))
        found = next((file for file in files if is_defined.search(file.read_text(encoding="utf-8"))), None)
        return None if found is None else getattr(importlib.import_module(f"{root}.{found.stem}"), name, None)
    except (ImportError, ValueError, OSError):
        return None


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
