"""`surgeon fix`: the smallest change that makes an attention right, verified before it is shown."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from attention_surgeon.repair import Repair

_EXIT_CODES = {"right": 0, "fixed": 0, "not_found": 1, "unjudged": 2}


def fix(
    target: Annotated[str, typer.Argument(metavar="FILE.py:NAME", help="What to mend.")],
    contract: Annotated[
        str | None, typer.Option(metavar="NAME", help="What it should be: attention, multihead, causal_mask, ...")
    ] = None,
    mask: Annotated[
        str | None, typer.Option(metavar="MEANING", help="What a mask means to it: keep, hide or additive.")
    ] = None,
    returns: Annotated[
        str | None, typer.Option(metavar="ORDER", help="output_first, or weights_first where two values come back.")
    ] = None,
    align: Annotated[
        str | None, typer.Option(metavar="SIDE", help="Where a causal mask lies with more keys: end or start.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="KIND", help="What a padding mask is made of: lengths or tokens.")
    ] = None,
    unscaled: Annotated[bool, typer.Option("--unscaled", help="The scores should not be divided by √d_k.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Write the patch; the old file is kept beside it.")] = False,
    lines: Annotated[int, typer.Option(metavar="N", min=1, help="A patch may change so many lines.")] = 6,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    seconds: Annotated[float, typer.Option(metavar="N", min=1, help="How long the search may take.")] = 60.0,
) -> int:
    """Find the smallest change that makes an attention right.

    Every patch is tried before it is shown, on sizes and numbers that were not used to find it, forward and backward.
    Exit code 0: a patch was found, or nothing is wrong. 1: no patch was found. 2: it could not be judged.
    """
    # Imported here, because these load torch and libcst, and `surgeon --help` must not wait for them.
    from attention_surgeon.cli.console import make_console, show, write
    from attention_surgeon.repair import fix_file

    given = {"mask": mask, "returns": returns, "align": align, "source": source, "scaled": False if unscaled else None}
    options = {name: value for name, value in given.items() if value is not None}
    found = fix_file(target, contract, options, most_lines=lines, seconds=seconds)
    kept = str(found.apply()) if apply and found.result == "fixed" else ""
    if json:
        from json import dumps

        write(f"{dumps(found.as_dict() | {'applied': bool(kept), 'kept': kept})}\n")
    else:
        console = make_console()
        show(fix_lines(found, kept, console.width), console)
    return _EXIT_CODES[found.result]


def fix_lines(found: "Repair", kept: str, width: int) -> Iterator["Text"]:
    """Yield the whole screen; the diff's own lines are never cut."""
    from rich.text import Text

    from attention_surgeon.cli.cells import count, text_lines, visible

    yield from text_lines(visible(found.target), width, "heading")
    if found.title:
        yield from text_lines(f"judged as {found.title}", width, "quiet")
    yield Text("")
    if found.result == "right":
        yield from text_lines("✓ RIGHT · there is nothing to mend", width, "good")
        return
    for name in found.faults:
        yield from text_lines(f"✗ {name}: {(found.summaries or {})[name]}", width, "bad")
    if found.result != "fixed":
        is_judged = found.result == "not_found"
        yield from text_lines("NO PATCH" if is_judged else "? COULD NOT JUDGE", width, "bad")
        yield from text_lines(found.reason, width, indent=2)
        if found.line:
            yield from text_lines(f"line {found.line} is the first that goes wrong", width, indent=2)
        if found.num_tried:
            yield from text_lines(
                f"{count(found.num_tried, 'change')} tried; the file is as it was", width, "quiet", indent=2
            )
        return
    yield from text_lines(
        f"✓ PATCH · {count(found.num_lines, 'line')} · right on calls that did not help to find it",
        width,
        "good",
    )
    yield Text("")
    yield from diff_lines(found.diff)
    yield Text("")
    last = f"written; the old file is {visible(kept)}" if kept else "--apply writes it · --json for machines"
    yield from text_lines(last, width, "quiet")


def diff_lines(diff: str) -> Iterator["Text"]:
    """Yield the lines of a unified diff, whole."""
    from rich.text import Text

    from attention_surgeon.cli.cells import visible

    for line in diff.split("\n")[:-1]:
        shown = "\t".join(visible(part) if part else "" for part in line.split("\t"))  # a tab is no strange character
        yield Text(shown, _style_of(line))


def _style_of(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "quiet"
    return {"+": "good", "-": "bad"}.get(line[:1], "")
