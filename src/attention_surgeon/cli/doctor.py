"""What `surgeon doctor` shows: a row for every kind of target, everything that failed, and how much room there is."""

import json
from collections.abc import Iterator, Sequence

from rich.text import Text

from attention_surgeon.cli.cells import count, fit, text_lines, width_of
from attention_surgeon.cli.console import make_console, show, write
from attention_surgeon.cli.live import live_table
from attention_surgeon.diagnose.doctor import NUM_DRAWN, Outcome, Report, Tally, examine, kinds_of
from attention_surgeon.diagnose.doctor.report import LEAST_PAIRS_NAMED, RIGHT
from attention_surgeon.experiments import Progress

_FORMAT, _VERSION = "attention-surgeon doctor", 1
_LEAST_KIND = 10
_HEADINGS = ("rejected", "named", "ties", "pairs named", "right code")
_GROUPS = {"single": "a fault", "pair": "two faults", "valid": "right code"}


def print_examination(contract: str | None, *, everything: bool, as_json: bool, workers: int) -> int:
    """Examine, print what was found and return the exit code: 0 if everything is as it must be, 1 otherwise.

    Raises:
        OptionError: no such contract, or no worker.
        FileAccessError: the output cannot be written.
    """
    kinds = kinds_of(contract, special=everything or contract is not None)
    with live_table("the diagnosis is examined") as tell:
        report = examine(
            kinds,
            drawn=None if everything else NUM_DRAWN,
            workers=workers,
            tell=lambda kind, done, total: tell(Progress(kind, done, total)),
        )
    if as_json:
        write(f"{json.dumps({'format': _FORMAT, 'version': _VERSION, **report.as_dict()}, allow_nan=False)}\n")
    else:
        console = make_console()
        show(report_lines(report, console.width), console)
    return 0 if report.is_passed else 1


def report_lines(report: Report, width: int) -> Iterator[Text]:
    """Yield the whole screen, no line wider than `width` cells."""
    tallies = report.tallies
    yield from _table_lines([*tallies, *([report.total] if len(tallies) > 1 else [])], width)
    yield from _nothing_lines(report, width)
    if report.never_named:
        yield Text("")
        yield from text_lines(f"named nowhere: {', '.join(report.never_named)}", width, "bad", more=2)
    if report.failures:
        yield Text("")
        yield Text(fit(f"{len(report.failures)} went wrong", width), "bad")
        for outcome in report.failures:
            yield from _failure_lines(outcome, width)
    yield Text("")
    yield from text_lines(_distance(report), width)
    yield Text("")
    sign, style = ("✓", "good") if report.is_passed else ("✗", "bad")
    yield from text_lines(f"{sign} {_verdict(report)}", width, style, more=2)
    yield from text_lines(_last_line(report), width, "quiet")


def _table_lines(tallies: Sequence[Tally], width: int) -> Iterator[Text]:
    rows = [_cells(tally) for tally in tallies]
    columns = [[heading, *(row[place] for row in rows)] for place, heading in enumerate(_HEADINGS)]
    sizes = [max(map(width_of, column)) for column in columns]
    longest = max(width_of(tally.kind) for tally in tallies)
    room = min(longest, max(width - sum(size + 2 for size in sizes), _LEAST_KIND))
    for place, tally in enumerate([None, *tallies]):
        kind = fit("" if tally is None else tally.kind, room)
        cells = "".join(
            f"  {' ' * (size - width_of(c[place]))}{c[place]}" for c, size in zip(columns, sizes, strict=True)
        )
        style = "heading" if tally is None else "" if _is_whole(tally) else "bad"
        yield Text(fit(f"{kind}{cells}", width), style)


def _cells(tally: Tally) -> tuple[str, ...]:
    """Return what stands under `_HEADINGS`."""
    return (
        f"{tally.rejected}/{tally.singles}",
        f"{tally.named}/{tally.nameable}",
        str(tally.ties or ""),
        f"{tally.pairs_named}/{tally.pairs} of {tally.pairs_in_all}" if tally.pairs_in_all else "",
        f"{tally.accepted}/{tally.valid}" if tally.valid else "",
    )


def _is_whole(tally: Tally) -> bool:
    are_singles_named = tally.rejected == tally.singles and tally.named == tally.nameable
    return are_singles_named and tally.accepted == tally.valid and tally.pairs_named == tally.pairs


def _nothing_lines(report: Report, width: int) -> Iterator[Text]:
    """Say which faults could not be asked for."""
    for result, what in (
        ("same", "no fault there, as no call can tell them from right"),
        ("raises", "rejected without a name, as they raise in every call"),
    ):
        found: dict[str, list[str]] = {}
        for outcome in report.outcomes:
            if outcome.group == "single" and outcome.result == result:
                found.setdefault(outcome.target[0], []).append(outcome.kind)
        if found:
            yield Text("")
            yield from text_lines(f"{what}:", width, "quiet")
        for name, kinds in found.items():
            yield from text_lines(f"{name}: {'; '.join(kinds)}", width, "quiet", indent=2, more=2)


def _failure_lines(outcome: Outcome, width: int) -> Iterator[Text]:
    target = (" + " if outcome.group != "valid" else ", ").join(outcome.target)
    yield from text_lines(f"{outcome.kind}, {_GROUPS[outcome.group]}: {target}", width, indent=2, more=2)
    yield from text_lines(f"said: {outcome.said or outcome.result}", width, "bad", indent=4, more=2)


def _distance(report: Report) -> str:
    nearest = min(report.nearest, key=lambda found: found.distance, default=None)
    if nearest is None:
        return "There are no two faults whose distance could be measured."
    first, second = ("no fault at all" if name == RIGHT else name for name in nearest.faults)
    return (
        f"The nearest two faults lie {_scientific(nearest.distance)} apart ({nearest.kind}: {first}, and {second}); "
        f"the tolerance is {_scientific(nearest.tolerance)}."
    )


def _verdict(report: Report) -> str:
    total = report.total
    return (
        f"{_share(total.rejected, total.singles)} of the faults rejected, {_share(total.named, total.nameable)} named, "
        f"{_share(total.pairs_named, total.pairs)} of the pairs named, "
        f"{_share(total.accepted, total.valid)} of the right code accepted"
    )


def _last_line(report: Report) -> str:
    asked = f"asked for: all, all, {100 * LEAST_PAIRS_NAMED:.0f} % of the pairs of each kind, all"
    code = 0 if report.is_passed else 1
    return f"{asked} · {count(len(report.outcomes), 'target')} · --all tries every pair · exit code {code}"


def _scientific(number: float) -> str:
    """Return one digit and the power of ten.

    >>> _scientific(0.00315), _scientific(0.28)
    ('3e-3', '3e-1')
    """
    digit, power = f"{number:.0e}".split("e")
    return f"{digit}e{int(power)}"


def _share(some: int, of: int) -> str:
    """Return a share in percent that says 100 only where it is all.

    >>> _share(1999, 2000), _share(3, 3), _share(0, 0)
    ('99.9 %', '100 %', 'none')
    """
    if not of:
        return "none"
    tenths = some * 1000 // of
    return f"{tenths // 10} %" if tenths % 10 == 0 else f"{tenths / 10} %"
