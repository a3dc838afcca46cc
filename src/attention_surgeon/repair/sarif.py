"""A diagnosis as SARIF 2.1.0, the format of code review tools, and as a line that GitHub shows beside the code.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, sections 3.13 to 3.27.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attention_surgeon import __version__
from attention_surgeon.diagnose import Diagnosis
from attention_surgeon.diagnose.file import FileDiagnosis
from attention_surgeon.diagnose.load import find_source, split_target

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_UNNAMED = "wrong"


def sarif_log(found: Sequence[FileDiagnosis]) -> dict[str, Any]:
    """Return a SARIF log of diagnoses: one result for each fault, with the line that is wrong."""
    rules: dict[str, str] = {}
    results = []
    for one in found:
        for name, text in _complaints(one.diagnosis):
            rules.setdefault(name, text)
            results.append(_result(one, name, text))
    driver = {
        "name": "attention-surgeon",
        "version": __version__,
        "rules": [{"id": name, "shortDescription": {"text": text}} for name, text in rules.items()],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def annotation(found: FileDiagnosis) -> str:
    """Return the workflow command with which GitHub shows a message at a line of a file."""
    text = "; ".join(f"{name}: {summary}" for name, summary in _complaints(found.diagnosis))
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(character, code)
    return f"::error file={_path(found)},line={_line(found)},title=attention-surgeon::{text}"


def _complaints(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    if diagnosis.verdict != "wrong":
        return []
    named = [(fault.name, fault.summary) for fault in diagnosis.faults]
    seen = [(_UNNAMED, one.evidence) for one in diagnosis.behaviour if one.is_fault and one.fault is None]
    return named + seen or [(_UNNAMED, "It does not compute what it should; the mistake has no name.")]


def _result(found: FileDiagnosis, name: str, text: str) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": quote(_path(found))},
        "region": {"startLine": _line(found)},
    }
    return {
        "ruleId": name,
        "level": "error",
        "message": {"text": f"{found.object}: {text}"},
        "locations": [{"physicalLocation": place}],
    }


def _path(found: FileDiagnosis) -> str:
    """Return the file's path from where we stand, with slashes; absolute where it is not below."""
    place = split_target(found.target)[0]
    source = find_source(place)
    path = Path(place) if source is None else source
    try:
        path = path.relative_to(Path.cwd())
    except ValueError:
        return path.as_posix()
    return path.as_posix()


def _line(found: FileDiagnosis) -> int:
    """Return the line that is wrong; where nobody knows it, the one where the object is defined."""
    source, wrong = find_source(split_target(found.target)[0]), found.diagnosis.location
    if wrong is not None and source is not None and Path(wrong.file).name == source.name:
        return wrong.line
    line = re.search(r", line (\d+)$", found.object)
    return int(line[1]) if line else 1
