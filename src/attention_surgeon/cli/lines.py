"""Sentences as lines of a screen: cut between words, never wider than the window."""

from collections.abc import Iterator

from rich.text import Text

from attention_surgeon.cli.cells import fit, folded, width_of


def text_lines(text: str, width: int, style: str = "", *, indent: int = 0, more: int = 0) -> Iterator[Text]:
    """Yield text between words, every line indented, those after the first by `more` more."""
    room = max(width - indent, 1)
    for line in folded(text, room, indent=more):
        yield Text(" " * indent + fit(line, room), style)


def title_lines(title: str, note: str, width: int) -> Iterator[Text]:
    """Yield a heading with a quiet note beside it, or below where there is no room."""
    if width_of(title) + width_of(note) + 2 <= width:
        yield Text.assemble((title, "heading"), (f"  {note}", "quiet"))
    else:
        yield from text_lines(title, width, "heading")
        yield from text_lines(note, width, "quiet", indent=2)


def labelled_lines(label: str, text: str, width: int, indent: int = 2, room: int = 6) -> Iterator[Text]:
    """Yield text beside a quiet word, which has `room` cells."""
    left = indent + room
    for number, line in enumerate(folded(text, max(width - left, 1))):
        shown = f"{' ' * indent}{label if number == 0 else '':<{room}}"
        yield Text.assemble((shown, "quiet"), fit(line, max(width - left, 1)))


def code_lines(code: str, label: str = "") -> Iterator[Text]:
    """Yield lines of code as they are, however narrow the window: a cut line is no code, a folded one no Python."""
    room = 6 if label else 0
    for number, line in enumerate(code.splitlines()):
        yield Text.assemble((f"  {label if number == 0 else '':<{room}}", "quiet"), line)


def count(number: int, thing: str) -> str:
    """Return a number with its thing: `1 call`, `3 calls`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
