"""`surgeon operate`: put a fault into a real model, and see what it does to one text."""

from pathlib import Path
from typing import Annotated

import typer

TextOption = Annotated[str | None, typer.Option(help="The text to run; - reads the standard input.")]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from a file (UTF-8).")]


def operate(
    fault: Annotated[str, typer.Option(metavar="NAME", help="What to do; list shows all that can be done.")],
    model: Annotated[
        str, typer.Argument(help="A folder, an id of the hub, or writer, minilm or tiny (built in).")
    ] = "writer",
    layers: Annotated[str | None, typer.Option(metavar="0-3,7", help="Which layers; all if not given.")] = None,
    heads: Annotated[str | None, typer.Option(metavar="2,5", help="Which query heads; all if not given.")] = None,
    text: TextOption = None,
    file: FileOption = None,
    target: Annotated[str | None, typer.Option(help="What an encoder-decoder is to write; else the text.")] = None,
    top: Annotated[int, typer.Option(metavar="N", help="How many predictions to show.")] = 3,
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write before and after as a page.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Operate on the attention of a real model, with a receipt.

    The text goes through the model as it is, operated on, and as it is again. Exit code 1: the operation changed
    nothing on this text.
    """
    # Imported here, because these load torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.operate_run import OperateRequest, run_operate

    return run_operate(OperateRequest(model, fault, layers, heads, text, file, target, top, out), as_json=json)
