"""Where does the time of `tiled_attention` go where PyTorch does the work? A forward and a backward pass on one thread.

    python -m benchmarks.kernel_profile                a Markdown table
    python -m benchmarks.kernel_profile --tokens 8192

The shares are of the time within the call; on a busy machine they hold better than the seconds do.
"""

import argparse

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from attention_surgeon.compiled import computed_by_pytorch
from attention_surgeon.kernels import tiled_attention
from attention_surgeon.threads import one_thread

HEADS, SIZE = 8, 64
GROUPS = {
    "matrix products": ("aten::bmm", "aten::baddbmm_"),
    "exp2": ("aten::exp2_",),
    "row sums": ("aten::sum",),
    "subtracting and multiplying": ("aten::sub_", "aten::mul_", "aten::mul", "aten::add_", "aten::div_"),
}
"""Operations by what they are for; the rest is counted as one."""
PYTHON = "Python between the operations"


def shares(tokens: int, *, backward: bool) -> dict[str, float]:
    """Return the share of each group in the time of one call."""
    query, key, value = (torch.randn(1, HEADS, tokens, SIZE, requires_grad=backward) for _ in range(3))
    with one_thread(), computed_by_pytorch():
        tiled_attention(query, key, value)
        with profile(activities=[ProfilerActivity.CPU]) as seen, record_function("the whole call"):
            output = tiled_attention(query, key, value)
            if backward:
                output.sum().backward()
    times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    total = sum(times.values())
    found = {name: sum(times.get(key, 0.0) for key in keys) / total for name, keys in GROUPS.items()}
    found[PYTHON] = sum(time for key, time in times.items() if not key.startswith("aten::")) / total
    return {**found, "the rest": 1 - sum(found.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    tokens = parser.parse_args().tokens
    forward, both = (shares(tokens, backward=backward) for backward in (False, True))
    print("| | forward | forward and backward |", "|---|---|---|", sep="\n")
    for name in forward:
        print(f"| {name} | {forward[name]:.0%} | {both[name]:.0%} |")


if __name__ == "__main__":
    main()
