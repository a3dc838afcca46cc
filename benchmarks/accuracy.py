"""How far from the true result? Our drop-ins and PyTorch's own modules, over drawn configurations.

    python benchmarks/accuracy.py              a table on the screen
    python benchmarks/accuracy.py --markdown   the same for a document

The true result is PyTorch's own in float64, computed from the same numbers cast up. "ours" and "PyTorch's" are the
largest absolute differences to it, over all entries of all outputs (or weights, or gradients), "apart" is the largest
between the two; a gradient with entries above 1 counts relative to the largest of them. "ratio" is the largest, over
the configurations, of our error divided by PyTorch's: at 1.00 ours was nowhere further from the truth.
"""

import argparse
import copy
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon import nn
from attention_surgeon.threads import one_thread

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file runs as a script, too

from benchmarks.draws import (
    REGIMES,
    FunctionCase,
    Inputs,
    ModuleCase,
    draw_function_case,
    draw_module_case,
)

NUM_CASES = 240
DTYPES = (torch.float64, torch.float32, torch.bfloat16)
HEADINGS = ("what", "dtype", "of", "apart", "ours", "PyTorch's", "ratio")


@dataclass(frozen=True)
class Measured:
    """Errors of one configuration in one dtype, of outputs (with weights) or of gradients.

    Attributes:
        case: The configuration in words.
        ours: Our largest error.
        theirs: PyTorch's largest error.
        apart: The largest difference between the two.
    """

    case: str
    ours: float
    theirs: float
    apart: float

    @property
    def ratio(self) -> float:
        """Our error in units of PyTorch's; 1 if both are 0."""
        if self.theirs == 0:
            return 1.0 if self.ours == 0 else math.inf
        return self.ours / self.theirs


@dataclass(frozen=True)
class Row:
    """One row of the table: the worst of many configurations.

    Attributes:
        what: Which of ours is compared with which of PyTorch's.
        dtype: The dtype both computed in.
        kind: "output" or "gradient".
        measured: One entry for each configuration.
    """

    what: str
    dtype: torch.dtype
    kind: str
    measured: tuple[Measured, ...]

    @property
    def apart(self) -> float:
        """The largest difference between ours and PyTorch's."""
        return max(each.apart for each in self.measured)

    @property
    def ours(self) -> float:
        """Our largest error."""
        return max(each.ours for each in self.measured)

    @property
    def theirs(self) -> float:
        """PyTorch's largest error."""
        return max(each.theirs for each in self.measured)

    @property
    def ratio(self) -> float:
        """The largest ratio of the two errors in one configuration."""
        return max(each.ratio for each in self.measured)


Results = dict[str, list[Tensor]]
"""The tensors that a call gave: under "output" what it returned, under "gradient" those of inputs and parameters."""


def measure_module(case: ModuleCase, dtype: torch.dtype) -> dict[str, Measured]:
    """Compare our drop-in with PyTorch's module in `dtype`, both against PyTorch's in float64."""
    theirs = copy.deepcopy(case.module).to(dtype)
    ours = nn.MultiheadAttention.from_torch(theirs)
    truth = run_module(copy.deepcopy(theirs).double(), case, torch.float64, dtype)
    return _compare(case.options_text, run_module(ours, case, dtype), run_module(theirs, case, dtype), truth)


def run_module(
    module: torch.nn.Module, case: ModuleCase, dtype: torch.dtype, rounded_to: torch.dtype | None = None
) -> Results:
    """Call a module in `dtype`, on numbers that were rounded to `rounded_to` first, and differentiate."""
    inputs = _leaves(case.inputs, dtype, rounded_to or dtype)
    options = {name: _cast(option, dtype, rounded_to or dtype) for name, option in case.options.items()}
    made = [result for result in module(**inputs, **options) if result is not None]
    return _differentiate(made, [*_distinct(inputs), *module.parameters()], rounded_to or dtype)


def measure_function(case: FunctionCase, dtype: torch.dtype) -> dict[str, Measured]:
    """Compare our scaled_dot_product_attention with PyTorch's in `dtype`, both against PyTorch's in float64."""
    ours = run_function(nn.scaled_dot_product_attention, case, dtype)
    theirs = run_function(F.scaled_dot_product_attention, case, dtype)
    truth = run_function(F.scaled_dot_product_attention, case, torch.float64, dtype)
    return _compare(case.options_text, ours, theirs, truth)


def run_function(
    function: Callable[..., Tensor], case: FunctionCase, dtype: torch.dtype, rounded_to: torch.dtype | None = None
) -> Results:
    """Call a function in `dtype`, on numbers that were rounded to `rounded_to` first, and differentiate."""
    inputs = _leaves(case.inputs, dtype, rounded_to or dtype)
    options = {name: _cast(option, dtype, rounded_to or dtype) for name, option in case.options.items()}
    return _differentiate([function(**inputs, **options)], list(inputs.values()), rounded_to or dtype)


def _leaves(inputs: Inputs, dtype: torch.dtype, rounded_to: torch.dtype) -> Inputs:
    """Return copies that want gradients; what was one tensor stays one."""
    made = {id(x): x.to(rounded_to).to(dtype).detach().requires_grad_() for x in _distinct(inputs)}
    return {name: made[id(x)] for name, x in inputs.items()}


def _distinct(inputs: Inputs) -> list[Tensor]:
    return list({id(x): x for x in inputs.values()}.values())


def _cast(option: object, dtype: torch.dtype, rounded_to: torch.dtype) -> object:
    if isinstance(option, Tensor) and option.is_floating_point():
        return option.to(rounded_to).to(dtype)
    return option


def _differentiate(made: list[Tensor], leaves: list[Tensor], rounded_to: torch.dtype) -> Results:
    """Take the gradients of a loss that weighs every entry differently, with the same weights in every dtype."""
    generator = torch.Generator().manual_seed(0)
    upstream = [torch.randn(result.shape, generator=generator).to(rounded_to).to(result.dtype) for result in made]
    gradients = torch.autograd.grad(made, leaves, upstream, materialize_grads=True)
    return {"output": [result.detach().double() for result in made], "gradient": [g.double() for g in gradients]}


def _compare(case: str, ours: Results, theirs: Results, truth: Results) -> dict[str, Measured]:
    return {
        kind: Measured(
            case,
            _largest_difference(ours[kind], truth[kind], kind),
            _largest_difference(theirs[kind], truth[kind], kind),
            _largest_difference(ours[kind], theirs[kind], kind),
        )
        for kind in truth
    }


def _largest_difference(some: Sequence[Tensor], others: Sequence[Tensor], kind: str) -> float:
    largest = 0.0
    for one, other in zip(some, others, strict=True):
        if one.numel():
            size = max(1.0, other.abs().max().item()) if kind == "gradient" else 1.0
            largest = max(largest, (one - other).abs().max().item() / size)
    return largest


def measure_modules(dtype: torch.dtype, num_cases: int = NUM_CASES) -> list[Row]:
    """Measure `num_cases` drawn modules; one row for outputs and one for gradients."""
    return _rows("module", dtype, [measure_module(draw_module_case(seed), dtype) for seed in range(num_cases)])


def measure_functions(dtype: torch.dtype, regime: str, num_cases: int = NUM_CASES) -> list[Row]:
    """Measure `num_cases` drawn calls of scaled_dot_product_attention in one of the `REGIMES`."""
    cases = [REGIMES[regime](draw_function_case(seed)) for seed in range(num_cases)]
    return _rows(regime, dtype, [measure_function(case, dtype) for case in cases])


def _rows(what: str, dtype: torch.dtype, measured: Sequence[dict[str, Measured]]) -> list[Row]:
    return [Row(what, dtype, kind, tuple(each[kind] for each in measured)) for kind in ("output", "gradient")]


def measure_all() -> Iterator[list[Row]]:
    """Measure everything, in the order of the table."""
    yield from (measure_modules(dtype) for dtype in DTYPES)
    yield from (measure_functions(dtype, regime) for regime in REGIMES for dtype in DTYPES)


def cells(row: Row) -> tuple[str, ...]:
    """Return a row of the table as text; in float64 PyTorch's own result is the truth, so there is no ratio."""
    errors = ("-", "-", "-")
    if row.dtype != torch.float64:
        errors = (f"{row.ours:.1e}", f"{row.theirs:.1e}", f"{row.ratio:.2f}")
    return (row.what, str(row.dtype).removeprefix("torch."), row.kind, f"{row.apart:.1e}", *errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    markdown = parser.parse_args().markdown
    console = Console(stderr=markdown)
    steps = len(DTYPES) * (1 + len(REGIMES))
    progress = track(measure_all(), "measuring", total=steps, console=console, transient=True)
    with one_thread():
        rows = [cells(row) for pair in progress for row in pair]
    if markdown:
        print(*(f"| {' | '.join(row)} |" for row in (HEADINGS, ("---",) * len(HEADINGS), *rows)), sep="\n")
        return
    table = Table(*HEADINGS, title=f"largest of {NUM_CASES} configurations, torch {torch.__version__}")
    for number, row in enumerate(rows, start=1):
        table.add_row(*row, end_section=number % 2 == 0)
    console.print(table)


if __name__ == "__main__":
    main()
