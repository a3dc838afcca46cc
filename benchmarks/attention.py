"""How long does attention take, how much memory, and how do both grow? Ours and its peers, 1,024 to 65,536 tokens.

python -m benchmarks.table --only attention
"""

from collections.abc import Iterator
from dataclasses import asdict, replace

from benchmarks.peers import Case, Left, prepared
from benchmarks.rows import Row, rows_of
from benchmarks.side_by_side import Work, alternate, peak_extra_memory

SIZES = (1024, 4096, 16384, 65536)
LONGEST = 12.0
"""Seconds that one case may go on before no further turn is begun."""

FLEX_SIZES = (4096, 16384)
"""Every size is compiled anew, which takes longer than the call."""


def cases(is_quick: bool) -> Iterator[tuple[Case, tuple[str, ...]]]:
    """Yield each case with the contenders that are asked; a quick run has small sizes and nobody to compile for."""
    sizes = (1024, 2048) if is_quick else SIZES
    main = 1024 if is_quick else 4096
    for case in (Case(0), Case(0, is_causal=True)):
        for tokens in sizes:
            flex = ("flex",) if not is_quick and tokens in FLEX_SIZES else ()
            yield replace(case, tokens=tokens), ("ours", "SDPA", "naive", "MHA", *flex)
    for case in (Case(0, direction="forward and backward"), Case(0, is_causal=True, direction="forward and backward")):
        for tokens in sizes[:3]:
            yield replace(case, tokens=tokens), ("ours", "SDPA", "naive", "flex", "MHA")
    for tokens in sizes[:3] if is_quick else (2048, 8192, 32768):
        flex = ("flex",) if tokens == 8192 else ()
        yield Case(tokens, window=256), ("ours", "SDPA", "naive", *flex)
    for is_causal in (False, True):
        for direction in ("forward", "forward and backward"):
            for dtype in ("float32", "bfloat16"):
                case = Case(main, heads=8, is_causal=is_causal, direction=direction, dtype=dtype)
                yield case, ("ours", "SDPA")


def rows(is_quick: bool = False) -> Iterator[Row]:
    """Yield the rows of all cases."""
    for case, contenders in cases(is_quick):
        yield from rows_for(case, contenders, with_memory=case.heads == 1 and case.dtype == "float32")


def rows_for(case: Case, contenders: tuple[str, ...], with_memory: bool) -> Iterator[Row]:
    """Measure one case and yield a row for each contender, those that do not take part too."""
    works: dict[str, Work] = {}
    notes: dict[str, str] = {}
    for name in contenders:
        try:
            works[name], took = prepared(name, case)
        except Left as reason:
            notes[name] = str(reason)
            continue
        if name == "flex":
            notes[name] = f"compiled in {took:.0f} s"
    timings = alternate(works, turns=7, warm_up=0, at_most=LONGEST)
    memory = {name: memory_for(name, case) for name in ("ours", "SDPA", "naive") if with_memory and name in timings}
    yield from rows_of(
        case.what, case.tokens, case.setting, timings, memory=memory, notes=notes, is_headline=is_headline(case)
    )
    for name in contenders:
        if name not in timings:
            yield Row(case.what, case.tokens, case.setting, name, note=notes[name])


def is_headline(case: Case) -> bool:
    """Say whether the README shows a case: eight heads, in the dtype that most know."""
    return case.dtype == "float32" and case.heads == 8


def memory_for(name: str, case: Case) -> int | None:
    """Return by how many bytes a call raises the memory of a fresh process; None if it takes no part."""
    return peak_extra_memory("benchmarks.peers:memory_of", name=name, **asdict(case))
