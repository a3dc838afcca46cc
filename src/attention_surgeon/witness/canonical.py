"""A core in one layout, whether it is written out or one call."""

from dataclasses import replace

import numpy as np

from attention_surgeon.witness.canon import Canon, Part, softmax
from attention_surgeon.witness.core import Core
from attention_surgeon.witness.flow import Flow, apart
from attention_surgeon.witness.fused import Fused
from attention_surgeon.witness.record import Array, Trace
from attention_surgeon.witness.written import Written


def canonical(flow: Flow, core: Core, trace: Trace | None = None) -> Canon:
    """Return a core in one layout, with the numbers of a run (the plain one).

    Raises:
        Structure: rows mix tokens, sequences or heads.
        UnjudgedError: something stands between the steps that this does not read.
    """
    return _divided(_reader(flow, core, trace).canon(), core, trace or flow.base)


def _divided(canon: Canon, core: Core, trace: Trace) -> Canon:
    """Return the same with the weights divided by the sums of their rows, where the output is divided by these later.

    Exponentials may meet the values as they are: `(exp(s) @ v) / exp(s).sum(-1)` is softmax attention.
    """
    if trace.ops[core.softmax].name != "exp" or canon.extra is not None:
        return canon
    weights = softmax(canon.masked)
    output = weights @ canon.v
    wanted = np.sort(output, None)
    for op in trace.ops[core.combine + 1 :]:
        value = op.value
        if value is None or value.size != output.size or value.dtype.kind != "f":
            continue
        if not apart(np.sort(value, None), wanted).any():
            return replace(canon, weights=weights, used=weights, output=output)
    return canon


def rows_of(flow: Flow, core: Core, name: Part, trace: Trace) -> Array:
    """Return one part of what `canonical` returns, and work out no other.

    Raises:
        UnjudgedError: something stands between the steps that this does not read.
    """
    return _reader(flow, core, trace).rows_of(name)


def _reader(flow: Flow, core: Core, trace: Trace | None) -> Fused | Written:
    return (Fused if core.is_fused else Written)(flow, core, trace or flow.base)
