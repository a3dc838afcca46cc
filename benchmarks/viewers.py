"""How large a page is, how long it takes to make and to be seen: ours and three others, by turns.

    uv run --with bertviz --with circuitsvis --with inspectus --with ipython python -m benchmarks.viewers
    python -m benchmarks.viewers --peers FOLDER     where the three lie that `pip install --target FOLDER` put there
    python -m benchmarks.viewers --only ours        without the others; a part is printed, and not stored
    python -m benchmarks.viewers --stored           what was stored, for a document

The input is the attention of the small trained BERT (extra demo-model), 6 layers of 12 heads on two texts: 12 layers x
12 heads; ours is also given a text of 2,048 tokens (tiled from it) and a pooled map of 65,536. "made" is the call that
makes the page and writes it, in a process of its own, imports not counted; "seen" is the browser's first contentful
paint after the address is opened, from disk, without network. The budgets are those of ours.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "viewers.json"
_LAYERS, _HEADS = 12, 12
_LONGEST = 300.0
_PATIENCE = 20.0
_PAINT = (
    "patience => new Promise(done => { setTimeout(() => done(null), patience);"
    "new PerformanceObserver(seen => done(seen.getEntries()[0].startTime)).observe({type: 'paint', buffered: true}) })"
)


@dataclass(frozen=True)
class Case:
    """One page: who makes it, of how many tokens, and what it may take (bytes, seconds, seconds)."""

    who: str
    tokens: int
    budget: tuple[float, float | None, float | None] | None = None


@dataclass(frozen=True)
class Taken:
    """What one page took; None where it did not come to that, with the reason."""

    num_bytes: int | None = None
    made: float | None = None
    memory: int | None = None
    seen: float | None = None
    reason: str = ""


def real_attention(tokens: int) -> torch.Tensor:
    """Return the weights of a trained model on two texts, `(12, 12, tokens, tokens)`, at most 512 tokens."""
    from attention_surgeon.models import shipped_corpus
    from attention_surgeon.surgery import load_model

    loaded = load_model("minilm")
    loaded.model.set_attn_implementation("eager")
    text = shipped_corpus()
    layers: list[torch.Tensor] = []
    for start in (0, len(text) // 2):
        ids = loaded.tokenizer(text[start:], return_tensors="pt", truncation=True, max_length=tokens)
        with torch.no_grad():
            layers += loaded.model(**ids, output_attentions=True).attentions
    return torch.cat(layers)


def ours(weights: torch.Tensor, tokens: list[str], out: Path) -> None:
    """Make our page."""
    from attention_surgeon.viewer import view

    view(weights, axes=("layer", "head"), tokens=tokens).save(out)


def pooled(weights: torch.Tensor, tokens: list[str], out: Path) -> None:
    """Make our page of a long text, of which only cells are known."""
    from attention_surgeon.stats import PooledMap
    from attention_surgeon.viewer import view

    edges = tuple(range(0, len(tokens) + 1, len(tokens) // weights.shape[-1]))
    view(PooledMap(weights, weights / 2, edges, edges, len(tokens), len(tokens)), tokens=tokens).save(out)


def bertviz(weights: torch.Tensor, tokens: list[str], out: Path) -> None:
    """Make the page of bertviz's view of all heads."""
    import bertviz as peer

    page = peer.model_view([layer[None] for layer in weights], tokens, html_action="return")
    out.write_text(page.data, encoding="utf-8")


def circuitsvis(weights: torch.Tensor, tokens: list[str], out: Path) -> None:
    """Make the page of CircuitsVis."""
    from circuitsvis.attention import attention_heads

    out.write_text(str(attention_heads(weights.flatten(0, 1), tokens)), encoding="utf-8")


def inspectus(weights: torch.Tensor, tokens: list[str], out: Path) -> None:
    """Make the page of Inspectus; it can only be shown in a notebook, so what it shows is caught."""
    import inspectus as peer
    import IPython.display

    shown: list[str] = []
    IPython.display.display = lambda *parts, **_: shown.extend(part.data for part in parts)
    peer.attention(weights.numpy(), tokens)
    out.write_text("".join(shown), encoding="utf-8")


MAKERS: dict[str, Callable[[torch.Tensor, list[str], Path], None]] = {
    "ours": ours,
    "ours, pooled": pooled,
    "bertviz": bertviz,
    "CircuitsVis": circuitsvis,
    "Inspectus": inspectus,
}
CASES = (
    Case("ours", 512, (5e6, 3.0, 2.0)),
    Case("ours", 2048, (12e6, None, None)),
    Case("ours, pooled", 65_536, (8e6, None, None)),
    *(Case(peer, tokens) for tokens in (128, 512) for peer in ("bertviz", "CircuitsVis", "Inspectus")),
    Case("ours", 128),
)


def make(who: str, tokens: int, source: Path, out: Path) -> None:
    """Make one page in this process and print what it took."""
    torch.set_num_threads(2)
    weights = torch.from_numpy(np.load(source))
    names = [f"w{i}" for i in range(tokens)]
    MAKERS[who](weights[..., :2, :2] / weights[..., :2, :2].sum(-1, keepdim=True), names[:2], out)  # imports
    begun = time.perf_counter()
    MAKERS[who](weights, names, out)
    seconds = time.perf_counter() - begun
    memory = _peak()
    print(json.dumps({"made": seconds, "memory": memory, "num_bytes": out.stat().st_size}))


def _peak() -> int | None:
    """Return the most bytes that this process had; None where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else None


def measured(case: Case, source: Path, folder: Path, peers: str | None) -> Taken:
    """Make a page in a process of its own, and open it."""
    out = folder / "page.html"
    command = [sys.executable, "-m", "benchmarks.viewers", "--make", case.who, str(case.tokens), str(source), str(out)]
    path = os.pathsep.join(filter(None, (peers, os.environ.get("PYTHONPATH"))))
    try:
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Taken(reason=f"not made in {_LONGEST:.0f} s")
    if ran.returncode:
        return Taken(reason=f"not made: {(ran.stderr.strip().splitlines() or ['killed'])[-1][:90]}")
    found = json.loads(ran.stdout.splitlines()[-1])
    seen = _seen(out)
    reason = "" if seen else f"nothing is drawn in {_PATIENCE:.0f} s"
    return Taken(found["num_bytes"], found["made"], found["memory"], seen, reason)


def _seen(page: Path) -> float | None:
    """Return after how many seconds the browser shows the first of a page's content; None: never."""
    from playwright.sync_api import Error

    from tests.viewer.browser import executable, running

    path = executable()
    if path is None:
        raise SystemExit("no browser was found; set CHROMIUM to its path")
    with running(path) as browser:
        opened = browser.new_page()
        opened.set_default_timeout(60_000)
        opened.route("http*://**", lambda route: route.abort())
        try:
            opened.goto(page.as_uri())
            painted = opened.evaluate(_PAINT, 1000 * _PATIENCE)
        except Error:
            return None
    return None if painted is None else painted / 1000


def sources(folder: Path, tokens: set[int]) -> dict[int, Path]:
    """Write the inputs and return where they lie."""
    real = real_attention(512)
    found = {}
    for count in tokens:
        if count <= 512:
            part = real[..., :count, :count]
        elif count == 65_536:
            part = real[0, :1]
        else:
            part = real.repeat(1, 1, count // 512, count // 512)
        part = part / part.sum(-1, keepdim=True)
        np.save(folder / f"{count}.npy", part.numpy())
        found[count] = folder / f"{count}.npy"
    return found


def rows(cases: list[Case], turns: int, peers: str | None) -> Iterator[tuple[Case, list[Taken]]]:
    """Yield each case with what its turns took; all cases take their first turn before any takes its second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = sources(folder, {case.tokens for case in cases})
        taken: dict[Case, list[Taken]] = {case: [] for case in cases}
        for _ in range(turns):
            for case in cases:
                if not any(each.reason for each in taken[case]):
                    taken[case].append(measured(case, inputs[case.tokens], folder, peers))
        yield from taken.items()


def cells(case: Case, taken: list[Taken]) -> list[str]:
    """Return a row of the table: medians, each beside its budget."""
    budgets = case.budget or (None, None, None)
    columns = [
        _cell([each.num_bytes for each in taken], 1e6, "MB", budgets[0]),
        _cell([each.made for each in taken], 1, "s", budgets[1]),
        _cell([each.memory for each in taken], 2**30, "GiB", None),
        _cell([each.seen for each in taken], 1, "s", budgets[2]),
    ]
    reason = next((each.reason for each in taken if each.reason), "")
    return [case.who, f"{case.tokens:,}", *columns, reason]


def _cell(values: list[float | None] | list[int | None], unit: float, name: str, budget: float | None) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    limit = f" of {budget / unit:g}" if budget is not None else ""
    return f"{statistics.median(known) / unit:.2f}{limit} {name}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--make", nargs=4, metavar=("WHO", "TOKENS", "SOURCE", "OUT"), help="one page, in this process")
    parser.add_argument("--peers", help="folder where the other viewers lie")
    parser.add_argument("--only", help="only pages of makers whose name begins so")
    parser.add_argument("--tokens", type=int, help="only pages of so many tokens")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--stored", action="store_true", help="print the table of the last whole run as Markdown")
    options = parser.parse_args()
    if options.make:
        who, tokens, source, out = options.make
        return make(who, int(tokens), Path(source), Path(out))
    if options.stored:
        head, *rest = json.loads(RESULTS.read_text(encoding="utf-8"))
        print("\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rest)))
        return None
    cases = [case for case in CASES if case.who.startswith(options.only or "")]
    cases = [case for case in cases if options.tokens in (None, case.tokens)]
    heads = ["page of", "tokens", "size", "made in", "memory", "seen after", "besides"]
    table = [heads, *(cells(case, taken) for case, taken in rows(cases, options.turns, options.peers))]
    if len(cases) == len(CASES):
        RESULTS.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    print(
        "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        )
    )
    return None


if __name__ == "__main__":
    main()
