"""How long does a diagnosis take once torch is loaded? A table for the page on the doctor.

python -m benchmarks.diagnosis              twelve targets of each kind, five times
python -m benchmarks.diagnosis --times 20   more often
"""

import argparse
import statistics
import time
from collections.abc import Callable

from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.doctor.examine import ward
from attention_surgeon.diagnose.doctor.patients import find_kind, target_with

KINDS = {"function": ("attention", "attention, NumPy", "causal_attention"), "module": ("self", "multihead", "grouped")}
BUDGET = {"function": 150, "module": 400}
"""Milliseconds, of the median."""

NUM_TARGETS = 12


def seconds_of(kind: str, num_times: int) -> dict[str, list[float]]:
    """Return how long each of some targets took, right and wrong ones in turn, after one round that is not counted."""
    own = find_kind(kind)
    faults = ward(kind).faults
    wrong = [target_with(own, (fault,)) for fault in faults[:: max(1, len(faults) // NUM_TARGETS)]]
    taken: dict[str, list[float]] = {"right": [], "one fault": []}
    for turn in range(num_times + 1):
        for name, target in [("right", target_with(own)), *(("one fault", target) for target in wrong)]:
            one = _timed(lambda target=target: diagnose(target, own.make_contract()))
            if turn:
                taken[name].append(one)
    return taken


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


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
