"""How long does the operating table take from a request to its answer? A table for its page.

python -m benchmarks.serve              fifteen times each
python -m benchmarks.serve --times 50   more often
"""

import argparse
import json
import statistics
import threading
import time
import urllib.request
from typing import Any

from attention_surgeon.cli.serve_table import ModelTable
from attention_surgeon.surgery import load_model
from attention_surgeon.viewer.live import Serving, serve

TEXTS = {"tiny": "the harbour in winter", "minilm": "The cat sat on the mat because it was tired."}
OPERATIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "knock_out, one head": {"fault": "knock_out", "layers": [0], "heads": [1]},
    "causal mask, all heads": {"mask": "causal"},
    "uniform, all heads": {"fault": "uniform"},
}


def ask(serving: Serving, path: str, fields: dict[str, Any]) -> bytes:
    """Send one request of the page and return the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{serving.port}/{path}",
        json.dumps({"page": "benchmark"} | fields).encode(),
        {
            "Content-Type": "application/json",
            "Origin": f"http://127.0.0.1:{serving.port}",
            "X-Surgeon-Token": serving.token,
        },
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        return answer.read()


def measure(serving: Serving, num_times: int) -> None:
    """Print a row for each model and operation; the operations are asked for by turns, after one round that is not
    counted.
    """
    print("| model | operation | median | nine of ten under | answer |\n|---|---|---|---|---|")
    number = 1
    for model, text in TEXTS.items():
        taken: dict[str, list[float]] = {name: [] for name in OPERATIONS}
        sizes = {}
        number += 1
        ask(serving, "model", {"model": model, "number": number})  # loads it
        for _ in range(num_times + 1):
            for name, fields in OPERATIONS.items():
                number += 1
                start = time.perf_counter()
                sizes[name] = len(ask(serving, "operate", fields | {"model": model, "text": text, "number": number}))
                taken[name].append(1e3 * (time.perf_counter() - start))
        for name, times in taken.items():
            median, high = statistics.median(times[1:]), statistics.quantiles(times[1:], n=10)[-1]
            print(f"| {model} | {name} | {median:.0f} ms | {high:.0f} ms | {sizes[name] / 1e3:.0f} kB |")


def main() -> None:
    """Start a server, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=15, help="how often each operation is asked for")
    options = parser.parse_args()
    ready: list[Serving] = []
    is_ready = threading.Event()

    def begin(serving: Serving) -> None:
        ready.append(serving)
        is_ready.set()

    table = ModelTable(list(TEXTS), load_model)
    threading.Thread(target=serve, args=(table,), kwargs={"port": 0, "on_ready": begin}).start()
    is_ready.wait()
    try:
        measure(ready[0], options.times)
    finally:
        ready[0].stop()


if __name__ == "__main__":
    main()
