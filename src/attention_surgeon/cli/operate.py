"""`surgeon operate`: from its options to the receipt, and a table of before and after."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.text import Text

from attention_surgeon.cli.cells import code_lines, count, fit, labelled_lines, shortened, text_lines, visible
from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.cli.receipt_words import nothing_changed, place_of, receipt_parts
from attention_surgeon.cli.sentence import sentence_of
from attention_surgeon.cli.trace_input import read_standard_input
from attention_surgeon.errors import OptionError
from attention_surgeon.files import read_text, require_place
from attention_surgeon.stats import PER_HEAD
from attention_surgeon.surgery import (
    Effect,
    LayerReceipt,
    LoadedModel,
    Operation,
    Prediction,
    attention_layers,
    before_and_after,
    find_operation,
    fit_to_context,
    layer_statistics,
    load_model,
    operations,
)
from attention_surgeon.surgery.inputs import TextLike

EXAMPLE = "The cat sat on the mat because it was tired."
"""The text that is run where none is given."""

_FORMAT, _VERSION = "attention-surgeon operation", 1

_MOST_ROWS = 6

_MOST_WEIGHTS = 200_000_000
"""Of all heads together: a capture holds each four times, 4 bytes each, and a model's own run some times more."""

_COLUMN, _LABEL = 22, 16

_SHOWN = ("entropy", "mean_distance")


class OperateRequest(NamedTuple):
    """The options; None where one was not given."""

    model: str
    fault: str
    layers: str | None
    heads: str | None
    text: str | None
    file: Path | None
    target: str | None
    top: int
    out: Path | None


def run_operate(request: OperateRequest, *, as_json: bool) -> int:
    """Operate, show what was found, and return the exit code: 1 if nothing changed.

    Raises:
        SurgeonError: as `surgery.load_model` and `surgery.before_and_after`.
    """
    if request.fault == "list":
        return _print_operations(as_json)
    find_operation(request.fault)  # before a model is loaded for nothing
    text = text_of(request.text, request.file)
    if request.out is not None:
        require_place(request.out)
    loaded = load_model(request.model, note)
    shortened, left_out = fitting(loaded, text)
    effect = before_and_after(
        loaded.model,
        request.fault,
        shortened,
        layers=request.layers,
        heads=request.heads,
        tokenizer=loaded.tokenizer,
        target=request.target,
        most=request.top,
    )
    page = None if request.out is None else _write_page(effect, loaded, text, left_out, request.out)
    if as_json:
        write(f"{as_json_text(effect, loaded.name, page)}\n")
    else:
        console = make_console()
        show(effect_lines(effect, loaded.name, console.width, page), console)
    return 0 if effect.receipt.changed else 1


def text_of(text: str | None, file: Path | None) -> str:
    """Return the text that is to be run.

    Raises:
        OptionError: two texts.
        FileAccessError, FileFormatError: a text that cannot be read.
    """
    if text is not None and file is not None:
        raise OptionError("both --text and --file given; pass one of them.")
    if file is not None:
        return read_text(file)
    return read_standard_input() if text == "-" else EXAMPLE if text is None else text


def fitting(loaded: LoadedModel, text: str, most_weights: int = _MOST_WEIGHTS) -> tuple[TextLike, str | None]:
    """Return a text as far as a model reads it and its weights fit into memory, and what is said of the rest.

    Args:
        loaded: The model.
        text: Of any length.
        most_weights: Of all heads together.
    """
    num_heads = sum(layer.num_heads or 1 for layer in attention_layers(loaded.model))
    most = math.isqrt(most_weights // max(num_heads, 1))
    shortened, left_out = fit_to_context(loaded.model, text, loaded.tokenizer, most)
    if left_out is not None:
        note(left_out)
    return shortened, left_out


def _write_page(effect: Effect, loaded: LoadedModel, text: str, left_out: str | None, path: Path) -> Path:
    from attention_surgeon.cli.operation_page import page_of  # here, because most runs write no page

    stack = next(layer.name for layer in effect.receipt.layers if layer.calls).rpartition(" ")[0]
    return page_of(loaded, effect, stack, text, left_out).save(path)


def _print_operations(as_json: bool) -> int:
    if as_json:
        write(f"{operations_as_json(operations())}\n")
    else:
        console = make_console()
        show(operations_lines(operations(), console.width), console)
    return 0


def effect_lines(effect: Effect, model: str, width: int, page: Path | None) -> Iterator[Text]:
    """Yield the whole screen, no line wider than `width` cells."""
    receipt = effect.receipt
    called = [layer for layer in receipt.layers if layer.calls]
    where = f"{model} · {place_of(called)}" if called else model
    yield from text_lines(f"{receipt.operation} · {where}", width, "heading")
    yield from text_lines(sentence_of(effect), width)
    for label, text in receipt_parts(effect, called):
        yield from labelled_lines(label, text, width, indent=2, room=11)
    yield Text("")
    yield from _table_lines(effect, called, width)
    if effect.kind == "nothing":
        yield from text_lines(_no_token(effect), width, "quiet")
    if not receipt.changed:
        yield Text("")
        yield from text_lines(nothing_changed(effect), width, "bad")
    if page is not None:
        size = page.stat().st_size / 1e6
        yield from text_lines(f"compare page ({size:.1f} MB):", width, "quiet")
        yield from code_lines(str(page))


def _no_token(effect: Effect) -> str:
    """Say what is compared where no token is predicted."""
    if effect.cosine is None:
        return "This model predicts no token; its attention is what is compared."
    return "An encoder has no next token; compared is where the text as a whole stands: 1 is where it stood."


def operations_lines(known: Sequence[Operation], width: int) -> Iterator[Text]:
    """Yield everything that can be done, one operation per entry."""
    room = max(len(operation.name) for operation in known)
    for operation in known:
        yield from labelled_lines(operation.name, operation.summary, width, indent=0, room=room + 2)
    yield Text("")
    yield from text_lines(f"{count(len(known), 'operation')} · surgeon operate MODEL --fault NAME", width, "quiet")


def operations_as_json(known: Sequence[Operation]) -> str:
    """Return the same for machines."""
    rows = [{"name": operation.name, "summary": operation.summary} for operation in known]
    return json.dumps({"format": "attention-surgeon operations", "version": _VERSION, "operations": rows})


def as_json_text(effect: Effect, model: str, page: Path | None) -> str:
    """Return everything but the tensors for machines; what is not finite is a string."""
    predictions = [[vars(one) for one in side] for side in effect.predictions]
    document: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "model": model,
        "tokens": list(effect.before.tokens),
        "receipt": effect.receipt.as_dict() | {"restored": effect.is_restored},
        "predicts": effect.kind,
        "predictions": {"before": predictions[0], "after": predictions[1]},
        "loss": {"before": effect.before.loss, "after": effect.after.loss},
        "cosine": effect.cosine,
        "statistics": {layer.name: _statistics(effect, layer) for layer in effect.receipt.layers if layer.calls},
        "page": None if page is None else str(page),
    }
    return json.dumps(_finite(document), allow_nan=False)


def _statistics(effect: Effect, layer: LayerReceipt) -> dict[str, Any]:
    """Return every statistic of each operated head, before and after; None where rows are no weights any more."""
    sides = {"before": effect.before, "after": effect.after}
    found: dict[str, Any] = {"heads": list(layer.heads or ())}
    for side, captured in sides.items():
        statistics = layer_statistics(captured.layer(layer.name))
        found[side] = None
        if statistics is not None:
            numbers = {name: getattr(statistics, name) for name in PER_HEAD}
            found[side] = {
                name: each[list(layer.heads or ())].tolist() for name, each in numbers.items() if each is not None
            }
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    is_odd = (isinstance(value, float) and value in (float("inf"), float("-inf"))) or value != value
    return str(value) if is_odd else value


def _table_lines(effect: Effect, called: Sequence[LayerReceipt], width: int) -> Iterator[Text]:
    column = min(_COLUMN, max((width - _LABEL) // 2, 8))
    room = max(width - 2 * column, 8)
    yield Text.assemble(" " * room, (f"{'before':<{column}}after", "quiet"))
    for label, before, after in _rows(effect, called):
        cells = (fit(before, column - 2), "  ", shortened(after, column))
        yield Text.assemble((fit(label, room), "quiet"), *cells)


def _rows(effect: Effect, called: Sequence[LayerReceipt]) -> Iterator[tuple[str, str, str]]:
    before, after = effect.predictions
    for place in range(max(len(before), len(after))):
        yield effect.kind if place == 0 else "", _prediction(before, place), _prediction(after, place)
    if effect.before.loss is not None:
        yield "loss (nats per token)", f"{effect.before.loss:.3f}", _number(effect.after.loss)
    if effect.cosine is not None:
        yield "cosine of mean state", "1.0000", f"{effect.cosine:.4f}"
    for layer in called[:_MOST_ROWS]:
        yield from _statistics_rows(effect, layer)


def _statistics_rows(effect: Effect, layer: LayerReceipt) -> Iterator[tuple[str, str, str]]:
    heads = list(layer.heads or ())
    sides = [layer_statistics(captured.layer(layer.name)) for captured in (effect.before, effect.after)]
    names = {"entropy": "entropy", "mean_distance": "distance"}
    for name in _SHOWN:
        numbers = [None if side is None else float(getattr(side, name)[heads].mean()) for side in sides]
        yield f"{names[name]}, layer {layer.name}", _number(numbers[0]), _number(numbers[1])


def _prediction(side: Sequence[Prediction], place: int) -> str:
    if place >= len(side):
        return "no number any more" if not side else ""
    return f'"{visible(side[place].outcome)}" {side[place].probability:.3f}'


def _number(number: float | None) -> str:
    return "no weights any more" if number is None else f"{number:.3f}"
