"""The options of `surgeon trace`, `view`, `scan`, `report`, `operate`, `sweep` and `serve`.

Each command imports what does the work when it runs: that loads torch, and `surgeon --help` must not wait for it.
"""

from pathlib import Path
from typing import Annotated

import typer

TextOption = Annotated[str | None, typer.Option(help="The text to run; - reads the standard input.")]

FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from a file (UTF-8).")]


def trace(
    text: Annotated[str | None, typer.Argument(help="The text to look at; - reads the standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from a file (UTF-8).")] = None,
    mask: Annotated[
        str | None,
        typer.Option(metavar="MASK", help="Who may attend to whom: none, causal, reverse, window:3 or prefix:2."),
    ] = None,
    no_scale: Annotated[bool, typer.Option("--no-scale", help="Do not divide the scores by √d_k.")] = False,
    heads: Annotated[int | None, typer.Option(metavar="N", help="Number of heads; 4 if not given.")] = None,
    head: Annotated[int, typer.Option(metavar="I", help="Which head's weights to draw, counted from 0.")] = 0,
    size: Annotated[int | None, typer.Option(metavar="N", help="Width of the vectors; 64 if not given.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Draw of the vectors; 0 if not given.")] = None,
    first: Annotated[int | None, typer.Option(metavar="N", help="Look at the first N tokens only.")] = None,
    json: Annotated[bool, typer.Option("--json", help='Print everything as JSON; "-inf" is a string.')] = False,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the trace to a file.")] = None,
    load: Annotated[Path | None, typer.Option(metavar="FILE", help="Print a trace that was saved.")] = None,
) -> int:
    """Show every step of attention on a text.

    Shapes, ranges, checks, and who attends to whom. The vectors are untrained: words spelt alike, or near each other,
    attend to each other. Exit code 1: a check failed.
    """
    from attention_surgeon.cli.trace import print_trace
    from attention_surgeon.cli.trace_input import Request, make_trace

    request = Request(text, file, load, mask, no_scale, heads, size, seed, first)
    made = make_trace(request)
    return print_trace(made, head=head, as_json=json, save=save)


def view(
    text: Annotated[str | None, typer.Option(help="The text to look at; - reads the standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from a file (UTF-8).")] = None,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="Show a trace that was saved.")] = None,
    scan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show what surgeon scan --out kept: maps and statistics.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|ID", help="Run the text through a model: a folder, an id of the hub, writer, minilm, tiny."
        ),
    ] = None,
    mask: Annotated[
        str | None, typer.Option(metavar="MASK", help="Without a model: none, causal, reverse, window:3 or prefix:2.")
    ] = None,
    no_scale: Annotated[bool, typer.Option("--no-scale", help="Without a model: do not divide by √d_k.")] = False,
    first: Annotated[
        int | None, typer.Option(metavar="N", help="Without a model: look at the first N tokens only.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show a vision model a picture; .png out: weights over it.")
    ] = None,
    sound: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Let a model listen to a WAV file, and write what it hears.")
    ] = None,
    stack: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a model with several: encoder, decoder or cross.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="What an encoder-decoder is to write; else the text.")] = None,
    write: Annotated[
        int | None, typer.Option(metavar="N", help="Let the model write N tokens first: the page shows step by step.")
    ] = None,
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="Which layer a picture shows.")] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="What to write: .html for a page; .png, .svg or .pdf for a picture.")
    ] = Path("attention.html"),
    font: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="For a picture: the font that draws its letters.")
    ] = None,
    megabytes: Annotated[float, typer.Option(metavar="MB", help="The size that a page keeps to.")] = 5.0,
    open_it: Annotated[bool, typer.Option("--open", help="Open it when it is written.")] = False,
) -> int:
    """Write attention as one self-contained page, or as a picture.

    Without --model the vectors are untrained, as in surgeon trace: words spelt alike attend to each other. The page
    needs no network and no other file; it can be mailed.
    """
    from attention_surgeon.cli.view import ViewRequest, run_view

    request = ViewRequest(
        text,
        file,
        trace,
        scan,
        model,
        mask,
        no_scale,
        first,
        image,
        sound,
        stack,
        target,
        write,
        layer,
        out,
        font,
        megabytes,
        open_it,
    )
    return run_view(request)


def scan(
    tensors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A safetensors file with query, key and, if wanted, value.")
    ] = None,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="A trace that was saved.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="DIR|ID", help="A model: a folder, an id of the hub, minilm, tiny.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="The text for the model; - reads the standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from a file (UTF-8).")] = None,
    layers: Annotated[str | None, typer.Option(metavar="0-3,7", help="Which layers of the model; all.")] = None,
    mask: Annotated[
        str, typer.Option(metavar="MASK", help="For tensors: none, causal, reverse, window:3 or prefix:2.")
    ] = "none",
    scale: Annotated[float | None, typer.Option(metavar="X", help="For tensors: in place of 1/√d.")] = None,
    near: Annotated[int, typer.Option(metavar="N", help="How far away a key may be and still be local.")] = 1,
    resolution: Annotated[int, typer.Option(metavar="N", help="Cells along each side of the map.")] = 512,
    window: Annotated[
        str | None, typer.Option(metavar="A:B,C:D", help="Map the queries A:B and the keys C:D only.")
    ] = None,
    at_most: Annotated[
        str | None, typer.Option(metavar="TIME", help="Such as 30s or 2m; past it rows are sampled, with the error.")
    ] = None,
    rows: Annotated[int | None, typer.Option(metavar="N", help="Look at about N rows of each head.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Draw of the sample.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep statistics and maps in a file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything but the maps as JSON.")] = False,
) -> int:
    """Measure and map every head without writing its weights out.

    Exact, in memory that grows with the length and not with its square. Ctrl-C shows and keeps the layers that are
    done.
    """
    from attention_surgeon.cli.scan import ScanRequest, run_scan

    request = ScanRequest(
        tensors, trace, model, text, file, layers, mask, scale, near, resolution, window, at_most, rows, seed, out
    )
    return run_scan(request, as_json=json)


def report(
    text: Annotated[
        Path | None, typer.Option("--text", "-t", metavar="FILE", help="A text (UTF-8) in place of the shipped one.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to make everything.")] = Path(),
    quick: Annotated[bool, typer.Option("--quick", help="Small and fast experiments: seconds, not minutes.")] = False,
    tokens: Annotated[int, typer.Option(metavar="N", help="Tokens of the text that the heat maps show.")] = 24,
    heads: Annotated[int, typer.Option(metavar="N", help="Number of heads.")] = 4,
    image_format: Annotated[str, typer.Option("--format", metavar="KIND", help="png, svg or pdf.")] = "png",
    runs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the experiments are kept; runs/ in --out.")
    ] = None,
) -> int:
    """Look at attention on a text, run every experiment, and put it all on one page.

    report.html holds figures, tables, verdicts and the claims of the course; pictures of the text go
    to visualizations/, and an entry is added to learning_journal.md. What stands there already is
    kept. Experiments that were run before are read, not run again; after Ctrl-C the same command goes
    on. Exit code 1: a check or an experiment failed.
    """
    # Imported here, because it loads torch and matplotlib, and `surgeon --help` must not wait for them.
    from attention_surgeon.cli.report import Request, make_report

    return make_report(Request(text, out, quick, tokens, heads, image_format, runs))


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
    from attention_surgeon.cli.operate import OperateRequest, run_operate

    return run_operate(OperateRequest(model, fault, layers, heads, text, file, target, top, out), as_json=json)


def sweep(
    model: Annotated[str, typer.Argument(help="A folder, an id of the hub, or minilm or tiny (built in).")],
    fault: Annotated[str, typer.Option(metavar="NAME", help="What is done to each head.")] = "knock_out",
    layers: Annotated[str | None, typer.Option(metavar="0-3,7", help="Which layers; all if not given.")] = None,
    heads: Annotated[str | None, typer.Option(metavar="2,5", help="Which query heads; all if not given.")] = None,
    text: TextOption = None,
    file: FileOption = None,
    window: Annotated[int, typer.Option(metavar="N", help="Tokens that are read at once.")] = 128,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results are kept; else in runs/heads/.")
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes on this machine.")] = 1,
    backend: Annotated[str, typer.Option(help="Where to work: local, dask or ray.")] = "local",
    address: Annotated[str | None, typer.Option(help="Address of the cluster.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Operate on each head alone and map what it costs: loss per layer and head.

    Results are kept as they come: the same command goes on where it was stopped. The folder holds the records, a table
    (heads.csv) and a picture (heads.png).
    """
    from attention_surgeon.cli.sweep import SweepRequest, run_sweep

    request = SweepRequest(model, fault, layers, heads, text, file, window, out, jobs, backend, address)
    return run_sweep(request, as_json=json)


def serve(
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="DIR|NAME", help="What to begin with: writer, minilm, tiny, or a folder."
        ),
    ] = "writer",
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port of 127.0.0.1; 0 takes any free one. Usually 8642 or the next.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> int:
    """Type a text, break the attention of a model, and see at once what becomes of it.

    Serves one page to this computer alone, at an address with a random token. Ctrl-C ends it.
    """
    from attention_surgeon.cli.serve import run_serve

    return run_serve(model, port, is_opened=open_)
