"""The catalogue: every fault there is, by name and by what can have it."""

import difflib
from functools import cache
from typing import get_args

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.faults import (
    beside,
    causal,
    combine,
    heads,
    mask,
    mask_content,
    masks_made,
    modern,
    normalise,
    normalise_axis,
    operands,
    projection,
    scale,
    scale_switch,
    score,
    state,
    statistics,
)
from attention_surgeon.faults.fault import STAGES, Family, Fault
from attention_surgeon.require import kind_of

_FAMILIES: tuple[Family, ...] = get_args(Family)
_SHELVES = (
    projection,
    heads,
    operands,
    score,
    scale,
    scale_switch,
    mask_content,
    mask,
    causal,
    masks_made,
    modern,
    beside,
    normalise_axis,
    normalise,
    combine,
    state,
    statistics,
)


@cache
def catalogue() -> tuple[Fault, ...]:
    """Return every fault, in the order of the pipeline (`STAGES`).

    >>> len(catalogue()) > 100
    True
    """
    faults = (fault for shelf in _SHELVES for fault in shelf.FAULTS)
    return tuple(sorted(faults, key=lambda fault: STAGES.index(fault.stage)))


def find_fault(name: str) -> Fault:
    """Return the fault of that name.

    Raises:
        ArgumentTypeError: `name` is no string.
        OptionError: there is none; the message names those that look like it.

    >>> find_fault("scale_missing").stage
    'scale'
    >>> find_fault("scale_mising")
    Traceback (most recent call last):
    attention_surgeon.errors.OptionError: no fault is called 'scale_mising'; did you mean scale_missing, \
cap_missing or causal_missing?
    """
    if not isinstance(name, str):
        raise ArgumentTypeError(f"find_fault: name is {kind_of(name)}, expected the name of a fault as text.")
    by_name = {fault.name: fault for fault in catalogue()}
    if name not in by_name:
        raise OptionError(f"no fault is called {name!r}; {_suggestion(name, list(by_name))}")
    return by_name[name]


def faults_of(family: Family) -> tuple[Fault, ...]:
    """Return the faults that a function or layer of this family can have, in the order of the pipeline.

    Raises:
        OptionError: there is no such family.

    >>> [fault.name for fault in faults_of("grouped") if not fault.families >= {"layer"}]
    ['heads_tiled']
    """
    if family not in _FAMILIES:
        raise OptionError(f"faults_of: family is {family!r}, expected one of {', '.join(_FAMILIES)}.")
    return tuple(fault for fault in catalogue() if family in fault.families)


def _suggestion(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3)
    if not near:
        return f"attention_surgeon.faults.catalogue() lists all {len(names)}."
    return f"did you mean {' or '.join(filter(None, [', '.join(near[:-1]), near[-1]]))}?"
