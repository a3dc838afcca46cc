"""Where an attention stands in a trace: one softmax with the two products around it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.witness.flow import Flow, apart


@dataclass(frozen=True)
class Core:
    """Where one attention stands in a trace, as numbers of operations.

    Attributes:
        scores: The products whose sum becomes the scores.
        softmax: The softmax, the `exp` of one that was written out, or the fused call.
        combine: The product of weights and values; the fused call itself.
        weights_first: Whether the weights are the left operand of `combine`.
    """

    scores: tuple[int, ...]
    softmax: int
    combine: int
    weights_first: bool = True

    @property
    def is_fused(self) -> bool:
        """Whether one call does all of it."""
        return self.softmax == self.combine


def find_cores(flow: Flow) -> list[Core]:
    """Return every attention of a trace, in order.

    Raises:
        UnjudgedError: there is none that has a softmax.
    """
    fused = [Core((), i, i) for i, op in enumerate(flow.ops) if op.name == "sdpa"]
    if fused:
        return fused
    products = flow.products
    if len(products) < 2:
        raise UnjudgedError(
            "I see no two products of tokens with tokens, queries with keys and weights with values: "
            "it is no dot-product attention that I can read"
        )
    softs = [i for i, op in enumerate(flow.ops) if op.name in ("softmax", "exp") and not flow.is_constant(i)]
    if not softs:
        raise UnjudgedError("there is no softmax between its products: it is not softmax attention")
    found: list[Core] = []
    for combine in products:
        between = [s for s in softs if flow.reaches(s, combine)]
        if _are_of_one_size(flow, between, combine):
            raise UnjudgedError(SEVERAL)
        before = [p for p in products if p < combine and any(flow.reaches(p, s) for s in between)]
        direct = [p for p in before if not any(flow.reaches(p, later) for later in before)]
        if not direct:
            continue
        if any(flow.reaches(core.combine, p) for core in found for p in direct):
            break  # the attention of the next layer
        soft = next(s for s in between if any(flow.reaches(p, s) for p in direct))
        found.append(Core(tuple(direct), soft, combine, flow.reaches(soft, combine, -2)))
    if not found:
        raise UnjudgedError("its products are not joined by a softmax: it is not softmax attention")
    return found


SEVERAL = "its weights are made of several softmaxes, as in differential attention: I judge weights of one softmax"


def _are_of_one_size(flow: Flow, between: Sequence[int], combine: int) -> bool:
    """Whether several softmaxes, none of them made from another, become weights that are as large as each of them."""
    own = [s for s in between if flow.ops[s].name == "softmax"]
    shapes = {value.shape for s in own if (value := flow.ops[s].value) is not None}
    is_joined = any(
        flow.ops[combine].inputs[operand].size == int(np.prod(shape))
        and all(flow.reaches(s, combine, operand) for s in own)
        for operand in (-2, -1)
        for shape in shapes
    )
    one_after_other = any(flow.reaches(one, other) for one in own for other in own if one < other)
    return len(own) > 1 and len(shapes) == 1 and is_joined and not one_after_other


def rows_alike(flow: Flow) -> tuple[str, str, str, int] | None:
    """Say where a softmax gives every query the same weights, whatever the tokens are; None for none.

    Returns:
        The fault, its step, what was seen, and the operation.
    """
    shape = flow.plan.sizes.n_q, flow.plan.sizes.n_k
    for op, recorded in enumerate(flow.ops):
        values = [trace.ops[op].value for trace in (flow.base, flow.other)]
        if recorded.name != "softmax" or shape[0] < 2 or any(v is None or v.shape[-2:] != shape for v in values):
            continue
        is_alike = all(not apart(v, np.broadcast_to(v[..., :1, :], v.shape)).any() for v in values if v is not None)
        if is_alike and not flow.is_constant(op) and any(flow.reaches(op, p) for p in flow.products):
            return "query_ignored", "scores", "every query has the same weights", op
    return None


def weights_of_one(flow: Flow) -> tuple[str, str, str, int] | None:
    """Say where a softmax runs over an axis of one, so that every weight is 1; None for none."""
    for op, recorded in enumerate(flow.ops):
        axis, value = recorded.options.get("dim"), recorded.value
        if recorded.name != "softmax" or value is None or not isinstance(axis, int) or flow.is_constant(op, 0):
            continue
        fault = {2: "softmax_over_queries", 3: "softmax_over_heads"}.get(-axis if axis < 0 else value.ndim - axis)
        if fault is not None and value.shape[axis] == 1 and value.shape[-1] > 1:
            return fault, "weights", "the softmax runs over an axis of one, so that every weight is 1", op
    return None


def same_core(core: Core, source: Flow, echo: Flow) -> Core:
    """Return the core of an echo that stands where this one stands in its source.

    Raises:
        UnjudgedError: there is none.
    """
    twins = {echo.twin(k): k for k, op in enumerate(echo.ops) if op.inputs}
    places = [twins.get(k) for k in (*core.scores, core.combine)]
    if any(place is None for place in places):
        raise UnjudgedError("with this argument it does other operations")
    *scores, combine = (place for place in places if place is not None)
    if core.is_fused:
        return Core((), combine, combine)
    name = source.ops[core.softmax].name
    between = [k for k in range(scores[-1], combine) if echo.ops[k].name == name and echo.ops[k].value is not None]
    if not between:
        raise UnjudgedError("with this argument it has no softmax")
    return Core(tuple(scores), between[-1], combine, core.weights_first)
