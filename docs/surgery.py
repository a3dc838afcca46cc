"""The gallery of the page on surgery: heads of the trained BERT found by the name of their pattern, and operated on.

python -m docs.surgery heads        which heads they are
python -m docs.surgery operations   what each operation does to them
python -m docs.surgery names        the operations by name
python -m docs.surgery faults       which faults of the catalogue cannot act on a model, and why
"""

import sys
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from matplotlib.figure import Figure

from attention_surgeon.faults import catalogue
from attention_surgeon.plots import plot_fields
from attention_surgeon.plots.style import ThemeName
from attention_surgeon.stats import HeadPatterns, name_patterns
from attention_surgeon.surgery import (
    Capture,
    LoadedModel,
    before_and_after,
    capture,
    layer_statistics,
    load_model,
    operations,
)
from attention_surgeon.surgery.operations import why_not

TEXT = "The cat sat on the mat because it was tired. Then the dog came in, and the cat ran up the old stairs."
KINDS = {
    "next": "a diagonal one place above the main one",
    "previous": "a diagonal one place below the main one",
    "sink": "a vertical line: all look at the first token, [CLS]",
    "uniform": "broad: each looks at nearly everything",
}
"""The patterns shown, by the names of `stats`."""

SHOWN = ("no_scale", "temperature:2", "one_hot", "look_back:1", "uniform", "average_heads", "knock_out")
DRAWN = ("no_scale", "temperature:2", "one_hot", "average_heads")


class Head(NamedTuple):
    """One head of the gallery."""

    kind: str
    layer: int
    head: int
    score: float


@cache
def model() -> LoadedModel:
    """Return the trained BERT."""
    return load_model("minilm")


def named(captured: Capture, layer: int) -> HeadPatterns:
    """Return the patterns of the heads of a layer."""
    trace = captured.layer(layer).trace
    return name_patterns(trace.weights, tokens=trace.key_tokens)


@cache
def chosen() -> tuple[Head, ...]:
    """Return for each pattern the head that shows it most."""
    captured = capture(model().model, TEXT, tokenizer=model().tokenizer)
    found = []
    for layer in range(len(captured.layers)):
        patterns = named(captured, layer)
        found += [Head(patterns.name(head), layer, head, patterns.score(head)) for head in captured.layer(layer).heads]
    return tuple(max((one for one in found if one.kind == kind), key=lambda one: one.score) for kind in KINDS)


def heads() -> Iterator[str]:
    """Yield the table of the heads."""
    captured = capture(model().model, TEXT, tokenizer=model().tokenizer)
    yield "| pattern | head | its share of the attention | what it looks like |"
    yield "|---|---|---|---|"
    for one in chosen():
        yield f"| `{one.kind}` | layer {one.layer}, head {one.head} | {one.score:.2f} | {KINDS[one.kind]} |"
    on_itself = max(float(named(captured, layer).scores["diagonal"].max()) for layer in range(len(captured.layers)))
    yield ""
    yield (
        f"No head of this model looks at its own position: the most that any gives to the main diagonal is "
        f"{on_itself:.2f} of its attention."
    )


def what_operations_do() -> Iterator[str]:
    """Yield the table of what each operation does to each of the heads."""
    yield "| operation | " + " | ".join(f"`{one.kind}` {one.layer}.{one.head}" for one in chosen()) + " |"
    yield "|---" * (len(chosen()) + 1) + "|"
    captured = capture(model().model, TEXT, tokenizer=model().tokenizer)
    cells = [_cell(captured, one, None) for one in chosen()]
    yield "| none | " + " | ".join(cells) + " |"
    for operation in SHOWN:
        cells = []
        for one in chosen():
            effect = before_and_after(
                model().model, operation, TEXT, layers=one.layer, heads=one.head, tokenizer=model().tokenizer
            )
            assert effect.cosine is not None
            cells.append(_cell(effect.after, one, 1 - effect.cosine))
        yield f"| `{operation}` | " + " | ".join(cells) + " |"


def _cell(captured: Capture, one: Head, moved: float | None) -> str:
    """Say which pattern the head shows now, how many keys it spreads over, and how far the text moved."""
    statistics, patterns = layer_statistics(captured.layer(one.layer)), named(captured, one.layer)
    assert statistics is not None
    keys = float(statistics.effective_keys[one.head])
    told = f"{patterns.name(one.head)}, {keys:.1f} keys"
    return told if moved is None else f"{told}, {moved:.4f}"


def refused() -> Iterator[str]:
    """Yield the faults that cannot act, by their reason."""
    reasons: dict[str, list[str]] = {}
    for fault in catalogue():
        reason = why_not(fault)
        if reason is not None:
            reasons.setdefault(reason, []).append(f"`{fault.name}`")
    acting = len(catalogue()) - sum(len(names) for names in reasons.values())
    counted = f"Of {len(catalogue())} faults of the catalogue, {acting} can be put into a model."
    yield f"{counted} The others cannot act there:"
    yield ""
    yield "| faults | why not |"
    yield "|---|---|"
    for reason, names in reasons.items():
        yield f"| {', '.join(names)} | {reason} |"


def every_operation() -> Iterator[str]:
    """Yield the table of the surgeon's own operations."""
    own = [known for known in operations() if known.name not in {fault.name for fault in catalogue()}]
    yield "| name | what it does |"
    yield "|---|---|"
    yield from (f"| `{known.name}` | {known.summary} |" for known in own)


def figure(kind: str, theme: ThemeName) -> Figure:
    """Return one head of the gallery, healthy and under some operations."""
    one = next(head for head in chosen() if head.kind == kind)
    captured = capture(model().model, TEXT, layers=one.layer, tokenizer=model().tokenizer)
    fields = {"healthy": captured.layer(one.layer).trace.weights[one.head].numpy()}
    for operation in DRAWN:
        effect = before_and_after(
            model().model, operation, TEXT, layers=one.layer, heads=one.head, tokenizer=model().tokenizer
        )
        fields[operation] = effect.after.layer(one.layer).trace.weights[one.head].numpy()
    title = f"layer {one.layer}, head {one.head}: {kind}"
    return plot_fields(fields, title=title, row_name="from", column_name="to", label="weight", theme=theme)


def main() -> None:
    """Print the table that is asked for."""
    tables = {
        "heads": heads,
        "operations": what_operations_do,
        "faults": refused,
        "names": every_operation,
    }
    print("\n".join(tables[sys.argv[1]]()))


if __name__ == "__main__":
    main()
