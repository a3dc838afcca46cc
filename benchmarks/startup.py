"""How long until the first line? Whole processes, against Python and torch alone.

python -m benchmarks.table --only start-up
"""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.rows import Row, rows_of
from benchmarks.side_by_side import Work, alternate

CASES = {
    "surgeon --help": "import sys; sys.argv[1:] = ['--help']; from attention_surgeon.cli import main; main()",
    "import attention_surgeon": "import attention_surgeon",
    "surgeon trace": "import sys; sys.argv[1:] = ['trace', 'the cat']; from attention_surgeon.cli import main; main()",
}
ALONE = {"python -c pass": "pass", "import torch": "import torch"}


def rows(is_quick: bool = False) -> Iterator[Row]:
    """Yield a row for each command; the times of Python and of torch, taken in the same turns, stand beside them."""
    timings = alternate({name: _process(code) for name, code in {**CASES, **ALONE}.items()}, turns=2 if is_quick else 5)
    alone = ", ".join(f"{name}: {timings[name].median:.2f} s" for name in ALONE)
    for name in CASES:
        yield from rows_of(name, None, "a whole process", {"ours": timings[name]}, notes={"ours": alone})


def _process(code: str) -> Work:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
