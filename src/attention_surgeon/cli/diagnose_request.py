"""From the options of `surgeon diagnose` to what was found."""

from collections.abc import Mapping
from typing import Any

from attention_surgeon.cli.mistakes import LEVELS, Level
from attention_surgeon.diagnose.child import Limits
from attention_surgeon.diagnose.file import FileDiagnosis, diagnose_file
from attention_surgeon.errors import OptionError

_MIB = 2**20


def parse_level(text: str) -> Level:
    """Return the level that `text` names.

    Raises:
        OptionError: there is none.
    """
    for level in LEVELS:
        if text == level:
            return level
    raise OptionError(f"--level is {text!r}, expected {', '.join(LEVELS[:-1])} or {LEVELS[-1]}.")


def judge(
    target: str, contract: str | None, options: Mapping[str, Any], *, seconds: float, memory: int
) -> FileDiagnosis:
    """Judge a target as the command line asks.

    Args:
        target: `FILE.py:NAME`.
        contract: Its name, or None to choose by the kind of object.
        options: Of the contract; None where one was not given.
        seconds: The file may take so long.
        memory: The file may take so many MB.

    Raises:
        OptionError: an unknown contract, an option that it does not take, a limit that is not above 0.
        FileAccessError: there is no such file.
    """
    for name, limit in (("seconds", seconds), ("memory", memory)):
        if not limit > 0:
            raise OptionError(f"--{name} is {limit:g}, expected a number above 0.")
    given = {name: value for name, value in options.items() if value is not None}
    return diagnose_file(target, contract, given, limits=Limits(seconds=seconds, memory_bytes=memory * _MIB))
