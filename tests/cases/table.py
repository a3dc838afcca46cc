"""The table of docs/doctor.md: each style of attention, whether right ones are accepted, what becomes of mistakes.

python -m tests.cases.run --json tests/cases/found.json     judge them all
python -m tests.cases.table                                 the table of what was found then
"""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FOUND = Path(__file__).parent / "found.json"


def style_of(file: str) -> str:
    """Return the style of a case by its file: `modern/wrong_gpt_neox__sign.py` is `gpt neox`.

    >>> style_of("modern/wrong_gpt_neox__sign.py"), style_of("right_soft_cap.py"), style_of("reports/b01_rope_mixed.py")
    ('gpt neox', "other people's reports and single files", "other people's reports and single files")
    """
    if not file.startswith("modern/"):
        return "other people's reports and single files"
    stem = re.sub(r"^(right|wrong)_", "", Path(file).stem).partition("__")[0]
    return stem.replace("_", " ")


def rows(cases: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str, str, str]]:
    """Return a row for each style, and one for all of them."""
    by_style: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for case in cases:
        by_style[style_of(case["file"])].append(case)
    everything = [case for some in by_style.values() for case in some]
    return [_row(style, by_style[style]) for style in sorted(by_style)] + [_row("**all**", everything)]


def _row(style: str, cases: Sequence[Mapping[str, Any]]) -> tuple[str, str, str, str, str]:
    right = [case for case in cases if case["expected"] != "wrong"]
    wrong = [case for case in cases if case["expected"] == "wrong"]
    accepted = sum(case["agrees"] for case in right)
    rejected, named = (sum(map(test, wrong)) for test in (lambda c: c["agrees"], lambda c: bool(c["names"])))
    seconds = statistics.median(case["seconds"] for case in cases)
    return (
        style,
        f"{accepted} of {len(right)}" if right else "",
        f"{rejected} of {len(wrong)}" if wrong else "",
        f"{named} of {len(wrong)}" if wrong else "",
        f"{seconds:.1f} s",
    )


def main() -> None:
    """Print the table."""
    cases = json.loads(FOUND.read_text(encoding="utf-8"))["cases"]
    print("| style | right ones accepted | mistakes found wrong | with a name | median time |")
    print("|---|---|---|---|---|")
    for row in rows(cases):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
