"""A core in one layout, whether it is written out or one call."""

from attention_surgeon.witness.canon import Canon, Part
from attention_surgeon.witness.core import Core
from attention_surgeon.witness.flow import Flow
from attention_surgeon.witness.fused import Fused
from attention_surgeon.witness.record import Array, Trace
from attention_surgeon.witness.written import Written


def canonical(flow: Flow, core: Core, trace: Trace | None = None) -> Canon:
    """Return a core in one layout, with the numbers of a run (the plain one).

    Raises:
        Structure: rows mix tokens, sequences or heads.
        UnjudgedError: something stands between the steps that this does not read.
    """
    return _reader(flow, core, trace).canon()


def rows_of(flow: Flow, core: Core, name: Part, trace: Trace) -> Array:
    """Return one part of what `canonical` returns, and work out no other.

    Raises:
        UnjudgedError: something stands between the steps that this does not read.
    """
    return _reader(flow, core, trace).rows_of(name)


def _reader(flow: Flow, core: Core, trace: Trace | None) -> Fused | Written:
    return (Fused if core.is_fused else Written)(flow, core, trace or flow.base)
