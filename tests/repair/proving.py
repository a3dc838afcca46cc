"""Runs the text of a written test against right and wrong targets, without files and without pytest's collection."""

import inspect
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from attention_surgeon.diagnose.doctor.examine import answers_of_kind
from attention_surgeon.diagnose.doctor.targets import Kind, target_with
from attention_surgeon.faults import Fault, operate
from attention_surgeon.repair.write_test import test_text as text_of_test
from attention_surgeon.testing import Contract

MODULE = "patient_of_a_written_test"


def text_for(kind: Kind) -> str:
    return text_of(target_with(kind), kind.make_contract())


def text_of(target: Any, contract: Contract) -> str:
    """The text of the test of a target, which stands in `MODULE`."""
    name = _name(target)
    where = {"root": "Path(__file__).parent", "module": MODULE, "imported": name, "name": name}
    return text_of_test(target, contract, where)


def survivors(kind: Kind, text: str) -> tuple[list[str], int]:
    """Return the faults that the test lets pass, and how many there are that can be told from right at all."""
    faults = [fault for fault in answers_of_kind(kind.name).faults if _can_be_told(kind, fault)]
    return [fault.name for fault in faults if first_failure(text, target_with(kind, [fault])) is None], len(faults)


def _can_be_told(kind: Kind, fault: Fault) -> bool:
    """Whether a target with this fault ever answers otherwise: some are right by algebra (d_v is d_k in a layer)."""
    place = answers_of_kind(kind.name)
    if fault.operate is None or fault not in place.computed:
        return not (
            fault.name == "nan_rows"
            and not any(place.subject.allowed(c) is not None and "mask" in c.name for c in place.subject.cases(0))
        )
    subject = place.subject
    circuit = operate(subject.base, [fault])
    return not all(subject.accepts(subject.answer(circuit, case), case) for p in (0, 1) for case in subject.cases(p))


def first_failure(text: str, target: Any) -> str | None:
    """Return the name of the first test that fails for a target; None where all pass."""
    module = types.ModuleType(MODULE)
    setattr(module, _name(target), target)
    namespace: dict[str, Any] = {"__name__": "written", "__file__": __file__}
    before, sys.modules[MODULE] = sys.modules.get(MODULE), module
    path = list(sys.path)
    try:
        exec(compile(text, "<written>", "exec"), namespace)
        for name, test, arguments in _calls(namespace):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    test(**arguments)
            except Exception:  # noqa: BLE001  a wrong target may raise anything
                return name
    finally:
        sys.path[:] = path
        del sys.modules[MODULE]
        if before is not None:
            sys.modules[MODULE] = before
    return None


def _calls(namespace: dict[str, Any]) -> Iterator[tuple[str, Callable[..., None], dict[str, Any]]]:
    for name, test in namespace.items():
        if name.startswith("test_"):
            calls: list[dict[str, Any]] = [{}]
            for mark in getattr(test, "pytestmark", []):
                names, values = mark.args
                names = [names] if isinstance(names, str) else list(names)
                rows = [dict(zip(names, v if len(names) > 1 else (v,), strict=True)) for v in values]
                calls = [call | row for call in calls for row in rows]
            yield from ((name, test, call) for call in calls)


def _name(target: Any) -> str:
    """The name in the module; an object that was made goes by another one than its class."""
    name = target.__name__ if inspect.isroutine(target) or inspect.isclass(target) else "target"
    return name if name.isidentifier() else "target"
