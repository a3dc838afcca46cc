"""State: what happens to the caller's tensors, to gradients and dtypes, and from one call to the next."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.faults.families import FIVE_STEPS, LAYERS, MEASURED, NORMALISED, PADDING
from attention_surgeon.faults.fault import Fault
from attention_surgeon.ops import Circuit, Operands, attention_dropout
from attention_surgeon.verdict import Mistake, Sighting

_P = 0.1
"""The dropout of a Transformer (Vaswani et al. 2017, section 5.4)."""


def _detach_output(circuit: Circuit) -> Circuit:
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
    Fault(
        Mistake(
            name="mutates_inputs",
            stage="state",
            summary="An operation in place changes a tensor of the caller.",
            symptom="The first call is right. Called again with the same tensors, it gives other numbers.",
            question="Call it twice with the same tensors: do you get the same twice?",
            pointer=(
                "Look for what works in place: *=, /=, -= and methods that end in _, on a tensor that was handed in."
            ),
            fix="query = query / math.sqrt(d_k)  # not query /= ...",
        ),
        families=MEASURED,
        in_training=(
            "What is computed from the same tensor afterwards is wrong, or backward raises: modified by an "
            "inplace operation."
        ),
        wrap=_halve_first_argument,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="cuts_gradient",
            stage="state",
            summary="The result does not remember how it was made: detach, .data, no_grad, or a way through NumPy.",
            symptom="All values are right, and output.requires_grad is False.",
            question="After backward(): what is the gradient of your query?",
            pointer="Look for what leaves the graph: detach, .data, .numpy(), torch.tensor(...), no_grad.",
            fix="output = weights @ value  # no detach, no torch.tensor(...)",
        ),
        families=NORMALISED,
        in_training="The projections before it never change; the rest of the model learns around them.",
        operate=_detach_output,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="wrong_dtype",
            stage="state",
            summary="The result has another dtype than the input: float32, whatever comes in.",
            symptom="float64 goes in and float32 comes out, with errors of 1e-7 where 1e-16 was to be had.",
            question="Give it float64: what comes out?",
            pointer=(
                "Look for .float(), dtype= and constants: what was computed in another precision must be turned back."
            ),
            fix="weights = torch.softmax(scores.float(), dim=-1).to(query.dtype)",
            sightings=(Sighting("xjdr-alt/entropix", 39, "pull"),),
        ),
        families=NORMALISED,
        in_training=(
            "In bfloat16 or float64 the next layer raises, or the whole model silently runs in another precision."
        ),
        wrap=_return_float32,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="dropout_in_eval",
            stage="state",
            summary="Weights are dropped in evaluation, too.",
            symptom="The same call gives other numbers each time; some weights are 0, the others a little too large.",
            question="Put it in evaluation and call it twice: do you get the same twice?",
            pointer="Look at the dropout: F.dropout and scaled_dot_product_attention do not know whether you train.",
            fix="weights = F.dropout(weights, p=self.p, training=self.training)",
            sightings=(
                Sighting("karpathy/nanoGPT", 240, "pull"),
                Sighting("huggingface/pytorch-image-models", 1978, "pull"),
                Sighting("pytorch/pytorch", 124464),
                Sighting("wenet-e2e/wenet", 2699),
            ),
        ),
        families=FIVE_STEPS,
        in_training="Training is as it should be; the loss in evaluation is too high, and another one at every try.",
        operate=_drop,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="dropout_not_rescaled",
            stage="state",
            summary="Weights are dropped without making the others larger.",
            symptom="In training a row sums to 1 - p on average; in evaluation, to 1.",
            question="A tenth of the weights is dropped: what do the rest sum to, on average?",
            pointer="Look at the dropout: what is kept must be divided by 1 - p.",
            fix="weights = weights * keep / (1 - p)",
        ),
        families=LAYERS,
        in_training=(
            "Learns; in evaluation what attention adds is on average 1 / (1 - p) times as large as in training."
        ),
        operate=_drop_without_rescaling,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="shares_state",
            stage="state",
            summary=(
                "A call leaves something behind that the next call uses: a cache, a default argument, a mask kept by "
                "its size."
            ),
            symptom=(
                "The first call is right. A later one with other numbers gives an answer that still depends on the "
                "first."
            ),
            question="Call it with A, then with B: do you get for B what you get for B alone?",
            pointer=(
                "Look for what outlives a call: attributes that forward sets, caches, default arguments that are "
                "changed."
            ),
            fix="mask = torch.ones(n, n, dtype=torch.bool).tril()  # made in each call",
        ),
        families=MEASURED | PADDING,
        in_training="Results depend on the order of the batches, and a run cannot be repeated from the middle.",
        wrap=_remember_by_shape,
        wraps=True,
    ),
)
