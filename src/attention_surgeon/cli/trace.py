"""What `surgeon trace` prints: the sizes, the table of steps, the weights of one head, the strongest pair."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from attention_surgeon.cli.cells import fit, folded, shortened, visible, width_of
from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.cli.grid import grid_lines
from attention_surgeon.errors import OptionError
from attention_surgeon.stats import MIXED, name_patterns
from attention_surgeon.trace import AttentionTrace, Check, StepSummary, StrongestPair

_LONGEST_NAME = 24

_PLURALS = {"batch": "batches"}

_OF_WEIGHTS = ("finite", "hidden", "rows")  # the checks that weights pass which a pattern can be told of

_TOLD = {
    "scores": "dot products",
    "scaled": "scale",
    "masked": "mask",
    "weights": "rows",
    "output": "bounds",
}
"""Which of a step's passed checks is told in its row; for the others it is that every number is finite."""

_LEAST_CHECK_WIDTH = 21


def print_trace(trace: AttentionTrace, *, head: int, as_json: bool, save: Path | None) -> int:
    """Print a trace, save it if asked to, and return the exit code: 1 if a check failed.

    Raises:
        OptionError: there is no such head.
        FileAccessError: the file or the output cannot be written.
    """
    _check_head(trace, head)
    checks = trace.checks()
    if save is not None:
        _save(trace, save)
    if as_json:
        write(f"{trace.to_json()}\n")
    else:
        console = make_console()
        show(screen_lines(trace, head, checks, console.width), console)
    return 0 if all(check.passed for check in checks) else 1


def screen_lines(trace: AttentionTrace, head: int, checks: Sequence[Check], width: int) -> Iterator[Text]:
    """Yield the whole screen, no line wider than `width` cells."""
    yield Text(fit(" ".join(visible(token) for token in trace.query_tokens), width), "heading")
    yield from (Text(line) for line in folded(_sizes(trace), width))
    if trace.source:
        yield from (Text(fit(line, width), "quiet") for line in folded(visible(trace.source), width))
    yield Text("")
    yield from step_lines(trace, checks, width)
    yield Text("")
    if any(not check.passed for check in checks if check.name == "shape") or trace.weights.numel() == 0:
        yield Text(fit("weights: nothing to draw", width), "quiet")
        return
    drawn, place = _one_map(trace, head)
    heading = f"weights{place}: each row shows whom its token attends to"
    yield from (Text(fit(line, width)) for line in folded(heading, width))
    yield from grid_lines(drawn, width)
    yield Text("")
    yield from (Text(fit(line, width)) for line in folded(_strongest(drawn), width))
    if drawn.weights.any() and all(check.passed for check in checks if check.name in _OF_WEIGHTS):
        yield from (Text(fit(line, width)) for line in folded(_pattern(drawn), width))


def _sizes(trace: AttentionTrace) -> str:
    *leading, n_q, n_k = trace.scores_shape
    named = [
        f"{size} {axis if size == 1 else _PLURALS.get(axis, f'{axis}s')}"
        for axis, size in zip(trace.axes, leading, strict=False)
    ]
    if trace.query_tokens == trace.key_tokens:
        named.append(f"{n_q} token{_s(n_q)}")
    else:
        named += [f"{n_q} quer{'y' if n_q == 1 else 'ies'}", f"{n_k} key{_s(n_k)}"]
    dtype = str(trace.query.dtype).removeprefix("torch.")
    return " · ".join([*named, f"d_k {trace.key_size}", f"d_v {trace.value.shape[-1]}", dtype])


def _one_map(trace: AttentionTrace, head: int) -> tuple[AttentionTrace, str]:
    """Return one map of weights and say which one: the chosen head of the first entry of every other axis."""
    place = ""
    for axis, size in zip(trace.axes[:-2], trace.scores_shape[:-2], strict=True):
        index = head if axis == "head" else 0
        trace = trace.select(axis, index)
        place += f", {axis} {index} of 0 to {size - 1}" if size > 1 else ""
    return trace, place


def _check_head(trace: AttentionTrace, head: int) -> None:
    num_heads = trace.num_heads or 1
    if not 0 <= head < num_heads:
        there_is = "there is one head, 0" if num_heads == 1 else f"there are {num_heads} heads, 0 to {num_heads - 1}"
        raise OptionError(f"--head is {head}, but {there_is}.")


def _strongest(trace: AttentionTrace) -> str:
    """Say between whom the weight is largest, and, where that is a token and itself, between which two others."""
    strongest = trace.strongest_pair()
    if strongest is None:
        return "Nobody attends to anybody: no weight is above 0."
    if not _is_self(trace, strongest):
        return f"Strongest: {_link(strongest)}."
    other = trace.strongest_pair(skip_self=True)
    between = f"between two tokens {_link(other)}" if other else "nobody attends to another"
    return f"Strongest: {_link(strongest, to_itself=True)}; {between}."


def _pattern(trace: AttentionTrace) -> str:
    """Say which pattern names the head, and how much of its attention that accounts for."""
    tokens = trace.key_tokens if trace.query_tokens == trace.key_tokens else None
    found = name_patterns(trace.weights, trace.allowed, tokens=tokens)
    if found.name() == MIXED:
        return f"Pattern: {MIXED}; none accounts for half of the attention."
    return f"Pattern: {found.name()}, {found.score():.2f} of the attention."


def _link(pair: StrongestPair, to_itself: bool = False) -> str:
    receiver = "itself" if to_itself else f"'{shortened(visible(pair.key_token), _LONGEST_NAME)}'"
    ties = f" (as strong: {pair.num_ties} other pair{_s(pair.num_ties)})" if pair.num_ties else ""
    giver = shortened(visible(pair.query_token), _LONGEST_NAME)
    return f"'{giver}' gives {receiver} {pair.weight:.2f} of its attention{ties}"


def _is_self(trace: AttentionTrace, pair: StrongestPair) -> bool:
    return trace.query_tokens == trace.key_tokens and pair.place[-2] == pair.place[-1]


def _save(trace: AttentionTrace, path: Path) -> None:
    kept = trace.save(path)
    note(f"saved {path}" + (f"; what was there is now {kept}" if kept else ""))


def _s(count: int) -> str:
    return "" if count == 1 else "s"


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
