"""The contracts by name, and the one that fits a kind of target."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.require import kind_of
from attention_surgeon.testing.contract import Contract
from attention_surgeon.testing.function_contract import FunctionContract
from attention_surgeon.testing.layer_contract import LayerContract
from attention_surgeon.testing.layer_spec import Kind
from attention_surgeon.testing.library_contracts import TransformersContract
from attention_surgeon.testing.mask_contract import MaskContract
from attention_surgeon.testing.padding_contract import PaddingContract
from attention_surgeon.testing.softmax_contract import SoftmaxContract
from attention_surgeon.testing.statistics_contract import StatisticsContract
from attention_surgeon.testing.usual import usual_contracts

CONTRACTS: Mapping[str, Callable[..., Contract]] = {
    "attention": FunctionContract,
    "causal_attention": lambda **options: FunctionContract(hides_future=True, **options),
    "sdpa": FunctionContract,
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
