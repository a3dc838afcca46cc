"""From a file to its verified patch, in a child process: whatever the file does, there is an answer."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attention_surgeon.diagnose.child import Jsonable, Limits, run_in_child
from attention_surgeon.diagnose.load import find_source, load_target, split_target
from attention_surgeon.errors import FileAccessError, FileFormatError, LoadError
from attention_surgeon.files import file_access_error
from attention_surgeon.repair.patch import apply, changed_lines, unified_diff, without_needless_parentheses
from attention_surgeon.testing import make_contract

if TYPE_CHECKING:
    from attention_surgeon.repair.judge import Judge
    from attention_surgeon.repair.search import Fix, Search

Result: TypeAlias = Literal["right", "fixed", "not_found", "unjudged"]

MOST_LINES = 6
_STARTING = 60.0
"""Seconds on top of the search: to load the file, to judge it, to verify."""


@dataclass(frozen=True)
class Repair:
    """What became of a file that was to be mended.

    Attributes:
        target: As it was given: `FILE.py:NAME`.
        result: `right` (nothing to do), `fixed`, `not_found`, or `unjudged`.
        contract: What it was judged as, by name.
        title: The same in words.
        faults: By name; empty where what is wrong has none.
        summaries: Of each fault, a sentence.
        line: Of the file, that was seen to be wrong before anything was tried; 0 where none was.
        lines: Of the file as it is, that the patch changes.
        diff: The unified diff; empty without a patch.
        text: The whole mended file; empty without a patch.
        num_lines: How many lines the patch changes.
        edits: The rules that made it.
        num_tried: How many changed texts were run.
        most_lines: How many lines a patch may change.
        reason: In words, why there is no patch.
        sha256: Of the bytes of the file that the patch is for.
        seconds: From the start of the child to its end.
    """

    target: str
    result: Result
    contract: str = ""
    title: str = ""
    faults: tuple[str, ...] = ()
    summaries: Mapping[str, str] | None = None
    line: int = 0
    lines: tuple[int, ...] = ()
    diff: str = ""
    text: str = ""
    num_lines: int = 0
    edits: tuple[str, ...] = ()
    num_tried: int = 0
    most_lines: int = MOST_LINES
    reason: str = ""
    sha256: str = ""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the whole text as plain data, for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "text"}

    def apply(self) -> Path:
        """Write the mended text into the file, and return where the old one is kept.

        Raises:
            FileAccessError: there is no patch, the file has changed since, or it cannot be written.
        """
        if self.result != "fixed":
            raise FileAccessError(f"cannot write {self.target}: there is no patch for it.")
        source = find_source(split_target(self.target)[0])
        assert source is not None, "a patch is always for a file"
        return apply(source, self.text, self.sha256)


def fix_file(
    target: str,
    contract: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    most_lines: int = MOST_LINES,
    seconds: int | float = 60,
    limits: Limits | None = None,
) -> Repair:
    """Look for the smallest change that makes `FILE.py:NAME` right. The file is not touched.

    Every patch is verified before it is returned: the whole judge finds nothing wrong, and calls in sizes and numbers
    that the search never used are answered rightly, in gradients, dtypes and training too.

    Args:
        target: The file, and the name in it.
        contract: What it should be; None to choose by the kind of object.
        options: Of the contract.
        most_lines: A patch may change so many lines.
        seconds: The search may take so long, in CPU seconds.
        limits: What the child may use; None: as long as the search, and 2 GiB.

    Raises:
        FileAccessError, OptionError: as `diagnose_file`.
    """
    place, name = split_target(target)
    limits = limits or Limits(seconds=4 * seconds + _STARTING)
    if contract is not None:
        make_contract(contract, **(options or {}))  # at the door: a wrong name is no affair of the child
    source = find_source(place)
    if source is not None:
        _require_readable(source)
    work = partial(_work, place, name, contract, dict(options or {}), most_lines, seconds)
    outcome = run_in_child(work, file=source, limits=limits)
    if not isinstance(outcome.value, dict):
        return Repair(target, "unjudged", reason=outcome.sentence, most_lines=most_lines, seconds=outcome.seconds)
    told: dict[str, Any] = outcome.value
    for key in ("faults", "lines", "edits"):
        told[key] = tuple(told.get(key, ()))
    return Repair(target, **told, most_lines=most_lines, seconds=outcome.seconds)


def _work(
    place: str,
    name: str | None,
    contract: str | None,
    options: Mapping[str, Any],
    most_lines: int,
    seconds: int | float,
) -> Jsonable:
    """Return what the child says; the fields of `Repair`."""
    from attention_surgeon.repair.judges import judges_of
    from attention_surgeon.repair.search import Search

    target = load_target(place, name)
    if target.file is None:
        raise LoadError(f"{place} is compiled; a patch needs a Python file.")
    text = _text_of(target.file, target.sha256)
    num_tried, told = 0, {"sha256": target.sha256}
    for judge, allowed in judges_of(target.object, contract, options, seconds):
        told |= _told(judge, target.file, most_lines)
        if judge.first.status == "right":
            return told | {"result": "right", "reason": ""}
        if not allowed:
            continue
        module = module_of(target.file)
        search = Search(judge, module, target.name, most_lines=most_lines, seconds=allowed)
        found = search.run(text)
        num_tried += search.num_tried
        if found is not None:
            return told | {"num_tried": num_tried} | _patched(search, found, text, target.file.name)
    return told | {"num_tried": num_tried}


def _told(judge: "Judge", file: Path, most_lines: int) -> dict[str, Any]:
    """Return what a judge says of the file as it is."""
    judged = judge.first
    return {
        "contract": judged.contract_name,
        "title": judged.contract,
        "faults": judged.names,
        "summaries": {fault.name: fault.summary for fault in judged.faults},
        "line": next((place.line for place in judge.places if place.file == str(file)), 0),
        "result": "unjudged" if judged.status == "unjudged" else "not_found",
        "reason": judged.reason or f"no patch of at most {most_lines} lines was found",
    }


def _patched(search: "Search", found: "Fix", text: str, name: str) -> dict[str, Any]:
    """Return the patch, without the parentheses that nobody needs."""
    shorter = without_needless_parentheses(text, found.text)
    mended = shorter if shorter == found.text or search.verified(shorter) else found.text
    return {
        "result": "fixed",
        "reason": "",
        "text": mended,
        "diff": unified_diff(text, mended, name),
        "lines": changed_lines(text, mended),
        "num_lines": found.num_lines,
        "edits": found.edits,
    }


def _require_readable(source: Path) -> None:
    try:
        source.read_bytes()
    except OSError as error:
        raise file_access_error("read", source, error) from error


def _text_of(file: Path, sha256: str) -> str:
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise FileFormatError(f"{file.name} changed while it was judged; run it again.")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{file.name} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error


def module_of(file: Path) -> ModuleType:
    """Return the module that was just loaded from a file."""
    found = [one for one in sys.modules.values() if getattr(one, "__file__", None) == str(file)]
    if not found:
        raise LoadError(f"{file.name} is not loaded as a module of its own.")
    return found[-1]
