"""What each statistic means, as Markdown tables.

python -m docs.definitions heads         what is measured of each head
python -m docs.definitions comparisons   what two patterns are compared by
python -m docs.definitions patterns      the patterns that have a name
"""

import sys
from collections.abc import Iterator, Sequence

from attention_surgeon.stats import COMPARISONS, DEFINITIONS, PATTERNS, Definition


def markdown(what: str) -> Iterator[str]:
    """Yield the lines of one table."""
    if what == "patterns":
        yield from _table(
            ("name", "score", "what such a head does", "source"),
            [(f"`{each.name}`", each.formula, each.meaning, each.source) for each in PATTERNS],
        )
        return
    yield from _definitions(DEFINITIONS if what == "heads" else COMPARISONS)


def _definitions(definitions: Sequence[Definition]) -> Iterator[str]:
    yield from _table(
        ("name", "", "formula", "unit", "range", "reading it", "source"),
        [
            (
                f"`{each.name}`",
                each.title,
                each.formula,
                each.unit,
                f"{each.low} to {each.high}",
                each.meaning,
                each.source,
            )
            for each in definitions
        ],
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (headings, ["---"] * len(headings), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


if __name__ == "__main__":
    print("\n".join(markdown(sys.argv[1])))
