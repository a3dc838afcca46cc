"""Judge an object of somebody's file, in a child process: whatever the file does, there is an answer."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from attention_surgeon.diagnose.child import Jsonable, Limits, Outcome, run_in_child
from attention_surgeon.diagnose.child.outcome import Ended
from attention_surgeon.diagnose.judge import diagnose
from attention_surgeon.diagnose.load import find_source, load_target, split_target
from attention_surgeon.diagnose.observed import with_location
from attention_surgeon.errors import OptionError
from attention_surgeon.files import file_access_error
from attention_surgeon.testing import Contract, contracts_for, make_contract
from attention_surgeon.verdict import Verdict, verdict_from_dict

OPTIONS = ("mask", "returns", "align", "scaled", "source")
"""What can be said of a target beside the name of its contract."""


@dataclass(frozen=True)
class FileDiagnosis:
    """What was found about an object of a file, and which text was run.

    Attributes:
        target: As it was given: `FILE.py:NAME`.
        object: What was run, in words; empty if the file did not get that far.
        sha256: Of the bytes of the file, in hexadecimal digits; empty where there is no file.
        num_lines: Of the file.
        note: A sentence if the object was chosen for the caller.
        options: Of the contract that it was judged by, the usual ones too.
        diagnosis: The answer; `unjudged` with a reason if the child gave none.
        ended: What became of the child.
        printed: What the file printed.
    """

    target: str
    object: str
    sha256: str
    num_lines: int
    note: str
    options: Mapping[str, Any]
    diagnosis: Verdict
    ended: Ended
    printed: str

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data, for JSON."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "diagnosis"}
        return own | {"options": dict(self.options)} | self.diagnosis.as_dict()


def diagnose_file(
    target: str, contract: str | None = None, options: Mapping[str, Any] | None = None, *, limits: Limits | None = None
) -> FileDiagnosis:
    """Load and judge `FILE.py:NAME` or `package.module:NAME` in a child process.

    Args:
        target: The file or module, and the name in it; without a name, the only function or class defined there.
        contract: The name of what it should be; None to choose by the kind of object.
        options: Of the contract: `mask`, `returns`, `align`, `scaled`, `source`.
        limits: What the file may use.

    Raises:
        FileAccessError: the file is missing, a folder, or may not be read.
        OptionError: no contract of that name, or it does not take such an option.
    """
    place, name = split_target(target)
    options = dict(options or {})
    if contract is not None:
        _check_options(make_contract(contract), contract, options)
    source = find_source(place)
    content = b"" if source is None else _read(source)
    outcome = run_in_child(partial(_judge, place, name, contract, options), file=source, limits=limits)
    known: dict[str, Any] = {
        "target": target,
        "object": "",
        "sha256": hashlib.sha256(content).hexdigest() if content else "",
        "num_lines": len(content.splitlines()),
        "note": "",
        "options": options,
    }
    if isinstance(outcome.value, dict):
        known |= outcome.value
    data = known.pop("diagnosis", None)
    diagnosis = _unjudged(contract or "", outcome) if data is None else verdict_from_dict(data)
    return FileDiagnosis(**known, diagnosis=diagnosis, ended=outcome.ended, printed=outcome.printed)


def _judge(place: str, name: str | None, contract: str | None, options: Mapping[str, Any]) -> Jsonable:
    """Return what the child says: which text was run, as what, and the diagnosis."""
    _interpret_triton(place)
    target = load_target(place, name, needed_only=True)
    choices = contracts_for(target.object, contract, **options)
    takers = [choice for choice in choices if all(_takes(choice, option) for option in options)]
    for choice in takers or choices[:1]:
        _check_options(choice, choice.registered_name, options)
    diagnosis = with_location(diagnose(target.object, contract, **options), target.object)
    taken = dict(options)
    if diagnosis.contract_name:
        chosen = make_contract(diagnosis.contract_name, **options)
        taken = {option: getattr(chosen, option) for option in OPTIONS if _takes(chosen, option)}
    return {
        "object": target.description,
        "sha256": target.sha256,
        "num_lines": target.num_lines,
        "note": target.note,
        "options": {option: value for option, value in taken.items() if value is not None},
        "diagnosis": diagnosis.as_dict(),
    }


def _interpret_triton(place: str) -> None:
    """Let Triton's interpreter run the kernels of a file on the CPU; it must be told before Triton is imported."""
    source = find_source(place)
    if source is not None and source.is_file() and b"triton" in source.read_bytes():
        os.environ.setdefault("TRITON_INTERPRET", "1")


def _check_options(contract: Contract, called: str, options: Mapping[str, Any]) -> None:
    """Raise if the contract does not take an option, or not with this value."""
    for option, value in options.items():
        if not _takes(contract, option):
            taken = [name for name in OPTIONS if _takes(contract, name)]
            its = f"its options are {', '.join(taken)}" if taken else "it has none"
            raise OptionError(f"the contract {called!r} does not take the option {option!r}; {its}.")
        choices = _choices(contract, option)
        if choices and value not in choices:
            raise OptionError(f"{option} is {value!r}, expected {', '.join(choices[:-1])} or {choices[-1]}.")


def _takes(contract: Contract, option: str) -> bool:
    if option == "align" and not getattr(contract, "hides_future", True):
        return False  # nothing is hidden, so nothing lies anywhere
    return option in OPTIONS and option in {field.name for field in fields(contract)}


def _choices(contract: Contract, option: str) -> tuple[str, ...]:
    hint = get_type_hints(type(contract))[option]
    return get_args(hint) if get_origin(hint) is Literal else ()


def _unjudged(contract: str, outcome: Outcome) -> Verdict:
    return Verdict("unjudged", contract, contract_name=contract, reason=outcome.sentence, seconds=outcome.seconds)


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise file_access_error("read", source, error) from error
