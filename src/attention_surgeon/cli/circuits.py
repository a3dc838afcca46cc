"""`surgeon circuits`: what heads do whatever the text: where they look, what they move, who reads whom."""

import json as json_format
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from attention_surgeon.surgery import Circuits

_FORMAT, _VERSION = "attention-surgeon circuits", 1
_MOST_ROWS = 8


def circuits(
    model: Annotated[str, typer.Argument(help="A folder, an id of the hub, or minilm or tiny (built in).")],
    head: Annotated[
        str | None, typer.Option(metavar="1.0", help="One head: its strongest directions in words.")
    ] = None,
    kind: Annotated[str, typer.Option(metavar="Q|K|V", help="Through what a later head reads an earlier one.")] = "K",
    top: Annotated[int, typer.Option(metavar="N", help="How many tokens, or pairs of heads.")] = _MOST_ROWS,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Show the QK and OV circuits of a model's heads: strength, copying, which heads compose.

    With --head the directions that the head moves most, as the tokens that it reads and writes.
    """
    # Imported here, because these load torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.console import make_console, note, show, write
    from attention_surgeon.surgery import circuits as circuits_of
    from attention_surgeon.surgery import load_model

    loaded = load_model(model, note)
    found = circuits_of(loaded.model)
    document = _one_head(found, head, loaded.tokenizer, top) if head else _all_heads(found, kind, top)
    if json:
        whole = {"format": _FORMAT, "version": _VERSION, "model": loaded.name, **document}
        write(f"{json_format.dumps(whole, allow_nan=False)}\n")
    else:
        console = make_console()
        lines = _head_lines if head else _lines
        show(lines(document, loaded.name, console.width), console)
    return 0


def _all_heads(found: "Circuits", kind: str, top: int) -> dict[str, Any]:
    given: Any = kind
    pairs = sorted(found.rows(given), key=lambda row: -row["score"])[:top]
    heads = []
    for (layer, number), one in found.heads.items():
        qk = None if one.qk is None else float(one.qk.svd()[1][0])
        ov = float(one.ov.svd()[1][0])
        heads.append({"layer": layer, "head": number, "qk": qk, "ov": ov, "copies": found.copies(layer, number)})
    return {"heads": heads, "kind": kind, "pairs": pairs}


def _one_head(found: "Circuits", name: str, tokenizer: Any, top: int) -> dict[str, Any]:
    from attention_surgeon.errors import OptionError

    layer, _, number = name.rpartition(".")
    if not layer or not number.isdigit():
        raise OptionError(f"--head is {name!r}, expected a layer and a head, such as 1.0.")
    directions = found.top_tokens(layer, int(number), tokenizer=tokenizer, most=top)
    one = found.head(layer, int(number))
    return {
        "head": name,
        "qk": None if one.qk is None else [float(value) for value in one.qk.svd()[1]],
        "ov": [float(value) for value in one.ov.svd()[1]],
        "copies": found.copies(layer, int(number)),
        "directions": [{"strength": size, "reads": read, "writes": written} for size, read, written in directions],
    }


def _lines(document: dict[str, Any], model: str, width: int) -> Iterator["Text"]:
    from attention_surgeon.cli.cells import text_lines, title_lines

    note = "largest singular value of QK and OV; copying from -1 to 1"
    yield from title_lines(f"{len(document['heads'])} heads of {model}", note, width)
    yield from text_lines(f"{'head':<10}{'QK':>10}{'OV':>10}{'copies':>10}", width, "quiet")
    for row in document["heads"]:
        name = f"{row['layer']}.{row['head']}"
        qk = "none" if row["qk"] is None else f"{row['qk']:.2f}"
        yield from text_lines(f"{name:<10}{qk:>10}{row['ov']:>10.2f}{row['copies']:>+10.2f}", width)
    yield from text_lines("", width)
    if not document["pairs"]:
        yield from text_lines("No later head reads an earlier one by a matrix.", width, "quiet")
        return
    yield from text_lines(f"strongest {document['kind']}-composition (Elhage et al. 2021)", width, "quiet")
    for row in document["pairs"]:
        yield from text_lines(f"{row['from']:<8} -> {row['to']:<8}{row['score']:>8.3f}", width)


def _head_lines(document: dict[str, Any], model: str, width: int) -> Iterator["Text"]:
    from attention_surgeon.cli.cells import labelled_lines, text_lines, visible

    yield from text_lines(f"head {document['head']} of {model}", width, "heading")
    for name, label in (("qk", "QK"), ("ov", "OV")):
        values = document[name]
        shown = "none: its queries or keys go through a norm" if values is None else _numbers(values)
        yield from labelled_lines(label, f"singular values {shown}" if values else shown, width)
    yield from labelled_lines("copies", f"{document['copies']:+.2f} (1: what it looks at, it writes)", width, room=8)
    for one in document["directions"]:
        yield from text_lines("", width)
        yield from text_lines(f"direction of strength {one['strength']:.2f}", width, "quiet")
        for side in ("reads", "writes"):
            words = "  ".join(f'"{visible(token)}"' for token in one[side])
            yield from labelled_lines(side, words, width, room=8)


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values[:_MOST_ROWS]) + (" ..." if len(values) > _MOST_ROWS else "")
