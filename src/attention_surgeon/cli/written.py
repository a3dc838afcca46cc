"""What `surgeon diagnose` writes besides its screen: a test, SARIF, and a line that GitHub shows beside the code."""

import json
import os
import shlex
from collections.abc import Mapping
from typing import Any

from attention_surgeon.cli.console import note, write
from attention_surgeon.diagnose.file import FileDiagnosis
from attention_surgeon.repair.sarif import annotation, sarif_log
from attention_surgeon.repair.write_test import write_test

_EXIT_CODES = {"right": 0, "wrong": 1, "unjudged": 2}


def write_its_test(target: str, file: str, contract: str | None, options: Mapping[str, Any]) -> None:
    """Write the test of a target, and say where.

    Raises:
        OptionError, UnjudgedError, FileAccessError: as `attention_surgeon.repair.write_test.write_test`.
    """
    given = {name: value for name, value in options.items() if value is not None}
    write_test(target, file, contract, given)
    note(f"written: {file}; run it with: python -m pytest {shlex.quote(file)}")


def print_sarif(found: FileDiagnosis) -> int:
    """Print the verdict as SARIF 2.1.0 and return the exit code."""
    write(f"{json.dumps(sarif_log([found]), indent=2)}\n")
    return _EXIT_CODES[found.diagnosis.verdict]


def annotate(found: FileDiagnosis) -> None:
    """On a continuous integration that says so (`CI`), print the line that GitHub shows beside the code."""
    if os.environ.get("CI") and found.diagnosis.verdict == "wrong":
        note(annotation(found))
