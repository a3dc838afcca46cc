"""The attention functions of libraries: other names and other axes for the same call."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing.function_contract import FunctionSubject
from attention_surgeon.testing.function_spec import FunctionSpec
from attention_surgeon.testing.make import make_function


@final
@dataclass(frozen=True)
class TransformersContract(FunctionSpec):
    """An attention function of Hugging Face transformers, `eager_attention_forward` or one registered beside it.

    `fn(module, query, key, value, attention_mask, scaling=, dropout=, **kwargs) -> (output (b, n, h, d), weights)`;
    masks are additive and hide with the lowest finite number, as transformers makes them.
    """

    name: ClassVar[str] = "transformers"

    def bind(self, target: Any) -> FunctionSubject:
        """Call it as transformers' models do.

        Raises:
            UnjudgedError: it cannot be called so.
        """
        if not callable(target):
            raise UnjudgedError(f"it is a {type(target).__name__}, expected an attention function of transformers.")
        return FunctionSubject(self, make_function(_as_transformers_call(target)), layouts=(4,))


def _as_transformers_call(function: Callable[..., Any]) -> Callable[..., Any]:
    def attention(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if mask is not None:
            mask = mask.clamp(min=torch.finfo(mask.dtype).min).to(Q.dtype)
        module = SimpleNamespace(training=False, num_key_value_groups=1, is_causal=False, config=SimpleNamespace())
        output, weights = function(module, Q, K, V, mask, scaling=Q.shape[-1] ** -0.5, dropout=0.0)
        return output.transpose(1, 2), weights  # (b, n, h, d) -> (b, h, n, d)

    return attention
