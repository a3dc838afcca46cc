"""The contracts by name, and the one that fits a kind of target."""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, final, get_args

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.errors import ArgumentTypeError, OptionError, UnjudgedError
from attention_surgeon.require import kind_of
from attention_surgeon.signatures import parameters_of
from attention_surgeon.testing.contract import Contract
from attention_surgeon.testing.function_behaviour import FunctionContract, FunctionSubject
from attention_surgeon.testing.function_cases import FunctionSpec
from attention_surgeon.testing.kernel.contract import KernelContract
from attention_surgeon.testing.layer.behaviour import LayerContract
from attention_surgeon.testing.layer.build import is_context
from attention_surgeon.testing.layer.cases import Kind
from attention_surgeon.testing.make import make_function
from attention_surgeon.testing.mask_contract import MaskContract
from attention_surgeon.testing.padding_contract import PaddingContract
from attention_surgeon.testing.softmax_contract import SoftmaxContract
from attention_surgeon.testing.statistics_contract import StatisticsContract
from attention_surgeon.testing.words import role_of, size_of, words


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


CONTRACTS: Mapping[str, Callable[..., Contract]] = {
    "attention": FunctionContract,
    "causal_attention": lambda **options: FunctionContract(hides_future=True, **options),
    "sdpa": FunctionContract,
    "kernel": KernelContract,
    "transformers": partial(TransformersContract, mask="additive"),
    "torch_mha": partial(LayerContract, "multihead", mask="hide", allows_nan_rows=True),
    **{kind: partial(LayerContract, kind) for kind in get_args(Kind)},
    "softmax": SoftmaxContract,
    "causal_mask": MaskContract,
    "reverse_mask": partial(MaskContract, is_reverse=True),
    "padding_mask": PaddingContract,
    "statistics": StatisticsContract,
}
"""Every contract by name; called with its options it gives a `Contract`."""

_COUNTS = (
    "n",
    "size",
    "t",
    "s",
    "l",
    "len",
    "length",
    "seq_len",
    "seq_length",
    "num_tokens",
    "max_len",
    "block_size",
    "n_q",
    "T",
)

_LENGTHS = ("length", "lengths", "lens", "seq_lens", "tokens", "ids", "input_ids", "pad", "x_len")


def make_contract(name: str, **options: Any) -> Contract:
    """Return the contract of that name.

    Raises:
        OptionError: there is none, or it has no such option.
    """
    if name not in CONTRACTS:
        near = difflib.get_close_matches(name, CONTRACTS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise OptionError(f"there is no contract {name!r}; the contracts are {', '.join(sorted(CONTRACTS))}.{hint}")
    try:
        return CONTRACTS[name](**options)
    except TypeError:
        raise _unknown_options(name, options) from None


def contracts_for(target: Any, contract: Contract | str | None = None, **options: Any) -> tuple[Contract, ...]:
    """Return the contract that was asked for, or those that may be meant by this kind of target, the likeliest first.

    Args:
        target: What is to be judged.
        contract: A `Contract`, the name of one, or None to choose by the kind of target.
        **options: Of the contract.

    Raises:
        OptionError: there is no contract of that name, or none that takes these options.
        ArgumentTypeError: `contract` is neither.
    """
    if isinstance(contract, str):
        return (make_contract(contract, **options),)
    if isinstance(contract, Contract):
        return (_with_options(contract, options),)
    if contract is not None:
        raise ArgumentTypeError(f"contract is {kind_of(contract)}, expected a Contract, the name of one, or None.")
    fitting, errors = [], []
    for name in usual_contracts(target):
        try:
            fitting.append(make_contract(name, **options))
        except OptionError as error:
            errors.append(error)
    if not fitting:
        raise errors[0]
    return tuple(fitting)


def _with_options(contract: Contract, options: Mapping[str, Any]) -> Contract:
    try:
        return dataclasses.replace(contract, **options)
    except TypeError:
        raise _unknown_options(contract.registered_name, options) from None


def _unknown_options(name: str, options: Mapping[str, Any]) -> OptionError:
    return OptionError(f"contract {name!r} does not take the options {', '.join(sorted(options))}.")


def usual_contracts(target: Any) -> tuple[str, ...]:
    """Return the names of the contracts that a target may be meant for, the likeliest first.

    >>> usual_contracts(lambda query, key, value, mask=None: None)
    ('attention',)
    >>> usual_contracts(lambda x, dim=-1: None)
    ('softmax',)
    """
    if inspect.isclass(target) and issubclass(target, torch.autograd.Function):
        return ("kernel",)
    if inspect.isclass(target):
        return _of_class(target)
    if _has_weights(target):
        return _of_layer(getattr(target, "forward", target), {name.lower() for name in vars(target)})
    return _of_function(target)


def _of_class(target: type) -> tuple[str, ...]:
    """A class is a layer if its constructor is given a width; one without a width has no projections."""
    names = {parameter.name.lower() for parameter in parameters_of(target) or []}
    is_layer = any(size_of(name) in ("embed", "heads", "head") or name in ("config", "cfg") for name in names)
    function = getattr(target, "forward", vars(target).get("__call__"))
    if function is None:
        return ("attention",)
    if not is_layer:
        return _of_function(function, skip_self=True)
    found = _of_layer(function, names, skip_self=True)
    return found if _needs_three(function) else (*found, "attention")


def _of_layer(function: Any, names: set[str], *, skip_self: bool = False) -> tuple[str, ...]:
    sizes = {size_of(name) for name in names}
    parameters = _parameters(function, skip_self)
    needed = [p.name for p in parameters if p.default is p.empty and "mask" not in p.name.lower()]
    has_context = len(needed) == 2 or any(is_context(p.name) for p in parameters[1:])
    has_mask = any("mask" in p.name.lower() for p in parameters)
    if {"batch_first", "add_bias_kv"} <= names:
        return ("torch_mha",)
    if "kv_heads" in sizes:
        return ("grouped",)
    if has_context and len(needed) < 3:
        return ("cross",)
    if "heads" in sizes or names & {"config", "cfg"}:
        return ("multihead", "multiquery") if has_mask else ("multihead", "causal_multihead", "multiquery")
    return ("self",)


def _of_function(function: Any, *, skip_self: bool = False) -> tuple[str, ...]:
    parameters = _parameters(function, skip_self)
    if not parameters:
        return ("attention",)
    if parameters[0].name == "module":
        return ("transformers",)
    needed = [p.name.lower() for p in parameters if p.default is p.empty]
    if len(needed) >= 3 or [role_of(p.name) for p in parameters[:3]] == ["query", "key", "value"]:
        has_more = any("mask" in p.name.lower() for p in parameters) or len(parameters) > 3
        return ("attention",) if has_more else ("attention", "causal_attention")
    if any(word in _LENGTHS for name in needed for word in (name, *words(name))):
        return ("padding_mask",)
    if needed and (needed[0] in _COUNTS or parameters[0].annotation in (int, "int")):
        return _of_mask(function)
    if len(parameters) > 1 and parameters[1].name in ("dim", "axis"):
        return ("softmax",)
    return ("softmax", "statistics", *_of_mask(function))


def _of_mask(function: Any) -> tuple[str, ...]:
    """A name that says which way a mask looks is taken at its word; otherwise either may be meant."""
    name = getattr(function, "__name__", "").lower()
    if any(word in name for word in ("causal", "subsequent", "look_ahead", "lookahead", "autoregressive")):
        return ("causal_mask",)
    if "reverse" in name or "anti" in name:
        return ("reverse_mask",)
    return ("causal_mask", "reverse_mask")


def _parameters(function: Any, skip_self: bool) -> list[inspect.Parameter]:
    found = parameters_of(function) or []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in found[1 if skip_self else 0 :] if p.kind not in variadic]


def _needs_three(function: Any) -> bool:
    """Whether a forward takes query, key and value, each with a default or not."""
    return len(_parameters(function, skip_self=True)) < 3


def _has_weights(target: Any) -> bool:
    if isinstance(target, nn.Module):
        return any(p.ndim == 2 for p in target.parameters())
    held = vars(target).values() if hasattr(target, "__dict__") and not inspect.isroutine(target) else ()
    return any(isinstance(x, np.ndarray | Tensor) and x.ndim == 2 for x in held)


def _as_transformers_call(function: Callable[..., Any]) -> Callable[..., Any]:
    def attention(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if mask is not None:
            mask = mask.clamp(min=torch.finfo(mask.dtype).min).to(Q.dtype)
        module = SimpleNamespace(training=False, num_key_value_groups=1, is_causal=False, config=SimpleNamespace())
        output, weights = function(module, Q, K, V, mask, scaling=Q.shape[-1] ** -0.5, dropout=0.0)
        return output.transpose(1, 2), weights  # (b, n, h, d) -> (b, h, n, d)

    return attention
