"""The contracts by name, and the one that fits a kind of target."""

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.require import kind_of
from attention_surgeon.testing.contract import Contract
from attention_surgeon.testing.function_contract import FunctionContract
from attention_surgeon.testing.layer_contract import Kind, LayerContract
from attention_surgeon.testing.library_contracts import TransformersContract
from attention_surgeon.testing.mask_contract import MaskContract
from attention_surgeon.testing.padding_contract import PaddingContract
from attention_surgeon.testing.softmax_contract import SoftmaxContract
from attention_surgeon.testing.statistics_contract import StatisticsContract

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
        raise OptionError(f"contract {name!r} does not take the options {', '.join(sorted(options))}.") from None


def contract_for(target: Any, contract: Contract | str | None) -> Contract:
    """Return the contract that was asked for, or the usual one for this kind of target.

    Raises:
        OptionError: there is no contract of that name.
        ArgumentTypeError: `contract` is neither.
    """
    if isinstance(contract, Contract):
        return contract
    if isinstance(contract, str):
        return make_contract(contract)
    if contract is not None:
        raise ArgumentTypeError(f"contract is {kind_of(contract)}, expected a Contract, the name of one, or None.")
    return make_contract(_usual(target))


def _usual(target: Any) -> str:
    return "attention"
