"""State: what happens to the caller's tensors, to gradients and dtypes, and from one call to the next."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import CALLED, FIVE_STEPS, LAYERS, NORMALISED
from attention_surgeon.faults.fault import Fault
from attention_surgeon.ops import Circuit, Operands, attention_dropout

_P = 0.1
"""The dropout of a Transformer (Vaswani et al. 2017, section 5.4)."""


def _detach_weights(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.combine

    def combine_detached(weights: Tensor, operands: Operands) -> Tensor:
        return usual(weights, operands).detach()

    return circuit.replace(combine=combine_detached)


def _drop(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise

    def normalise_and_drop(masked: Tensor, operands: Operands) -> Tensor:
        return attention_dropout(usual(masked, operands), _P)

    return circuit.replace(normalise=normalise_and_drop)


def _drop_without_rescaling(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise

    def normalise_and_cut(masked: Tensor, operands: Operands) -> Tensor:
        weights = usual(masked, operands)
        return weights * torch.empty_like(weights).bernoulli_(1 - _P)

    return circuit.replace(normalise=normalise_and_cut)


def _halve_first_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute_and_halve(first: Any, *args: Any, **kwargs: Any) -> Any:
        returned = function(first, *args, **kwargs)
        with torch.no_grad():
            first *= 0.5
        return returned

    return compute_and_halve


def _return_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute_in_float32(*args: Any, **kwargs: Any) -> Any:
        return _as_float32(function(*args, **kwargs))

    return compute_in_float32


def _as_float32(returned: Any) -> Any:
    if isinstance(returned, tuple):
        return tuple(_as_float32(one) for one in returned)
    if isinstance(returned, Tensor):
        return returned.float()
    return returned.astype(np.float32) if isinstance(returned, np.ndarray) else returned


def _remember_by_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    remembered: dict[tuple[Any, ...], Any] = {}

    def compute_once(*args: Any, **kwargs: Any) -> Any:
        shapes = tuple(tuple(argument.shape) if hasattr(argument, "shape") else argument for argument in args)
        if shapes not in remembered:
            remembered[shapes] = function(*args, **kwargs)
        return remembered[shapes]

    return compute_once


FAULTS: tuple[Fault, ...] = (
    draft("mutates_inputs", "state", CALLED, "The caller's tensors are changed.", None, wrap=_halve_first_argument),
    draft("cuts_gradient", "state", NORMALISED, "No gradient flows through.", _detach_weights, wraps=True),
    draft("wrong_dtype", "state", CALLED, "The result has another dtype than the input.", None, wrap=_return_float32),
    draft("dropout_in_eval", "state", FIVE_STEPS, "Weights are dropped in evaluation, too.", _drop, wraps=True),
    draft(
        "dropout_not_rescaled",
        "state",
        LAYERS,
        "Dropped weights are not made up for.",
        _drop_without_rescaling,
        wraps=True,
    ),
    draft("shares_state", "state", CALLED, "A call changes what the next one returns.", None, wrap=_remember_by_shape),
)
