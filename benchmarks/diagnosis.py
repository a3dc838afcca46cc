"""How long does a diagnosis take once torch is loaded? A table for the page on the doctor.

python -m benchmarks.diagnosis              twelve targets of each kind, five times
python -m benchmarks.diagnosis --times 20   more often
"""

import argparse
import statistics
from collections.abc import Iterator

from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.doctor.examine import answers_of_kind
from attention_surgeon.diagnose.doctor.targets import find_kind, target_with
from benchmarks.rows import OURS, Row, rows_of
from benchmarks.side_by_side import Timing, alternate

KINDS = {"function": ("attention", "attention, NumPy", "causal_attention"), "module": ("self", "multihead", "grouped")}
BUDGET = {"function": 150, "module": 400}
"""Milliseconds, of the median."""

NUM_TARGETS = 12


def seconds_of(kind: str, num_times: int) -> dict[str, list[float]]:
    """Return how long each of some targets took, right and wrong ones in turn, after one round that is not counted."""
    own = find_kind(kind)
    faults = answers_of_kind(kind).faults
    wrong = [target_with(own, (fault,)) for fault in faults[:: max(1, len(faults) // NUM_TARGETS)]]
    targets = dict(enumerate([target_with(own), *wrong]))
    timings = alternate(
        {str(n): lambda target=target: diagnose(target, own.make_contract()) for n, target in targets.items()},
        turns=num_times,
    )
    right, *others = timings.values()
    return {"right": list(right.taken), "one fault": [one for timing in others for one in timing.taken]}


def rows(is_quick: bool = False) -> Iterator[Row]:
    """Yield a row for one kind of function and one of module, for the table of speeds."""
    for what, kinds in KINDS.items():
        for name, taken in seconds_of(kinds[0], 1 if is_quick else 5).items():
            timings = {OURS: Timing(tuple(taken))}
            yield from rows_of(f"diagnose a {what}", None, name, timings, notes={OURS: f"budget {BUDGET[what]} ms"})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5, help="how often each target is diagnosed")
    options = parser.parse_args()
    print("| target | | median | nine of ten under | budget |\n|---|---|---|---|---|")
    for what, kinds in KINDS.items():
        for kind in kinds:
            for name, taken in seconds_of(kind, options.times).items():
                median, high = statistics.median(taken), statistics.quantiles(taken, n=10)[-1]
                print(f"| {what}: {kind} | {name} | {1e3 * median:.0f} ms | {1e3 * high:.0f} ms | {BUDGET[what]} ms |")


if __name__ == "__main__":
    main()
