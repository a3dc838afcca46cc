"""The table of steps: what each is made of, its shape, its range, and what was checked."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from attention_surgeon.cli.cells import fit, folded, width_of
from attention_surgeon.trace import AttentionTrace, Check, StepSummary

_TOLD = {
    "scores": "dot products",
    "scaled": "scale",
    "masked": "mask",
    "weights": "rows",
    "output": "bounds",
}
"""Which of a step's passed checks is told in its row; for the others it is that every number is finite."""

_LEAST_CHECK_WIDTH = 21


def step_lines(trace: AttentionTrace, checks: Sequence[Check], width: int) -> Iterator[Text]:
    """Yield the table, no line wider than `width` cells, then how many checks passed and each that did not."""
    steps = trace.steps()
    columns = {
        "step": [step.name for step in steps],
        "how": [step.formula for step in steps],
        "shape": ["×".join(str(size) for size in step.shape) for step in steps],
        "range": _ranges(steps),
    }
    told = [_told(step.name, checks) for step in steps]
    widths = _column_widths(columns, width)
    last = max(width - sum(size + 2 for size in widths.values()) - 2, 1)
    heading = "".join(fit(name, size + 2) for name, size in widths.items())
    yield Text(fit(f"{heading}  checked", width), "heading")
    for row, check in enumerate(told):
        cells = "".join(fit(columns[name][row], size) + "  " for name, size in widths.items())
        sign, style = ("✓", "good") if check.passed else ("✗", "bad")
        text = check.detail if check.passed else f"{check.name}: {check.detail}"
        yield Text.assemble(cells, (sign, style), " ", (fit(text, last), "" if check.passed else "bad"))
    yield from _result_lines(checks, width)


def _column_widths(columns: dict[str, list[str]], width: int) -> dict[str, int]:
    """Return the columns that fit and how wide they are; the formula goes first, then the range, then the shape."""
    widths = {name: max(width_of(cell) for cell in [name, *cells]) for name, cells in columns.items()}
    for name in ("how", "range", "shape"):
        if width - sum(size + 2 for size in widths.values()) - 2 < _LEAST_CHECK_WIDTH:
            del widths[name]
    return widths


def _ranges(steps: Sequence[StepSummary]) -> list[str]:
    lows = ["" if step.lowest is None else _short(step.lowest) for step in steps]
    highs = ["" if step.highest is None else _short(step.highest) for step in steps]
    width = max(len(low) for low in lows)
    return [f"{low:>{width}} … {high}" if low else "nothing finite" for low, high in zip(lows, highs, strict=True)]


def _short(number: float) -> str:
    """Return a number in at most 8 characters."""
    return f"{number:.2f}" if abs(number) < 10_000 else f"{number:.1e}"


def _told(step: str, checks: Sequence[Check]) -> Check:
    own = [check for check in checks if check.step == step]
    failed = [check for check in own if not check.passed]
    return failed[0] if failed else next(check for check in own if check.name == _TOLD.get(step, "finite"))


def _result_lines(checks: Sequence[Check], width: int) -> Iterator[Text]:
    failed = [check for check in checks if not check.passed]
    if not failed:
        yield Text(fit(f"all {len(checks)} checks passed", width), "quiet")
        return
    yield Text("")
    yield Text(fit(f"{len(failed)} of {len(checks)} checks failed", width), "bad")
    for check in failed:
        text = f"  {check.step}, {check.name}: {check.detail}"
        yield from (Text(fit(line, width)) for line in folded(text, width, indent=4))
