r"""One marked file, from which come what the learner starts with and a solution, so that they cannot drift apart.

    def scores(query, key):
        # BEGIN SOLUTION
        # STUB: similarity = ...
        similarity = query @ key.T
        return similarity
        # END SOLUTION

The lines between the marks are the solution. In the learner's file stand `# YOUR CODE HERE`, the `# STUB:` lines, and
a `raise NotImplementedError`, unless a `# STUB:` line raises it itself or the block stands at the left margin.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from attention_surgeon.errors import FileFormatError

BEGIN, END, STUB = "# BEGIN SOLUTION", "# END SOLUTION", "# STUB:"
YOUR_CODE = "# YOUR CODE HERE"
_OPENS = re.compile(r"(?:async\s+)?(?:def|class)\s+(\w+)")


def split_marked(text: str, name: str | Path) -> tuple[str, str]:
    r"""Return the stub and the solution of a marked text.

    Args:
        text: The marked source.
        name: Of the file, for messages.

    Raises:
        FileFormatError: a mark without its partner, or no mark at all.

    >>> stub, solution = split_marked("def one():\n    # BEGIN SOLUTION\n    return 1\n    # END SOLUTION\n", "one.py")
    >>> print(stub)
    def one():
        # YOUR CODE HERE
        raise NotImplementedError("one: write this part")
    <BLANKLINE>
    >>> print(solution)
    def one():
        return 1
    <BLANKLINE>
    """
    stub: list[str] = []
    solution: list[str] = []
    for kind, lines in _blocks(text.splitlines(), name):
        if kind == "plain":
            stub += lines
            solution += lines
        else:
            stub += _stub_of(lines, stub)
            solution += [line for line in lines[1:] if not line.strip().startswith(STUB)]
    return "\n".join(stub) + "\n", "\n".join(solution) + "\n"


def _blocks(lines: Sequence[str], name: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Yield `plain` lines, and `solution` blocks that begin with their mark."""
    start: int | None = None
    found = False
    for index, line in enumerate(lines):
        mark = line.strip()
        if mark == BEGIN:
            if start is not None:
                raise FileFormatError(
                    f"{name}, line {index + 1}: {BEGIN} inside the block that began in line {start + 1}."
                )
            start, found = index, True
        elif mark == END:
            if start is None:
                raise FileFormatError(f"{name}, line {index + 1}: {END} without {BEGIN} before it.")
            yield "solution", list(lines[start:index])
            start = None
        elif start is None:
            if mark.startswith(STUB):
                raise FileFormatError(f"{name}, line {index + 1}: {STUB} stands outside {BEGIN} ... {END}.")
            yield "plain", [line]
    if start is not None:
        raise FileFormatError(f"{name}, line {start + 1}: {BEGIN} without {END} after it.")
    if not found:
        raise FileFormatError(f"{name}: there is no {BEGIN}; without it the learner would be given the solution.")


def _stub_of(block: Sequence[str], before: Sequence[str]) -> list[str]:
    indent = block[0][: len(block[0]) - len(block[0].lstrip())]
    given = [line.strip().removeprefix(STUB).removeprefix(" ") for line in block if line.strip().startswith(STUB)]
    lines = [YOUR_CODE, *given]
    if indent and not any(line.strip().startswith("raise ") for line in given):
        lines.append(f'raise NotImplementedError("{_around(before, len(indent))}: write this part")')
    return [f"{indent}{line}".rstrip() for line in lines]


def _around(before: Sequence[str], indent: int) -> str:
    """Return the dotted name of the function or class that a block of this indentation stands in."""
    names: list[str] = []
    for line in reversed(before):
        depth = len(line) - len(line.lstrip())
        opens = _OPENS.match(line.lstrip())
        if opens and depth < indent:
            names.insert(0, opens[1])
            indent = depth
    return ".".join(names) or "here"
