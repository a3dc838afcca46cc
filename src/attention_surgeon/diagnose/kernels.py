"""A function of query, key and value at many sizes, strides, dtypes and groups: where does it start to be wrong?

What small calls say of it is said elsewhere; here it is right in them.
"""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from attention_surgeon.diagnose.diagnosis import Counterexample, Diagnosis, diagnosed
from attention_surgeon.errors import UnjudgedError
from attention_surgeon.faults import find_fault
from attention_surgeon.testing.answer import to_array
from attention_surgeon.testing.kernel.contract import KernelContract, KernelSubject
from attention_surgeon.testing.kernel.names import name_of
from attention_surgeon.testing.kernel.signature import is_kernel, read_kernel
from attention_surgeon.testing.kernel.sweep import Found
from attention_surgeon.testing.steadiness import steadiness_of
from attention_surgeon.verdict import Behaviour

_OF_PIECES = ("online_softmax_not_rescaled", "tail_dropped")
_SHOWN = 6  # numbers of the row that is furthest off


def diagnose_kernel(target: Any) -> Diagnosis | None:
    """Judge a function of query, key and value; None for any other, and for one that is wrong in small calls too.

    >>> def of_blocks(q, k, v):
    ...     whole = max(k.shape[-2] // 32, 1) * 32
    ...     return (q @ k[..., :whole, :].mT / q.shape[-1] ** 0.5).softmax(-1) @ v[..., :whole, :]
    >>> diagnose_kernel(of_blocks).names
    ('tail_dropped',)
    """
    if not is_kernel(target):
        return None
    try:
        subject = KernelContract().bind(target)
        return diagnose_swept(subject) if subject.is_right else None
    except UnjudgedError:
        return None


def diagnose_pieces(target: Any) -> Diagnosis | None:
    """Judge a function in pieces that is wrong in small calls too, by what its pieces forget; None for any other.

    >>> import torch
    >>> def of_pairs(q, k, v):
    ...     top, total, output = torch.full((*q.shape[:-1], 1), -torch.inf), 0, 0
    ...     for keys, values in zip(k.split(2, -2), v.split(2, -2)):
    ...         scores = q @ keys.mT / q.shape[-1] ** 0.5
    ...         new = torch.maximum(top, scores.amax(-1, keepdim=True))
    ...         weights, factor, top = (scores - new).exp(), (top - new).exp(), new
    ...         total, output = total * factor + weights.sum(-1, keepdim=True), output + weights @ values
    ...     return output / total
    >>> diagnose_pieces(of_pairs).names
    ('online_softmax_not_rescaled',)
    """
    try:
        subject = KernelContract().bind(target)
    except UnjudgedError:
        return None
    call = subject.cases(0)[0]
    outcome = subject.asker.ask(call)
    fault = None if outcome.is_right else name_of(subject.asker, call, subject.cases(1)[0])
    if fault not in _OF_PIECES:
        return None
    sentence = f"in pieces it gives another output than at once: it is off by {outcome.distance:.2g}"
    found = Found(sentence, call, outcome, subject.asker.right(call), fault)
    return diagnosed(
        "wrong",
        str(subject.contract),
        explanations=((find_fault(fault),),),
        behaviour=[Behaviour(fault, sentence)],
        counterexample=_example(subject, found),
        contract_name=subject.contract.registered_name,
        called_with=call.sentence,
    )


def beneath_scale(target: Any, names: Sequence[str]) -> Diagnosis | None:
    """Judge a function in pieces with its scale mended; None where that is not all, or nothing else is wrong.

    Args:
        target: A function that is known to have these faults, and nothing that small calls show besides.
        names: Of the faults.
    """
    if len(names) != 1 or names[0] not in _MENDED or not works_in_pieces(target):
        return None
    order = read_kernel(target).order

    @functools.wraps(target)
    def mended(*operands: Any, **others: Any) -> Any:
        given = list(operands)
        query, key = (order.index(role) for role in ("query", "key"))
        given[query] = given[query] * _MENDED[names[0]](given[query].shape, given[key].shape)
        return target(*given, **others)

    found = diagnose_kernel(mended) or diagnose_pieces(mended)
    return found if found is not None and found.verdict == "wrong" and found.names else None


_MENDED: dict[str, Callable[[Sequence[int], Sequence[int]], float]] = {
    "scale_missing": lambda query, key: query[-1] ** -0.5,
    "scale_multiplied": lambda query, key: 1 / query[-1],
    "scale_by_key_size": lambda query, key: query[-1] ** 0.5,
    "scale_by_num_keys": lambda query, key: (key[-2] / query[-1]) ** 0.5,
    "scale_by_num_queries": lambda query, key: (query[-2] / query[-1]) ** 0.5,
}
"""By the name of a fault of the scale: what queries are multiplied with, so that the scale is what it should be."""


def diagnose_layout(target: Any, kind: Sequence[str]) -> Diagnosis | None:
    """Judge by the layout that a function's text names; None where it names none, or the answer is right in it.

    Args:
        target: A function whose operations are those of attention.
        kind: What its operations say it is; with anything besides heads in it, nothing is said.
    """
    if not is_kernel(target) or not all(re.fullmatch(r"\d+ heads.*|causal attention", words) for words in kind):
        return None
    try:
        subject = KernelContract().bind(target)
    except UnjudgedError:
        return None
    if subject.is_right or not subject.asker.signature.said:
        return None
    axes = ", ".join(subject.asker.way.layout)
    call = subject.cases(0)[0]
    found = Found("", call, subject.asker.ask(call), subject.asker.right(call))
    seen = Behaviour(None, f"with tensors ({axes}), as its text says, the output is another")
    return diagnosed(
        "wrong",
        str(subject.contract),
        behaviour=[seen],
        counterexample=_example(subject, found),
        contract_name=subject.contract.registered_name,
        called_with=call.sentence,
        kind=tuple(kind),
    )


def diagnose_swept(subject: KernelSubject) -> Diagnosis:
    """Return what the calls at many sizes say of a kernel that is right in small ones."""
    unsteady = steadiness_of(subject)
    seen = unsteady or subject.behaviour(subject.base)
    is_wrong = any(each.is_fault for each in seen)
    named = tuple(find_fault(each.fault) for each in seen if each.fault is not None)
    first = None if unsteady else next(iter(subject.swept.found), None)
    return diagnosed(
        "wrong" if is_wrong else "right",
        str(subject.contract),
        explanations=(named,) if named else (),
        behaviour=seen,
        counterexample=None if first is None else _example(subject, first),
        contract_name=subject.contract.registered_name,
        called_with=subject.limits.base.sentence,
        calls=subject.swept.tried,
        untried=(*subject.swept.untried, *subject.untried),
    )


def works_in_pieces(target: Any) -> bool:
    """Whether a function of query, key and value has a loop (over heads, blocks, queries), and so not one softmax."""
    if not is_kernel(target):
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(target)))
    except (OSError, TypeError, SyntaxError):
        return False
    return any(isinstance(node, ast.For | ast.While) for node in ast.walk(tree))


def _example(subject: KernelSubject, found: Found) -> Counterexample:
    """Return the call that shows it, with the row of the output that is furthest off."""
    code = subject.as_code(found.call)
    if found.outcome.output is None:
        return Counterexample(code, "output", "another shape", to_array(found.right[0, 0, :1, :_SHOWN]))
    off = (found.outcome.output - found.right).abs().nan_to_num(float("inf"))
    b, h, i = (int(place) for place in (off.amax(-1) == off.max()).nonzero()[0])
    place = {"bhnd": f"{b}, {h}, {i}", "bnhd": f"{b}, {i}, {h}", "bnd": f"{b}, {i}", "nd": f"{i}"}[
        subject.asker.way.layout
    ]
    yours, right = (to_array(x[b, h, i, :_SHOWN]) for x in (found.outcome.output, found.right))
    return Counterexample(code, f"output[{place}, :{_SHOWN}]", yours, right)
