"""From the options of `surgeon operate` to what it shows."""

from pathlib import Path
from typing import NamedTuple

from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.cli.operate_screen import as_json_text, effect_lines, operations_as_json, operations_lines
from attention_surgeon.cli.sentence import entry_of
from attention_surgeon.cli.serve_screen import predictions_of, receipt_of
from attention_surgeon.cli.trace_input import read_standard_input
from attention_surgeon.errors import OptionError
from attention_surgeon.files import read_text, require_place
from attention_surgeon.surgery import Effect, LoadedModel, before_and_after, find_operation, load_model, operations

EXAMPLE = "The cat sat on the mat because it was tired."
"""The text that is run where none is given."""


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
    effect = before_and_after(
        loaded.model,
        request.fault,
        text,
        layers=request.layers,
        heads=request.heads,
        tokenizer=loaded.tokenizer,
        target=request.target,
        most=request.top,
    )
    page = None if request.out is None else _write_page(effect, loaded, text, request.out)
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


def _write_page(effect: Effect, loaded: LoadedModel, text: str, path: Path) -> Path:
    from attention_surgeon.viewer import compare  # here, because most runs write no page

    stack = next(layer.name for layer in effect.receipt.layers if layer.calls).rpartition(" ")[0]
    sides = [
        {layer.name: layer.trace for layer in side.layers if layer.stack == stack}  # a page shows maps of one size
        for side in (effect.before, effect.after)
    ]
    page = compare(*sides, title=f"{loaded.name}: {effect.receipt.operation}")
    told = predictions_of(loaded, effect.before, effect.after)
    page.document["operation"] = entry_of(effect, stack, told, receipt_of(effect), text)
    page.save(path)
    return path


def _print_operations(as_json: bool) -> int:
    if as_json:
        write(f"{operations_as_json(operations())}\n")
    else:
        console = make_console()
        show(operations_lines(operations(), console.width), console)
    return 0
