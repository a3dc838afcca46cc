"""The rows of the table, laid out as Markdown: one line for each case, the contenders side by side."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from benchmarks.rows import OURS, Row, Stored
from benchmarks.side_by_side import cost_exponent

PEERS = ("SDPA", "naive", "flex", "MHA")
"""The peers that have a column; others are named in the last one."""

HEADINGS = ("what", "tokens", "of", "ours", "extra memory", *PEERS, "besides")
_UNITS = ((1.0, "s", 2), (1e-3, "ms", 0), (1e-6, "µs", 0))

Case = tuple[str, int | None, str]


def markdown(stored: Stored, parts: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the table, and below it what the parts were measured on."""
    yield _line(HEADINGS)
    yield _line(("---",) * len(HEADINGS))
    there = [part for part in parts if part in stored.parts]
    for part in there:
        yield from _part(stored.rows(part))
    yield ""
    yield from _machines(stored, there)


def headlines(stored: Stored, parts: Sequence[str]) -> Iterator[str]:
    """Yield a short table: the cases that are headlines, ours and each peer, with how many times as long ours took."""
    yield _line(("what", "tokens", "of", "ours", "peer", "ours / peer"))
    yield _line(("---",) * 6)
    there = [part for part in parts if part in stored.parts]
    for part in there:
        for (what, tokens, setting), rows in _by_case(stored.rows(part)).items():
            if not rows[OURS].is_headline:
                continue
            ours = _time(rows[OURS].seconds)
            for name, row in rows.items():
                if row.ratio is not None:
                    peer = f"{name}, {_time(row.seconds)}"
                    yield _line((what, _count(tokens), setting, ours, peer, _ratio(row)))
    yield ""
    yield from _machines(stored, there)


def _part(rows: Sequence[Row]) -> Iterator[str]:
    kinds: dict[tuple[str, str], list[dict[str, Row]]] = defaultdict(list)
    for (what, _, setting), by_name in _by_case(rows).items():
        kinds[what, setting].append(by_name)
    for (what, setting), cases in kinds.items():
        for by_name in cases:
            yield _line(_cells(by_name))
        if sum(OURS in by_name and by_name[OURS].tokens is not None for by_name in cases) > 2:
            yield _line((what, "growth", setting, *_growth(cases), ""))


def _by_case(rows: Sequence[Row]) -> dict[Case, dict[str, Row]]:
    cases: dict[Case, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        cases[row.what, row.tokens, row.setting][row.who] = row
    return cases


def _cells(by_name: dict[str, Row]) -> tuple[str, ...]:
    first = next(iter(by_name.values()))
    ours = by_name.get(OURS)
    others = [f"{name} {_against(row)}" for name, row in by_name.items() if name not in (OURS, *PEERS)]
    notes = [ours.note] if ours and ours.note else []
    return (
        first.what,
        _count(first.tokens),
        first.setting,
        _time(ours.seconds) if ours else "",
        _memory(by_name),
        *(_against(by_name[name]) if name in by_name else "" for name in PEERS),
        "; ".join(others + notes),
    )


def _against(row: Row) -> str:
    """`1.24 s (0.81x)`, or with the least and the largest of several runs, or why the peer took no part."""
    if row.seconds is None:
        return row.note
    told = _time(row.seconds) + (f" ({_ratio(row)}x)" if row.ratio is not None else "")
    return f"{told}, {row.note}" if row.note else told


def _ratio(row: Row) -> str:
    """`0.81`, or `0.79 to 0.84` where several runs differed."""
    low, high = (f"{each:.2f}" for each in row.ratio_range or (row.ratio, row.ratio))
    return low if low == high else f"{low} to {high}"


def _memory(by_name: dict[str, Row]) -> str:
    told = {name: _bytes(row.memory) for name, row in by_name.items() if row.memory is not None}
    return ", ".join(amount if name == OURS else f"{name} {amount}" for name, amount in told.items())


def _growth(cases: Sequence[dict[str, Row]]) -> Iterator[str]:
    yield _exponent(cases, OURS, "seconds")
    exponents = {name: _exponent(cases, name, "memory") for name in (OURS, *PEERS)}
    yield ", ".join(power if name == OURS else f"{name} {power}" for name, power in exponents.items() if power)
    for name in PEERS:
        yield _exponent(cases, name, "seconds")


def _exponent(cases: Sequence[dict[str, Row]], name: str, cost: str) -> str:
    points = [
        (row.tokens, getattr(row, cost))
        for by_name in cases
        if (row := by_name.get(name)) and row.tokens and getattr(row, cost)
    ]
    if len(points) < 3:
        return ""
    return f"n^{cost_exponent([size for size, _ in points], [each for _, each in points]):.2f}"


def _machines(stored: Stored, parts: Sequence[str]) -> Iterator[str]:
    """Say on what the parts were measured; parts of one machine in one line, however busy it was."""
    machines: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        known = dict(stored.parts[part]["machine"])
        load = known.pop("load", None)
        told = (
            f"{known['processor']}, {known['cores']} cores, {known['threads']} threads, torch {known['torch']}, "
            f"Python {known['python']}"
        )
        machines[told].append(f"{part} (load {load})")
    for told, measured in machines.items():
        yield f"Measured on {told}. The load before each part, where 0 is nobody else: {', '.join(measured)}."


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    unit, name, digits = next((unit for unit in _UNITS if seconds >= unit[0]), _UNITS[-1])
    digits = 1 if digits == 0 and seconds / unit < 10 else digits
    return f"{seconds / unit:.{digits}f} {name}"


def _bytes(amount: int) -> str:
    return f"{amount / 2**30:.1f} GiB" if amount >= 2**30 else f"{amount / 2**20:.0f} MiB"


def _count(tokens: int | None) -> str:
    return "" if tokens is None else f"{tokens:,}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
