"""Which share of what the processor can multiply does attention reach? PyTorch's product, its attention and ours.

    python -m benchmarks.peak                   what was stored, as a Markdown table
    python -m benchmarks.peak --measure         measure it again

The peak is that of multiply-adds between registers, 24 sums at once, compiled as our own library is. Products count
2 n_q n_k (d_k + d_v) operations for each head in the forward pass and 2.5 times as many in the backward pass;
exponentials and sums, which have to be done besides, count nothing. All on one thread, in turns.
"""

import argparse
import ctypes
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch.nn import functional as F

from attention_surgeon.compiled import computed_by_pytorch, who_computes
from attention_surgeon.compiled.library import HEADER, compile_sources
from attention_surgeon.kernels import tiled_attention
from attention_surgeon.threads import one_thread

STORED = Path(__file__).parent / "results" / "peak.json"
TOKENS, HEADS, SIZE, TURNS = 2048, 4, 64, 15
Attend = Callable[..., torch.Tensor]
ROUNDS = 2_000_000
SUMS = 24

_SOURCE = f"""
#include "{HEADER}"
float multiply_adds(int64_t rounds) {{
    Floats sum[{SUMS}], x = all(0.999f), y = all(0.001f), total = {{0}};
    for (int i = 0; i < {SUMS}; i++) sum[i] = all((float)i);
    for (int64_t round = 0; round < rounds; round++)
        _Pragma("GCC unroll {SUMS}") for (int i = 0; i < {SUMS}; i++) sum[i] = sum[i] * x + y;
    for (int i = 0; i < {SUMS}; i++) total += sum[i];
    return total[0];
}}
int lanes(void) {{ return LANES; }}
"""


def main() -> None:
    """Print or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        STORED.write_text(json.dumps(_measured(), indent=1) + "\n")
    rates = json.loads(STORED.read_text())
    peak = rates["multiply-adds between registers"]
    print("| float32, one thread | billion operations a second | share of the peak |", "|---|---|---|", sep="\n")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.0f} | {rate / peak:.0%} |")


def _measured() -> dict[str, float]:
    query, key, value = (torch.randn(1, HEADS, TOKENS, SIZE, requires_grad=True) for _ in range(3))
    matrix = torch.randn(TOKENS, TOKENS)
    plain = [x.detach() for x in (query, key, value)]
    forward = 4 * HEADS * TOKENS**2 * SIZE
    attends: dict[str, tuple[Attend, Callable[[], AbstractContextManager[None]]]] = {
        "SDPA": (F.scaled_dot_product_attention, nullcontext),
        "ours, by PyTorch": (tiled_attention, computed_by_pytorch),
        "ours, compiled": (tiled_attention, nullcontext),
    }
    assert who_computes().startswith("compiled"), who_computes()
    with tempfile.TemporaryDirectory() as folder, one_thread():
        multiply_adds, lanes = _peak(Path(folder))
        works: dict[str, tuple[Callable[[], object], float]] = {
            "multiply-adds between registers": (lambda: multiply_adds(ROUNDS), 2.0 * ROUNDS * SUMS * lanes),
            "PyTorch's product of two matrices": (lambda: matrix @ matrix, 2.0 * TOKENS**3),
        }
        for name, (attend, within) in attends.items():
            works[f"{name}, forward"] = (partial(_forward, attend, within, plain), forward)
            works[f"{name}, forward and backward"] = (
                partial(_both, attend, within, [query, key, value]),
                3.5 * forward,
            )
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(TURNS):
            for name, (work, _) in works.items():
                begun = time.perf_counter()
                work()
                times[name].append(time.perf_counter() - begun)
    return {name: operations / median(times[name]) / 1e9 for name, (_, operations) in works.items()}


def _forward(attend: Attend, within: Callable[[], AbstractContextManager[None]], given: list[torch.Tensor]) -> None:
    with within():
        attend(*given)


def _both(attend: Attend, within: Callable[[], AbstractContextManager[None]], given: list[torch.Tensor]) -> None:
    with within():
        attend(*given).sum().backward()


def _peak(folder: Path) -> tuple[Callable[[int], float], int]:
    source, place = folder / "peak.c", folder / "peak.so"
    source.write_text(_SOURCE)
    compile_sources([source], place)
    functions = ctypes.CDLL(str(place))
    functions.multiply_adds.argtypes, functions.multiply_adds.restype = [ctypes.c_int64], ctypes.c_float
    return functions.multiply_adds, functions.lanes()


if __name__ == "__main__":
    main()
