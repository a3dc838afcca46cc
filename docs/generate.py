"""Make again what README and docs show: outputs, tables and pictures. `make figures` runs it.

A generated block stands between two comments, and the first says which command made it:

    <!-- output of: surgeon trace "The cat sat" -->       the output as text, in a fence
    <!-- table from: python -m benchmarks.accuracy -->    the output as Markdown
    <!-- end -->

    python -m docs.generate                 every block and picture
    python -m docs.generate --only surgeon  the blocks whose command holds this word
    python -m docs.generate --check         compare in place of writing; exit code 1 if something is out of date
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"<!-- (output of|table from): (?P<command>.+?) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


Run: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]


@cache  # some stand on two pages
def output_of(command: str, run: Run = subprocess.run) -> str:
    """Run a command from the project's folder, 80 columns wide and without colour, and return what it prints."""
    words = shlex.split(command)
    bin_folder = Path(sys.executable).parent
    words[0] = sys.executable if words[0] == "python" else str(bin_folder / words[0])
    # pytest shortens its summary to the width of the terminal, but not where one of these variables is set.
    inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    plain = {**inherited, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    ran = run(words, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    has_crashed = ran.stderr.startswith("Traceback (most recent call last)")  # half a page is no page
    if ran.returncode not in (0, 1) or not ran.stdout or has_crashed:
        raise RuntimeError(f"{command} ended with {ran.returncode}:\n{ran.stderr}")
    return "\n".join(line.rstrip() for line in ran.stdout.rstrip().splitlines())


def block(match: re.Match[str], run: Run = subprocess.run) -> str:
    """Return a block with its body made again."""
    kind, command = match[1], match["command"]
    made = output_of(command, run)
    body = f"```text\n$ {command}\n{made}\n```\n" if kind == "output of" else f"\n{made}\n\n"
    return f"<!-- {kind}: {command} -->\n{body}<!-- end -->"


def renew(text: str, only: str) -> str:
    """Return a page with every block made again whose command holds `only`."""
    return BLOCK.sub(lambda match: block(match) if only in match["command"] else match[0], text)


def main() -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only blocks whose command holds this word")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    stale = []
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = renew(before, options.only)
        if after != before:
            stale.append(page.relative_to(ROOT))
            if not options.check:
                page.write_text(after, encoding="utf-8")
    if not options.check and not options.only:
        subprocess.run([sys.executable, "-m", "docs.pictures"], cwd=ROOT, check=True)
    print(*(f"{'out of date' if options.check else 'made again'}: {page}" for page in stale), sep="\n")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
