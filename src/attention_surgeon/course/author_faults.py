"""Does each contract reject every fault of the catalogue, by name, and let every valid alternative pass?"""

import json
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from attention_surgeon.course.registry import Course
from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.doctor import kind_under
from attention_surgeon.diagnose.doctor.examine import KindAnswers, diagnose_single
from attention_surgeon.diagnose.doctor.healthy import alternatives
from attention_surgeon.errors import OptionError, SurgeonError
from attention_surgeon.faults import Fault
from attention_surgeon.testing import make_contract

_IN_ORDER = {
    "named": "faults rejected and named",
    "tied": "faults rejected and named",
    "same": "faults that change nothing under this contract",
    "raises": "faults that only raise",
}


def examine_contracts(course: Course, jobs: int) -> dict[str, Any]:
    """Return what `examine_contract` says of all contracts of a course together: counts and problems."""
    used = {(e.contract, json.dumps(e.options, sort_keys=True)) for e in course.exercises if e.check is None}
    found: dict[str, Any] = {"counts": {}, "problems": []}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for part in pool.map(examine_contract, *zip(*sorted(used), strict=True)) if used else ():
            found["problems"] += part["problems"]
            for what, number in part["counts"].items():
                found["counts"][what] = found["counts"].get(what, 0) + number
    return found


def examine_contract(contract: str, plain_options: str) -> dict[str, Any]:
    """Put every fault of the catalogue, and every valid alternative, to one contract.

    Args:
        contract: Its name.
        plain_options: Its options as JSON.

    Returns:
        `counts` (faults named, faults that are the same function, alternatives) and `problems`, sentences.
    """
    import torch

    torch.set_num_threads(1)
    options = json.loads(plain_options)
    counts, problems = {"contracts": 1}, []
    try:
        kinds = [KindAnswers(kind_under(contract, options))]
    except OptionError:
        kinds = []  # nobody makes targets with faults for such a contract
    for own in kinds:
        for fault in own.faults:
            if fault.name == "nan_rows" and options.get("allows_nan_rows"):
                continue
            said = _examine(own, fault)
            counts[said] = counts.get(said, 0) + 1
            if said.startswith("not "):
                problems.append(f"contract {contract} {plain_options}: the fault {fault.name} is {said}")
    passed, failed = _alternatives(contract, options)
    counts["valid alternatives pass"] = passed
    return {"counts": {k: n for k, n in counts.items() if not k.startswith("not ")}, "problems": [*problems, *failed]}


def _examine(own: KindAnswers, fault: Fault) -> str:
    try:
        result, found = diagnose_single(own, fault)
    except SurgeonError as error:
        return f"not judged: {error}"
    return _IN_ORDER.get(result) or (
        "not rejected" if result == "accepted" else f"not named, but {', '.join(found.names) or 'nothing'} is"
    )


def _alternatives(contract: str, options: Mapping[str, Any]) -> tuple[int, list[str]]:
    passed, failed = 0, []
    for alternative in alternatives():
        if alternative.contract != contract or alternative.make_contract() != make_contract(contract, **options):
            continue
        found = diagnose(alternative.target, contract, **options)
        if found.verdict == "right":
            passed += 1
        else:
            failed.append(f"contract {contract}: valid code is rejected: {alternative.name}, {', '.join(found.names)}")
    return passed, failed
